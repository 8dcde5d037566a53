"""Keeps spans and movements of some customers in step with their histories; what stays the same is not written."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from tidegate.revenue.editions import Ledger, begin, current
from tidegate.revenue.movements import keep_movements, moved_on
from tidegate.revenue.spans import Whose, derived, put_spans

__all__ = ["Kept", "Ledger", "begin", "current", "keep", "keep_derived", "keep_movements"]


class Kept(NamedTuple):
    """What a recomputation wrote: spans changed, rows of movements added, rows superseded."""

    spans: int
    added: int
    superseded: int


def keep(db: Connection, ledger: Ledger, customers: Sequence[str], as_of: int) -> Kept:
    """Brings spans and movements of these customers (Stripe ids) up to an instant (epoch seconds), in the caller's
    transaction. The whole of a contact counts: its other customers' movements are looked at as well.

    Movements are made of spans and of whose they are: where neither differs, they stand.
    """
    return keep_derived(db, ledger, customers, *derived(db, ledger, customers, as_of))


def keep_derived(
    db: Connection, ledger: Ledger, customers: Sequence[str], found: Sequence[Whose], due: Mapping[str, int]
) -> Kept:
    """The same with what was `derived` of these customers."""
    spans = put_spans(db, ledger, customers, found, due)
    concerned = sorted({*spans.customers, *moved_on(db, ledger, customers)})
    if not concerned:
        return Kept(spans.rows, 0, 0)
    moved = keep_movements(db, ledger, concerned)
    return Kept(spans.rows, moved.added, moved.superseded)
