"""What stood behind customers' MRR at an instant: which of it was past due, and what it would be without discounts."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection

from tidegate.revenue import load
from tidegate.revenue.editions import Ledger
from tidegate.revenue.history.history import history
from tidegate.revenue.load import Loaded

BATCH = 500
"""Customers whose histories are in memory together."""


class Behind(NamedTuple):
    """Of an item: whether its subscription was past due, and its MRR without discounts, in millionths of a minor unit;
    what that is less than its listed price is the tax which the price includes.
    """

    past_due: bool
    undiscounted: int


def behind(
    db: Connection, ledger: Ledger, customers: Sequence[str], end: datetime, as_of: datetime
) -> dict[tuple[str, str], Behind]:
    """By subscription and item what stood just before an instant, as the histories of these customers tell it."""
    policy = replace(ledger.policy, discounts="none")
    at, now = end.timestamp(), int(as_of.timestamp())
    found: dict[tuple[str, str], Behind] = {}
    for start in range(0, len(customers), BATCH):
        for id_, loaded in load.load(db, ledger.connection, customers[start : start + BATCH]).items():
            past_due = was_past_due(loaded, at)
            told = history(loaded.versions, loaded.billed, policy, now, loaded.stood)
            for span in told.spans:
                if span.starts_at < at and (span.ends_at is None or span.ends_at >= at):
                    found[id_, span.item] = Behind(past_due, span.mrr)
    return found


def was_past_due(loaded: Loaded, at: float) -> bool:
    """Whether a subscription was past due just before an instant (epoch seconds), by the last that was known by then.

    One that was seen later only is so if it was seen so, and owed an invoice from before that was tried to be paid.
    """
    known = [version for version in loaded.versions if version.at < at]
    if known:
        return known[-1].facts.subscription.status == "past_due"
    first = loaded.stood or loaded.versions[0].facts
    invoices = [one.invoice for one in loaded.billed]
    return first.subscription.status == "past_due" and any(
        invoice.status == "open" and invoice.attempt_count and (invoice.finalized_at or at) < at for invoice in invoices
    )
