"""The ledger against the simulated company's own truth: while connected, and imported when all is over.

The company lives two years. A hub that is connected from its first day has to say just what is true; one that imports
what is there at the end has to infer the past from invoices.
"""

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from tests.support import ledgers
from tests.support.importing import imported
from tests.support.ledgers import Line
from tests.support.live import Live

from tidegate.sandbox.clock import add_interval
from tidegate.wiring import Hub

if TYPE_CHECKING:
    from tidegate.sandbox.revenue import Month
    from tidegate.sandbox.server import Sandbox

CUSTOMERS, MONTHS = 140, 24
"""Everyone of the cast, and some who live by chance."""
STEPS = (*range(3, MONTHS - 6, 3), *range(MONTHS - 6, MONTHS + 1))
"""The months at whose ends the hub that is connected has caught up: all of those in which the cast lives."""
EXACT = 0.001
"""Minor units: the ledger rounds each item to millionths."""

POLICIES: Sequence[tuple[str, dict[str, str]]] = (
    ("default", {}),
    ("default", {"start": "first_paid_invoice", "discounts": "all", "past_due": "30 days"}),
    ("stripe", {}),
    ("chartmogul", {}),
)

Make = Callable[..., "Sandbox"]


@pytest.fixture
def database_url(fresh_database_url: str) -> str:
    """Both hubs have a database of their own: they are connected to one account."""
    return fresh_database_url


@pytest.mark.wide
def test_connected_the_ledger_is_the_truth_for_every_customer_month_and_movement(hub: Hub, make_sandbox: Make) -> None:
    live = Live(hub, make_sandbox(customers=CUSTOMERS, months=MONTHS, ahead=MONTHS))
    imported(hub, live.account)
    for month in STEPS:
        ledgers.live_on(live, add_interval(live.sandbox.config.starts, "month", month))
    months = ledgers.truth(live)

    lines = ledgers.lines(live, months)
    assert len({one.month for one in lines}) == MONTHS + 1
    assert {one.currency for one in lines} == {"usd", "eur", "jpy"}
    assert wrong(lines) == []

    true, kept = moved(months), ledgers.movements(live)
    assert (true - kept, kept - true) == (Counter(), Counter())
    assert {kind for *_, kind, _ in true} == {"new", "expansion", "contraction", "churn", "reactivation"}

    by_day = ledgers.totals(live, months)
    gaps = {(one.name, name): by_day[one.name, name] - mrr for one in months for name, mrr in one.mrr().items()}
    assert {line: gap for line, gap in gaps.items() if abs(gap) > EXACT} == {}

    assert ledgers.keep_all(live) == (0, 0, 0), "derived again, it is the same"
    assert unexplained(live) == {}


@pytest.mark.wide
def test_imported_late_the_present_is_exact_and_the_past_nearly(hub: Hub, make_sandbox: Make) -> None:
    """What no invoice says: since when within a period collection is paused or nobody pays, a change without proration
    before the next renewal, and one whose prorations a cancellation deleted.
    """
    live = Live(hub, make_sandbox(customers=CUSTOMERS, months=MONTHS))
    imported(hub, live.account)
    ledgers.keep(live)
    months = ledgers.truth(live)

    lines = ledgers.lines(live, months)
    found = wrong(lines)
    assert [one for one in found if one.month == months[-1].name] == []
    exact = 1 - len(found) / len(lines)
    recovered = {currency: share(lines, currency) for currency in ("usd", "eur", "jpy")}
    shares = ", ".join(f"{part:.2%} {currency.upper()}" for currency, part in recovered.items())
    say(f"{exact:.2%} of customers' months are exact; of MRR {shares} recovered; not:")
    for one in found:
        say(f"  {one.month} {one.customer} {one.currency}: {one.true} is {one.kept}: {why(one)}")

    true, kept = moved(months), ledgers.movements(live)
    same = (true & kept).total() / true.total()
    say(f"{same:.2%} of movements are told in their month; not:")
    for name, those in (("missing", true - kept), ("told instead", kept - true)):
        for one in sorted(those):
            say(f"  {name}: {' '.join(map(str, one))}")

    with hub.engine.connect() as db:
        trials = {one.id: one.told for one in db.execute(_TRIALS)}
    assert len(trials) > 5
    assert [name for name, told in trials.items() if not told] == [], "a trial began when its subscription says"
    assert unexplained(live) == {}
    assert exact >= 0.99
    assert min(recovered.values()) >= 0.99
    assert same >= 0.95


def wrong(lines: list[Line]) -> list[Line]:
    return [one for one in lines if abs(one.true - one.kept) > EXACT]


def unexplained(live: Live) -> dict[str, list[str]]:
    """By policy the customers whose MRR `explain mrr` tells otherwise than the ledger that is kept by it."""
    found = {name: ledgers.explained_otherwise(live, name, choices) for name, choices in POLICIES}
    return {name: customers for name, customers in found.items() if customers}


def share(lines: list[Line], currency: str) -> float:
    """How much of MRR in a currency is recovered."""
    mine = [one for one in lines if one.currency == currency]
    return 1 - float(sum(abs(one.true - one.kept) for one in mine) / sum(one.true for one in mine))


def moved(months: "list[Month]") -> Counter[tuple[str, str, str, str, int]]:
    every = ((month.name, one) for month in months for one in month.movements)
    return Counter((name, one.customer, one.currency, one.kind, round(one.amount)) for name, one in every)


def why(line: Line) -> str:
    if line.true == 0:
        return "it had stopped to count (paused, unpaid), which no invoice says before the next renewal"
    if line.kept == 0:
        return "collection had resumed, which no invoice says before the next renewal"
    return "it was changed without proration, which no invoice says before the next renewal"


_TRIALS = text(
    """
    select s.id, exists (select from tidegate.spans p where p.subscription = s.id and p.trial > 0
      and p.starts_at = to_timestamp((s.data->>'trial_start')::bigint)) as told
    from stripe.subscriptions s where s.data->>'trial_start' is not null
    """
)


def say(line: str) -> None:
    """For whoever runs this with -rP."""
    sys.stdout.write(line + "\n")
