"""Amounts of reports on the command line: as tables and CSV show them, and small drawings of a series."""

import csv
import sys
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

BLOCKS = "▁▂▃▄▅▆▇█"
EIGHTHS = " ▏▎▍▌▋▊▉█"
BAR = 30
"""Characters of the longest bar."""


def money(amount: int | None, currency: str) -> str:
    """`14.00 USD`; a dash for what is unknown."""
    from tidegate.money import said

    return said(amount, currency)


def percent(ratio: float | None) -> str:
    """`12.5 %`; a dash for what there is none of."""
    return "–" if ratio is None else f"{ratio * 100:,.1f} %"


def bar(amount: int | None, highest: int) -> str:
    """A bar as long as the amount is large."""
    eighths = round(BAR * 8 * max(amount or 0, 0) / highest) if highest > 0 else 0
    return ("█" * (eighths // 8) + EIGHTHS[eighths % 8]).rstrip()


def spark(amounts: Sequence[int | None]) -> str:
    """A line of blocks, each as high as its amount; a blank for what is unknown."""
    highest = max((one or 0 for one in amounts), default=0)
    top = len(BLOCKS) - 1
    return "".join(
        " " if one is None else BLOCKS[round(top * max(one, 0) / highest) if highest > 0 else 0] for one in amounts
    )


def as_csv(columns: Iterable[str], rows: Iterable[Mapping[str, Any]], amounts: Container[str]) -> None:
    """These columns of the rows on stdout with a header; `amounts`, minor units of the row's currency, as decimals."""
    from tidegate.money import decimal

    writer = csv.writer(sys.stdout, lineterminator="\n")
    names = list(columns)
    writer.writerow(names)
    for row in rows:
        writer.writerow(
            [
                decimal(row[name], row["currency"]) if name in amounts and row[name] is not None else row[name]
                for name in names
            ]
        )


def on_terminal() -> bool:
    """Whether somebody watches, so that a drawing makes sense."""
    return sys.stdout.isatty()


def say_assumed(assumed: Sequence[str], see: str) -> None:
    """A remark on stderr which settings the policy's vendor leaves open, so that the figures stand on a guess."""
    from tidegate.cli import show

    if assumed:
        show.remark(f"The policy leaves {', '.join(assumed)} to you; taken as in the default policy, see {see}.")


def say_doubts(head: Mapping[str, Any]) -> None:
    """Remarks on stderr what a report had to assume, and which rates it lacked."""
    say_assumed(head["assumed"], "`tidegate revenue policy show`")
    say_missing(head)


def say_missing(head: Mapping[str, Any]) -> None:
    """Remarks on stderr which rates a report lacked."""
    from tidegate.cli import show

    newest: dict[str, Any] = {}
    days: dict[str, list[Any]] = {}
    for one in head["missing_rates"]:
        days.setdefault(one["currency"], []).append(one["day"])
        newest[one["currency"]] = one["newest"] or newest.get(one["currency"])
    for currency, those in days.items():
        last = f"the last one is of {newest[currency]}" if newest[currency] else "there is none before"
        when = f"{min(those)}" if len(those) == 1 else f"{len(those):,} days from {min(those)} to {max(those)}"
        show.remark(f"No rate of {currency.upper()} for {when}; {last}. What needs it is left out (–).")
    if days:
        show.remark(
            "`tidegate rates fetch` gets the European Central Bank's, `tidegate rates import FILE` takes yours."
        )
