"""How values look in tables, JSON and lines."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from tidegate.cli import show


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (1234567, "1,234,567"),
        (True, "True"),
        (Decimal("1234.50"), "1,234.50"),
        ("text", "text"),
        (datetime(2026, 9, 1, 12, 30, tzinfo=UTC), "2026-09-01 12:30:00"),
    ],
)
def test_a_cell(value: Any, shown: str) -> None:
    assert show.cell(value) == shown


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (datetime(2026, 9, 1, tzinfo=UTC), '"2026-09-01T00:00:00Z"'),
        (date(2026, 9, 1), '"2026-09-01"'),
        (Decimal("0.10"), '"0.10"'),
        (b"\x01\xff", '"01ff"'),
    ],
)
def test_a_value_in_json(value: Any, encoded: str) -> None:
    assert json.dumps(value, default=show.plain) == encoded


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.004, "0.00 s"), (9.99, "9.99 s"), (12.34, "12.3 s"), (119.9, "119.9 s"), (245, "4 min 5 s")],
)
def test_a_duration(seconds: float, shown: str) -> None:
    assert show.duration(seconds) == shown


@pytest.mark.parametrize(("octets", "shown"), [(0, "0 B"), (999, "999 B"), (3_400_000, "3.4 MB"), (5e12, "5.0 TB")])
def test_a_size(octets: float, shown: str) -> None:
    assert show.size(octets) == shown


def test_a_table_in_a_pipe_cuts_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    show.table(["id", "n"], [("sub_" + "x" * 200, 1000), ("[bold]no markup[/]", None)])
    printed = capsys.readouterr().out
    assert "x" * 200 in printed
    assert "[bold]no markup[/]" in printed
    assert "1,000" in printed


@pytest.mark.parametrize("number", [1, 3])
def test_a_few_reasons_are_told_in_full(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    show.reasons({f"list {n}": f"because {n}" for n in range(number)}, "NOT READ ")
    assert capsys.readouterr().out.splitlines() == [f"NOT READ list {n}: because {n}" for n in range(number)]


def test_of_many_that_say_the_same_the_first_and_the_names_of_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    show.reasons(
        {f"list {n}": f"GET /v1/{n} may not be read ('rak_{n}'). Request id: req_{n}." for n in range(5)}
        | {f"other {word}": f"It answers {word}." for word in ("late", "nothing", "nonsense", "twice")}
    )
    assert capsys.readouterr().out.splitlines() == [
        "list 0: GET /v1/0 may not be read ('rak_0'). Request id: req_0.",
        "list 1, list 2, list 3, list 4: likewise, and `--json` says it of each",
        "other late: It answers late.",
        "other nothing: It answers nothing.",
        "other nonsense: It answers nonsense.",
        "other twice: It answers twice.",
    ]
