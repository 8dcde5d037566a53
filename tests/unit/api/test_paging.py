"""Pages of a list that is read whole."""

from tidegate.api.paging import page

ROWS = [{"key": key} for key in "bdfh"]


def keys(limit: int, after: str | None) -> tuple[str, str | None]:
    rows, following = page(ROWS, "key", limit, after)
    return "".join(row["key"] for row in rows), following


def test_pages_follow_each_other() -> None:
    assert keys(2, None) == ("bd", "d")
    assert keys(2, "d") == ("fh", None)
    assert keys(3, "d") == ("fh", None)
    assert keys(1, "h") == ("", None)


def test_a_row_that_is_gone_is_taken_from_where_it_stood() -> None:
    assert keys(2, "c") == ("df", "f")
    rows, _ = page(list(reversed(ROWS)), "key", 2, "c")  # in another order nothing tells where that was
    assert [row["key"] for row in rows] == ["h", "f"]


def test_numbers_are_keys_too() -> None:
    rows, following = page([{"id": 9}, {"id": 10}, {"id": 11}], "id", 1, "9")
    assert ([row["id"] for row in rows], following) == ([10], "10")
