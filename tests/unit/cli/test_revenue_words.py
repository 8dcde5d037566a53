"""What reports say in words: tables on a terminal, and the steps of a subscription's MRR."""

from typing import Any

import pytest

from tidegate.cli import explain
from tidegate.cli.mrr import by_period


def row(period: str, currency: str, amount: int) -> dict[str, Any]:
    return {"period": period, "running": False, "currency": currency, "mrr": amount}


ROWS = [row("2026-01", "eur", 50), row("2026-01", "usd", 100), row("2026-02", "eur", 100), row("2026-02", "usd", 400)]


def test_on_a_terminal_each_currency_has_its_own_drawing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tidegate.cli.amounts.on_terminal", lambda: True)
    by_period(ROWS)
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if "2026" in line]
    assert lines == [
        ["2026-01", "0.50", "EUR", "█" * 15], ["2026-02", "1.00", "EUR", "█" * 30],
        ["2026-01", "1.00", "USD", "█" * 7 + "▌"], ["2026-02", "4.00", "USD", "█" * 30],
    ]  # fmt: skip


def test_in_a_pipe_each_currency_has_a_column(capsys: pytest.CaptureFixture[str]) -> None:
    by_period(ROWS)
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if "2026" in line]
    assert lines == [["2026-01", "0.50", "EUR", "1.00", "USD"], ["2026-02", "1.00", "EUR", "4.00", "USD"]]


def told(excluded: str | None) -> list[str]:
    item = {
        "quantity": 0, "price": "price_1", "metered": True, "usage": 1234, "problem": None, "provenance": None,
        "steps": [{"shown": "0.00 USD", "text": "usage does not count"}],
    }  # fmt: skip
    one = {
        "subscription": "sub_1", "customer": "cus_1", "status": "active", "mrr": 0, "currency": "usd", "why_not": None,
        "excluded": excluded, "items": [item],
    }  # fmt: skip
    return [*explain.subscription_in_lines(one)]


def test_metered_usage_is_shown_beside_what_counts() -> None:
    assert told(None) == [
        "sub_1 of cus_1, active: 0.00 USD",
        "  0 × price_1 (metered)",
        "              0.00 USD  usage does not count",
        "             12.34 USD  of usage a month, by the last closed period; shown apart",
    ]


def test_an_exclusion_is_said_with_or_without_a_reason() -> None:
    assert told("staff")[0].endswith("; left out, the customer is excluded: staff")
    assert told("")[0].endswith("; left out, the customer is excluded: nobody said why")
