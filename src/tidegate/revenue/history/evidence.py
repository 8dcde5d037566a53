"""Evidence of what was subscribed to: groups of invoice lines, each of one item, price, period and kind."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from tidegate.stripe_api.shapes.invoices import Invoice
from tidegate.stripe_api.shapes.lines import InvoiceLine

TELLING = frozenset({"paid", "open", "uncollectible"})
AT_ONCE = 60
"""Seconds: what lasts no longer, nobody decided on."""


class Billed(NamedTuple):
    """A line and the invoice that it stands on."""

    invoice: Invoice
    line: InvoiceLine


class _Key(NamedTuple):
    """What makes lines one group: a tiered price is written as a line per tier and flat fee. `negative`: they give back
    what was billed before.
    """

    invoice: str
    item: str
    price: str
    start: int
    end: int
    proration: bool
    negative: bool


@dataclass(frozen=True, slots=True)
class Group:
    """Lines that together say one thing: `quantity` of the price from `start` to `end` (epoch seconds).

    `amount` and `off` (its discounts) in minor units. `from_` is when it begins to count. `paused`: how collection was
    paused then, as Stripe names the behavior; empty: it was not.
    """

    key: _Key
    lines: tuple[InvoiceLine, ...]
    from_: int
    paused: str = ""

    @property
    def quantity(self) -> int:
        """Of all lines; flat fees have none."""
        return sum(line.quantity or 0 for line in self.lines)

    @property
    def amount(self) -> int:
        """Before discounts."""
        return sum(line.amount or 0 for line in self.lines)

    @property
    def off(self) -> int:
        """What discounts took off."""
        return sum(line.discount_amount or 0 for line in self.lines)


def groups(billed: Iterable[Billed], *, pending_invoice: str | None = None) -> list[Group]:
    """The groups of the invoices that tell something of licensed items, oldest first.

    Drafts, void and deleted invoices tell nothing, nor does the one that a pending update waits for
    (`pending_invoice`); but one that ended as soon as it was finalised tells that collection was paused. A first
    invoice that is charged by itself counts once it is paid.
    """
    found: dict[_Key, list[Billed]] = {}
    for one in billed:
        key = _key(one)
        if key is None or one.invoice.id == pending_invoice or _counts_from(one.invoice, key.start) is None:
            continue
        found.setdefault(key, []).append(one)
    made = [
        Group(
            key,
            tuple(one.line for one in those),
            _counts_from(those[0].invoice, key.start) or key.start,
            paused_by(those[0].invoice),
        )
        for key, those in found.items()
    ]
    made = [_giving_back(group, made) for group in made]
    return sorted(made, key=lambda group: (group.from_, not group.key.negative, group.key))


def _key(billed: Billed) -> _Key | None:
    """None: the line is nothing recurring of a subscription item, or usage."""
    invoice, line = billed
    item, price, start, end = line.subscription_item, line.price, line.period_start, line.period_end
    if not (item and price) or start is None or end is None or start == end:
        return None
    terms = line.terms
    if terms is not None and terms.usage_type == "metered":
        return None
    return _Key(
        invoice.id or "", item, price, start, end, bool(line.proration), (line.amount or 0) < 0 or line.gives_back
    )


def _giving_back(group: Group, among: Sequence[Group]) -> Group:
    """A proration of nothing beside one that costs gives back what was free, also where its lines do not say so."""
    key = group.key
    if not key.proration or key.negative or group.amount:
        return group
    beside = [
        one for one in among if (one.key.invoice, one.key.item, one.key.start) == (key.invoice, key.item, key.start)
    ]
    costs = any(one.key.proration and one.amount > 0 for one in beside)
    return replace(group, key=key._replace(negative=True)) if costs else group


def _counts_from(invoice: Invoice, start: int) -> int | None:
    """When what an invoice bills for a period from `start` on begins to count; None: it tells nothing."""
    if invoice.deleted or (invoice.status not in TELLING and not paused_by(invoice)):
        return None
    if invoice.billing_reason == "subscription_create" and invoice.collection_method != "send_invoice":
        paid = invoice.status_transitions.paid_at if invoice.status_transitions else None
        return None if paid is None else max(start, paid)
    return start


def paused_by(invoice: Invoice) -> str:
    """The pause of collection that ended a renewal's invoice as soon as it was finalised, with nobody asked to pay;
    empty: none did (docs.stripe.com/billing/subscriptions/pause-payment).
    """
    times = invoice.status_transitions
    if invoice.billing_reason != "subscription_cycle" or invoice.attempt_count or times is None:
        return ""
    ended, behavior = {
        "void": (times.voided_at, "void"),
        "uncollectible": (times.marked_uncollectible_at, "mark_uncollectible"),
    }.get(invoice.status or "", (None, ""))
    at_once = ended is not None and times.finalized_at is not None and ended - times.finalized_at <= AT_ONCE
    return behavior if at_once else ""
