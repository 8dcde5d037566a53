"""What pages keep for a while, and what they write into CSV."""

import csv
import io

from tidegate.web import csv_lines
from tidegate.web.readings import MOST, Readings


def test_what_was_read_lasts_for_a_while_by_its_key() -> None:
    now, read = 0.0, 0
    readings = Readings(10, lambda: now)

    def look() -> int:
        nonlocal read
        read += 1
        return read

    assert [readings.get("a", look), readings.get("a", look), readings.get("b", look)] == [1, 1, 2]
    now = 10
    assert readings.get("a", look) == 3
    for key in range(MOST):
        readings.get(key, look)
    assert readings.get("a", look) == read, "the oldest are let go"


def test_csv_comes_in_pieces_and_holds_no_formula() -> None:
    rows = [["=cmd()", -1, None, "x" * 100]] * 2_000
    pieces = list(csv_lines.lines(["a", "b", "c", "d"], rows))
    assert len(pieces) > 1
    found = list(csv.reader(io.StringIO("".join(pieces))))
    assert found[0] == ["a", "b", "c", "d"]
    assert found[1][:3] == ["'=cmd()", "-1", ""]
    assert len(found) == 2_001
