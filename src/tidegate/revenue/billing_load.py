"""Loads what billing events are worked out of, of many customers at once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import msgspec
from sqlalchemy import Connection

from tidegate.revenue.billing.given import (
    Attempt,
    Bill,
    Catalog,
    Dossier,
    Ended,
    Noted,
    Return,
    Returned,
    Stretch,
    Terms,
    Who,
)
from tidegate.revenue.billing_statements import AROUND, KNOWN, TOLD
from tidegate.revenue.editions import Ledger
from tidegate.store.driver import each, rows
from tidegate.stripe_api.shapes.base import Listing, Shape
from tidegate.stripe_api.shapes.credits import CreditNote, CreditNoteLine
from tidegate.stripe_api.shapes.decoders import decoder
from tidegate.stripe_api.shapes.invoices import Invoice
from tidegate.stripe_api.shapes.lines import InvoiceLine
from tidegate.stripe_api.shapes.payments import Charge, Dispute, Refund

_S = TypeVar("_S", bound=Shape)


def load(db: Connection, ledger: Ledger, customers: Sequence[str]) -> tuple[list[Dossier], Catalog]:
    """The dossiers of these customers (Stripe ids), those of test clocks and excluded ones left out, and the catalog
    that they name. Of a contact's customers all are given, or none.

    Their spans and movements are taken as they are stored: the ledger is kept first.
    """
    where = {"connection": ledger.connection, "ids": list(customers)}
    units = {"by_contact": ledger.policy.unit == "contact"}
    bills = _bills(each(db, TOLD, where))
    known = _Known()
    for what, owner, id_, data in rows(db, KNOWN, where | units):
        known.take(what, owner, id_, data)
    return known.dossiers(bills), Catalog(known.prices, known.products, known.packages)


def _bills(told: Iterable[Any]) -> dict[str, list[Bill]]:
    """By customer what was billed; the rows of an invoice come before those of what happened to it."""
    found: dict[str, tuple[str, _Parts]] = {}
    for row in told:
        if row.what == "invoice":
            if (invoice := _decoded(Invoice, row.data)) is not None:
                found[row.id] = (row.owner, _Parts(invoice))
        elif row.invoice in found:
            found[row.invoice][1].take(row.what, row.data, row.told_at)
    by_customer: dict[str, list[Bill]] = {}
    for customer, parts in found.values():
        by_customer.setdefault(customer, []).append(parts.bill())
    return by_customer


@dataclass(slots=True)
class _Parts:
    """A bill while it is put together."""

    invoice: Invoice
    notes: list[Noted] = field(default_factory=list[Noted])
    refunds: list[Returned] = field(default_factory=list[Returned])
    disputes: list[Returned] = field(default_factory=list[Returned])
    failures: list[Charge] = field(default_factory=list[Charge])
    attempts: list[Attempt] = field(default_factory=list[Attempt])
    awaits: int | None = None

    def take(self, what: str, data: str, told_at: int) -> None:
        if what == "note" and (note := _decoded(CreditNote, data)) is not None:
            self.notes.append(Noted(note, _listed(CreditNoteLine, note.lines)))
        elif what == "refund" and (refund := _decoded(Refund, data)) is not None:
            self.refunds.append(Returned(refund, told_at))
        elif what == "dispute" and (dispute := _decoded(Dispute, data)) is not None:
            self.disputes.append(Returned(dispute, told_at))
        elif what == "failure" and (charge := _decoded(Charge, data)) is not None:
            self.failures.append(charge)
        elif what == "attempt":
            self.attempts.append(Attempt(int(data), told_at))
        elif what == "awaited":
            self.awaits = max(self.awaits or 0, told_at + AROUND)

    def bill(self) -> Bill:
        lines = self.invoice.lines
        return Bill(
            self.invoice,
            _listed(InvoiceLine, lines),
            self.notes,
            self.refunds,
            self.disputes,
            self.failures,
            self.attempts,
            whole=lines is not None and not lines.has_more,
            awaits=self.awaits,
        )


class _WhoTold(NamedTuple):
    """A customer, as the query tells of it; `unit`: whose customer it is to the ledger."""

    unit: str
    email: str
    own_id: str
    subscribed: bool


@dataclass(slots=True)
class _Known:
    """What the second query tells, sorted."""

    who: dict[str, Who] = field(default_factory=dict[str, Who])
    units: dict[str, str] = field(default_factory=dict[str, str])
    ended: dict[str, list[Ended]] = field(default_factory=dict[str, list[Ended]])
    stretches: dict[str, list[Stretch]] = field(default_factory=dict[str, list[Stretch]])
    returns: dict[str, list[Return]] = field(default_factory=dict[str, list[Return]])
    prices: dict[str, Terms] = field(default_factory=dict[str, Terms])
    products: dict[str, str] = field(default_factory=dict[str, str])
    packages: dict[str, str] = field(default_factory=dict[str, str])

    def take(self, what: str, owner: str, id_: str, data: str) -> None:
        if what == "customer":
            self.units[id_], *told = _customer(data)
            self.who[id_] = Who(id_, *told)
        elif what == "ended":
            self.ended.setdefault(owner, []).append(_ended(data))
        elif what == "stretch":
            self.stretches.setdefault(owner, []).append(_stretch(data))
        elif what == "return":
            self.returns.setdefault(owner, []).append(_return(data))
        elif what == "price":
            self.prices[id_] = _terms(data)
        else:
            (self.products if what == "product" else self.packages)[id_] = data

    def dossiers(self, bills: Mapping[str, Sequence[Bill]]) -> list[Dossier]:
        paid: dict[str, int] = {}
        for id_, stretches in self.stretches.items():
            for one in stretches:
                if one.pays:
                    unit = self.units[id_]
                    paid[unit] = min(one.starts_at, paid.get(unit, one.starts_at))
        return [
            Dossier(
                who,
                bills=bills.get(id_, ()),
                ended=self.ended.get(id_, ()),
                stretches=self.stretches.get(id_, ()),
                returns=self.returns.get(id_, ()),
                contact_paid_since=paid.get(self.units[id_]),
            )
            for id_, who in self.who.items()
        ]


_customer = decoder(_WhoTold).decode
_ended = decoder(Ended).decode
_stretch = decoder(Stretch).decode
_return = decoder(Return).decode
_terms = decoder(Terms).decode


def _listed(shape: type[_S], listing: Listing | None) -> list[_S]:
    """The objects of a nested list; one that does not fit is left out, `tidegate.unreadable` names it."""
    decoded = (_decoded(shape, raw) for raw in (listing.data if listing else None) or ())
    return [one for one in decoded if one is not None]


def _decoded(shape: type[_S], raw: str | msgspec.Raw) -> _S | None:
    try:
        return decoder(shape).decode(raw)
    except msgspec.MsgspecError:
        return None
