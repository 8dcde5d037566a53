"""What billing events are worked out of: a customer with all that was billed, paid, given back and subscribed to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tidegate.stripe_api.shapes.credits import CreditNote, CreditNoteLine
from tidegate.stripe_api.shapes.invoices import Invoice
from tidegate.stripe_api.shapes.lines import InvoiceLine
from tidegate.stripe_api.shapes.payments import Charge, Dispute, Refund


class Terms(NamedTuple):
    """How a price is billed: every so many intervals (day, week, month, year; empty: once)."""

    interval: str = ""
    interval_count: int = 1
    metered: bool = False
    product: str = ""


@dataclass(frozen=True, slots=True)
class Catalog:
    """Prices by id, names of products by id, and keys of base packages by the price or product that is mapped to one.

    A price that is mapped to something else has an empty key: its product's mapping does not count for it.
    """

    prices: Mapping[str, Terms] = field(default_factory=dict[str, Terms])
    products: Mapping[str, str] = field(default_factory=dict[str, str])
    packages: Mapping[str, str] = field(default_factory=dict[str, str])

    def package(self, price: str, product: str) -> str:
        """The base package that a price is mapped to; empty: none."""
        return self.packages.get(price, self.packages.get(product, ""))


@dataclass(frozen=True, slots=True)
class Who:
    """A Stripe customer as events name it. `own_id`: the id that you gave the contact it is linked to."""

    customer: str
    email: str = ""
    own_id: str = ""
    subscribed: bool = False

    def identity(self, email: str | None = None) -> str:
        """Who it is to analytics: somebody with a subscription comes back under your id or the e-mail (the invoice's
        where there is one), anybody else is known by Stripe's id alone.
        """
        if not self.subscribed:
            return self.customer
        return self.own_id or email or self.email or self.customer


class Noted(NamedTuple):
    """A credit note with its lines."""

    note: CreditNote
    lines: Sequence[CreditNoteLine] = ()

    @property
    def stands(self) -> bool:
        """Whether it was issued and not voided."""
        return self.note.status not in {"void", None} and not self.note.deleted


class Returned(NamedTuple):
    """A refund or dispute; `told_at`: since when it is known to be so, epoch seconds."""

    what: Refund | Dispute
    told_at: int


class Attempt(NamedTuple):
    """An attempt at an invoice that made no charge, as without any card; the n-th, at an instant (epoch seconds)."""

    number: int
    at: int


@dataclass(frozen=True, slots=True)
class Bill:
    """An invoice with all that happened to its money. `failures`: refused charges; `attempts`: those without a charge.
    `whole`: all its lines are known. `awaits`: another attempt is told once everything before then (epoch seconds) is
    known, for until then it may have made a charge that nobody has heard of.
    """

    invoice: Invoice
    lines: Sequence[InvoiceLine] = ()
    notes: Sequence[Noted] = ()
    refunds: Sequence[Returned] = ()
    disputes: Sequence[Returned] = ()
    failures: Sequence[Charge] = ()
    attempts: Sequence[Attempt] = ()
    whole: bool = True
    awaits: int | None = None

    @property
    def settled(self) -> bool:
        """Whether enough is known to tell of it: its lines, and the credit notes that it names."""
        before = sum(one.note.pre_payment_amount or 0 for one in self.notes if one.stands)
        return self.whole and before == (self.invoice.pre_payment_credit_notes_amount or 0)


class Ended(NamedTuple):
    """A subscription that was canceled; `reason`: as the customer chose, else in Stripe's words."""

    subscription: str
    ended_at: int
    reason: str


class Stretch(NamedTuple):
    """A span of the ledger: what an item was worth from one instant to another, in millionths of a minor unit.
    `inferred`: from invoices, so what follows it may have come about before it was seen.
    """

    subscription: str
    item: str
    starts_at: int
    ends_at: int | None
    currency: str
    mrr: int
    listed: int
    trial: int
    price: str
    product: str
    quantity: int
    inferred: bool = False

    @property
    def pays(self) -> bool:
        """Whether it is worth something, and not on trial."""
        return self.mrr > 0 and self.trial == 0


class Return(NamedTuple):
    """A subscription's part in a movement of the kind reactivation, in millionths of a minor unit.

    `inferred`: what it was before is, so it may have come about before it was seen.
    """

    subscription: str
    at: int
    currency: str
    amount: int
    prices: Sequence[tuple[str, str]] = ()
    inferred: bool = False


@dataclass(frozen=True, slots=True)
class Dossier:
    """A customer with all that its events are worked out of. `contact_paid_since`: when any customer of its contact
    was first worth something, epoch seconds (None: never).
    """

    who: Who
    bills: Sequence[Bill] = ()
    ended: Sequence[Ended] = ()
    stretches: Sequence[Stretch] = ()
    returns: Sequence[Return] = ()
    contact_paid_since: int | None = None

    @property
    def paid_since(self) -> int | None:
        """When its contact was first worth something, epoch seconds."""
        own = (one.starts_at for one in self.stretches if one.pays)
        return min((at for at in (*own, self.contact_paid_since) if at is not None), default=None)
