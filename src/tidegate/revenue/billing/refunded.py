"""Subscription Refunded: refunds, what credit notes gave back otherwise, and disputes that were lost."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tidegate.money import decimal
from tidegate.revenue.billing.billed import plan_level
from tidegate.revenue.billing.event import PLAN_LEVEL, REFUNDED, Event, told
from tidegate.revenue.billing.given import Bill, Catalog, Noted, Returned, Who
from tidegate.revenue.billing.pieces import Piece, credited
from tidegate.revenue.billing.sharing import share
from tidegate.stripe_api.shapes.payments import Dispute, Refund

Withdrawn = tuple[int, str]
"""When something was taken back (epoch seconds), and how."""


def refunded(bill: Bill, found: Sequence[Piece], who: Who, catalog: Catalog) -> Iterator[Event]:
    """What was given back of an invoice. A credit note adds its lines and reason to its refunds; only what it gave back
    beside them, to the balance or outside of Stripe, is an event of its own.
    """
    notes = [one for one in bill.notes if one.stands]
    make = _Making(bill, found, who, catalog)
    for returned in bill.refunds:
        refund = returned.what
        if refund.status == "succeeded" and refund.id and refund.amount:
            naming = [one for one in notes if refund.id in one.note.refunded]
            reason = next((one.note.reason for one in naming if one.note.reason), None) or _reason(refund)
            yield make.event("refund", returned, reason, naming)
    amounts = {one.what.id: one.what.amount or 0 for one in bill.refunds}
    for noted in notes:
        if event := make.credit(noted, amounts):
            yield event
    for returned in bill.disputes:
        if returned.what.status == "lost" and returned.what.amount:
            yield make.event("dispute", returned, "dispute", [])


def withdrawn(bill: Bill) -> Iterator[tuple[str, Withdrawn]]:
    """By the ids of events: refunds that failed, credit notes that were voided, disputes that are not lost."""
    for returned in (*bill.refunds, *bill.disputes):
        what = returned.what
        if isinstance(what, Refund) and what.status in {"failed", "canceled"}:
            why = what.failure_reason or what.status
            yield f"refund:{what.id}", (returned.told_at, f"the refund failed: {why}")
        elif isinstance(what, Dispute) and what.status != "lost":
            yield f"dispute:{what.id}", (returned.told_at, f"the dispute is {what.status}")
    for noted in bill.notes:
        if not noted.stands and noted.note.voided_at is not None:
            yield f"credit:{noted.note.id}", (noted.note.voided_at, "the credit note was voided")


def _reason(what: Refund | Dispute) -> str:
    return what.reason or ""


class _Making:
    """Makes the events of one invoice."""

    def __init__(self, bill: Bill, found: Sequence[Piece], who: Who, catalog: Catalog) -> None:
        self._bill = bill
        self._found = found
        self._who = who
        self._catalog = catalog

    def event(self, kind: str, returned: Returned, reason: str, naming: Sequence[Noted]) -> Event:
        """What a refund or dispute gave back."""
        what = returned.what
        at = what.created or returned.told_at
        currency = (what.currency or self._bill.invoice.currency or "").lower()
        details = {"charge": what.charge, "credit_notes": [one.note.id for one in naming]}
        if isinstance(what, Dispute):
            details = {"charge": what.charge, "dispute_reason": what.reason}
        return self._event(
            f"{kind}:{what.id}",
            kind,
            at,
            max(at, returned.told_at),
            what.amount or 0,
            currency,
            reason,
            naming,
            details,
        )

    def credit(self, noted: Noted, refunds: Mapping[str | None, int]) -> Event | None:
        """What a credit note gave back beside its refunds, to the balance or outside of Stripe."""
        note = noted.note
        named = {refund: refunds.get(refund) if told is None else told for refund, told in note.refunded.items()}
        if any(amount is None for amount in named.values()):
            return None  # a refund that is not known yet will say how much of it that was
        amount = (note.post_payment_amount or 0) - sum(amount or 0 for amount in named.values())
        if amount <= 0 or note.created is None:
            return None
        currency = (note.currency or self._bill.invoice.currency or "").lower()
        details = {"credit_notes": [note.id], "out_of_band": note.out_of_band_amount or 0}
        return self._event(
            f"credit:{note.id}",
            "credit",
            note.created,
            note.created,
            amount,
            currency,
            note.reason or "",
            [noted],
            details,
        )

    def _event(
        self,
        id_: str,
        kind: str,
        at: int,
        came_at: int,
        amount: int,
        currency: str,
        reason: str,
        naming: Sequence[Noted],
        details: Mapping[str, Any],
    ) -> Event:
        about = credited(self._found, naming)
        weights = about if any(about) else [max(piece.gross, 0) for piece in self._found]
        parts = [(piece, part) for piece, part in zip(self._found, share(amount, weights), strict=True) if part]
        subscriptions = {piece.subscription for piece, _ in parts}
        only = subscriptions.pop() if len(subscriptions) == 1 else ""
        recurring = [piece for piece, _ in parts if piece.kind != "one_time"]
        return Event(
            id=id_,
            name=REFUNDED,
            at=at,
            came_at=came_at,
            customer=self._who.customer,
            identity=self._who.identity(self._bill.invoice.customer_email),
            subscription=only or None,
            invoice=self._bill.invoice.id,
            currency=currency,
            amount=amount,
            details={"kind": kind, "reason": reason, **details, "lines": _lines(parts)},
            properties=told(
                **{
                    "Subscription Refund Amount": decimal(amount, currency),
                    "Refund Reason": reason,
                    PLAN_LEVEL: plan_level(recurring, self._catalog),
                    "Currency": currency.upper(),
                }
            ),
        )


def _lines(parts: Sequence[tuple[Piece, int]]) -> list[dict[str, Any]]:
    """What of the amount each line has."""
    return [
        {"line": piece.line, "subscription": piece.subscription or None, "kind": piece.kind, "amount": part}
        for piece, part in parts
    ]
