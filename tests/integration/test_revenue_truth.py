"""The ledger against the simulated company's own truth: while connected, and imported when all is over.

The company lives two years. One hub is connected from its first day; another one imports what is there at the end, so
that it has to infer the past from invoices.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from cryptography.fernet import Fernet
from tests.support import databases, hubs, ledgers
from tests.support.importing import imported
from tests.support.ledgers import Line
from tests.support.live import Live

from tidegate.sandbox.clock import add_interval
from tidegate.sandbox.config import SandboxConfig
from tidegate.sandbox.server import Sandbox

if TYPE_CHECKING:
    from tidegate.sandbox.revenue import Month

CUSTOMERS, MONTHS = 140, 24
"""Everyone of the cast, and some who live by chance."""
STEPS = (*range(3, MONTHS - 6, 3), *range(MONTHS - 6, MONTHS + 1))
"""The months at whose ends the hub that is connected has caught up: all of those in which the cast lives."""
EXACT = 0.001
"""Minor units: the ledger rounds each item to millionths."""


@dataclass(frozen=True, slots=True)
class Two:
    """The company's truth, the hub that was connected all the time and the one that came late."""

    months: "list[Month]"
    connected: Live
    late: Live


@pytest.fixture(scope="module")
def two(server_url: str) -> Iterator[Two]:
    config = SandboxConfig(customers=CUSTOMERS, months=MONTHS, ahead=MONTHS)
    key = Fernet.generate_key().decode()
    with (
        Sandbox.start(config) as sandbox,
        databases.scratch(server_url) as early,
        databases.scratch(server_url) as after,
        hubs.opened(early, key) as hub,
        hubs.opened(after, key) as other,
    ):
        connected = Live(hub, sandbox)
        imported(hub, connected.account)
        for month in STEPS:
            ledgers.live_on(connected, add_interval(config.starts, "month", month))
        late = Live(other, sandbox)
        imported(other, late.account)
        ledgers.keep(late)
        yield Two(ledgers.truth(connected), connected, late)


def moved(months: "list[Month]") -> Counter[tuple[str, str, str, str, int]]:
    every = ((month.name, one) for month in months for one in month.movements)
    return Counter((name, one.customer, one.currency, one.kind, round(one.amount)) for name, one in every)


def wrong(lines: list[Line]) -> list[Line]:
    return [one for one in lines if abs(one.true - one.kept) > EXACT]


def test_connected_the_ledger_is_the_truth_for_every_customer_and_month(two: Two) -> None:
    lines = ledgers.lines(two.connected, two.months)
    assert len({one.month for one in lines}) == MONTHS + 1
    assert {one.currency for one in lines} == {"usd", "eur", "jpy"}
    assert wrong(lines) == []


def test_connected_every_movement_is_there_in_its_month_and_of_its_kind(two: Two) -> None:
    true, kept = moved(two.months), ledgers.movements(two.connected)
    assert (true - kept, kept - true) == (Counter(), Counter())
    assert {kind for *_, kind, _ in true} == {"new", "expansion", "contraction", "churn", "reactivation"}


def test_the_sums_by_day_add_up_to_each_months_mrr(two: Two) -> None:
    sums = ledgers.totals(two.connected, two.months)
    for month in two.months:
        for currency, true in month.mrr().items():
            assert abs(true - sums[month.name, currency]) <= EXACT, (month.name, currency)


def test_all_of_it_derived_again_changes_nothing(two: Two) -> None:
    assert ledgers.keep_all(two.connected) == (0, 0, 0)


def test_imported_late_the_present_is_exact_and_the_past_nearly(two: Two) -> None:
    """What no invoice says: since when collection is paused or nobody pays, and changes without proration until the
    next renewal.
    """
    lines = ledgers.lines(two.late, two.months)
    found = wrong(lines)
    last = two.months[-1].name
    assert [one for one in found if one.month == last] == []
    exact = 1 - len(found) / len(lines)
    recovered = {currency: _recovered(lines, currency) for currency in ("usd", "eur", "jpy")}
    shares = ", ".join(f"{share:.2%} {currency.upper()}" for currency, share in recovered.items())
    say(f"{exact:.2%} of customers' months are exact; of MRR {shares} recovered; not:")
    for one in found:
        say(f"  {one.month} {one.customer} {one.currency}: {one.true} is {one.kept}: {why(one)}")
    assert exact >= 0.99
    assert min(recovered.values()) >= 0.99


def test_imported_late_most_movements_are_found(two: Two) -> None:
    true, kept = moved(two.months), ledgers.movements(two.late)
    found = (true & kept).total() / true.total()
    say(f"{found:.2%} of movements recovered in their month; not:")
    for name, those in (("missing", true - kept), ("told instead", kept - true)):
        for one in sorted(those):
            say(f"  {name}: {' '.join(map(str, one))}")
    assert found >= 0.95


def _recovered(lines: list[Line], currency: str) -> float:
    mine = [one for one in lines if one.currency == currency]
    return 1 - float(sum(abs(one.true - one.kept) for one in mine) / sum(one.true for one in mine))


def say(text: str) -> None:
    """For whoever runs this with -rP."""
    sys.stdout.write(text + "\n")


def why(line: Line) -> str:
    if line.true == 0:
        return "it had stopped to count (paused, unpaid), which no invoice says before the next renewal"
    if line.kept == 0:
        return "collection had resumed, which no invoice says before the next renewal"
    return "it was changed without proration, which no invoice says before the next renewal"
