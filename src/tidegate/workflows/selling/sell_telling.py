"""A sale as commands and routes answer it: items, invoices, requests, entitlements, and how it came out."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine

from tidegate.connections.accounts import Account
from tidegate.mirror.apply import apply
from tidegate.mirror.arrivals import arrive
from tidegate.mirror.decide import Certainty
from tidegate.outbound.push.outcomes import body_of
from tidegate.outbound.selling.facts import Item
from tidegate.outbound.selling.steps import Step
from tidegate.outbound.selling.wish import Wish
from tidegate.stripe_api.client import StripeApi
from tidegate.stripe_api.resources.invoices import INVOICES
from tidegate.workflows.selling.sell_preview import Looked

MOST_LINES = 100


def told(account: Account, contact: str, wish: Wish, step: Step, looked: Looked) -> dict[str, Any]:
    """What a wish comes to: {action, contact, package, connection, customer, makes_customer, subscription, why, notes,
    items: {before, after}, invoice, recurring, requests, packages, entitlements}. Amounts in minor units.

    `invoice`: the next one, `due_now`: whether it is made at once; `recurring`: what each period costs afterwards.
    """
    params: dict[str, Any] = dict(step.params)
    if looked.prorated_at is not None:
        params["proration_date"] = looked.prorated_at
    requests = [{"method": step.method.upper(), "path": step.path, "params": params}] if step.method else []
    if step.making is not None:
        requests.insert(0, {"method": "POST", "path": "/v1/customers", "params": dict(step.making)})
    return {
        "action": wish.action,
        "contact": contact,
        "package": wish.package,
        "connection": account.name,
        "customer": step.customer,
        "makes_customer": step.making is not None,
        "subscription": step.subscription.id if step.subscription else None,
        "why": step.why,
        "notes": list(step.notes),
        "items": {"before": [item(one) for one in step.before], "after": [item(one) for one in step.items]},
        "due_now": _due_now(step, looked),
        "invoice": _invoice(looked.invoice, now=step.bills_now),
        "recurring": _recurring(looked.recurring, step),
        "requests": requests,
        "packages": looked.packages,
        "entitlements": [{"feature": key, **one} for key, one in looked.features.items()],
    }


def item(one: Item) -> dict[str, Any]:
    """An item of a subscription."""
    price = one.price
    return {
        "item": one.id, "package": one.package, "price": price.id, "name": price.name, "quantity": one.quantity,
        "unit_amount": price.unit_amount, "currency": price.currency, "interval": price.interval,
        "interval_count": price.interval_count, "costs": price.costs,
    }  # fmt: skip


def _due_now(step: Step, looked: Looked) -> dict[str, Any] | None:
    """What is to be paid at once; None: nothing is billed by it at all."""
    if looked.invoice is not None:
        amount = looked.invoice["amount_due"] if step.bills_now else 0
        return {"amount": amount, "currency": looked.invoice["currency"]}
    return {"amount": 0, "currency": looked.recurring["currency"]} if looked.recurring else None


def _invoice(invoice: Mapping[str, Any] | None, *, now: bool) -> dict[str, Any] | None:
    if invoice is None:
        return None
    at = None if now else invoice.get("next_payment_attempt") or invoice.get("period_end")
    lines = invoice["lines"]["data"]
    return {
        "made": "now" if now else "at the next renewal",
        "at": datetime.fromtimestamp(at, UTC) if at else None,
        **{name: invoice[name] for name in ("currency", "subtotal", "total", "amount_due", "starting_balance")},
        "lines": [_line(one) for one in lines[:MOST_LINES]],
        "more_lines": bool(invoice["lines"].get("has_more")),
    }


def _line(line: Mapping[str, Any]) -> dict[str, Any]:
    of: Mapping[str, Any] = line.get("parent") or {}
    details: Mapping[str, Any] = of.get("subscription_item_details") or of.get("invoice_item_details") or {}
    period: Mapping[str, Any] = line.get("period") or {}
    return {
        "description": line.get("description"),
        "amount": line["amount"],
        "quantity": line.get("quantity"),
        "proration": bool(details.get("proration")),
        **{name: datetime.fromtimestamp(period[name], UTC) if period.get(name) else None for name in ("start", "end")},
    }


def _recurring(invoice: Mapping[str, Any] | None, step: Step) -> dict[str, Any] | None:
    if invoice is None:
        return None
    price = step.items[0].price
    often = {"interval": price.interval, "interval_count": price.interval_count}
    return {"total": invoice["total"], "currency": invoice["currency"], **often}


def read_invoice(engine: Engine, api: StripeApi, account: Account, identifier: str) -> dict[str, Any]:
    """An invoice as Stripe shows it now, taken into the mirror. Raises as StripeApi does."""
    answer = api.get(f"{INVOICES.path}/{identifier}", interactive=True)
    arrivals, lost = arrive(INVOICES, [answer.body], int(answer.at.timestamp()), Certainty.READ)
    with engine.begin() as db:
        apply(db, account.name, INVOICES, arrivals, lost)
    return body_of(answer.body)


def outcome(wish: Wish, subscription: Mapping[str, Any], bill: Mapping[str, Any] | None) -> dict[str, Any]:
    """How it came out: {state, subscription, status, billed, remedy}. Only `done` is a success.

    `incomplete`: the first payment is missing, so that nothing is given; `unpaid`: it is changed, and the invoice for
    that is not paid.
    """
    status, identifier = str(subscription.get("status")), str(subscription.get("id"))
    opened = bill is not None and bill.get("status") == "open"
    sends = subscription.get("collection_method") == "send_invoice"
    state, remedy = "done", ""
    if status == "incomplete":
        state = "incomplete"
        remedy = (
            f"{identifier} gives nothing until its first invoice is paid{_where(bill)}; Stripe drops it after 23 hours."
        )
    elif subscription.get("pending_update"):
        state = "unpaid"
        remedy = f"The change of {identifier} waits until its invoice is paid{_where(bill)}."
    elif wish.action != "cancel" and (status in {"past_due", "unpaid"} or (opened and not sends)):
        state = "unpaid"
        remedy = f"{identifier} is {status}: an invoice is not paid{_where(bill)}. Let the customer give another card."
    billed = None
    if bill is not None:
        names = ("id", "status", "currency", "total", "amount_due", "amount_paid", "hosted_invoice_url")
        billed = {name: bill.get(name) for name in names}
    ends = subscription.get("cancel_at") if status != "canceled" else subscription.get("ended_at")
    return {
        "state": state,
        "customer": subscription.get("customer"),
        "subscription": identifier,
        "status": status,
        "ends_at": datetime.fromtimestamp(ends, UTC) if ends else None,
        "billed": billed,
        "remedy": remedy,
    }


def _where(bill: Mapping[str, Any] | None) -> str:
    if bill is None:
        return ""
    url = bill.get("hosted_invoice_url")
    return f" ({bill.get('id')}{f', {url}' if url else ''})"
