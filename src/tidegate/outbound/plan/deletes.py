"""What becomes of an object whose row left the model: only of what the sync made or adopted, in its resource's way."""

from collections.abc import Mapping
from typing import Any

from tidegate.outbound.plan.compare import shown
from tidegate.outbound.plan.decide import Change, Decision

Json = Mapping[str, Any]


def deletion(
    resource: str, key: str, ours: bool, object_id: str | None, live: Json | None, options: Json, heir: str = ""
) -> Decision:
    """The decision about a row that is gone. `live`: its object as the mirror has it; None: it is not there any more.
    `heir`: the row of the model that its object is now. A decision that names no object lets go of it.

    `options`: those of `specs.Delete`. A decision to delete says in its payload how: {"do": delete, archive, cancel,
    void}, with the parameters that go along.
    """
    if heir:
        return Decision(key, "gone", why=f"it left the model, and row {heir} is its object now")
    if options.get("how") != "remove":
        return Decision(key, "gone", object_id, why="it left the model, and the sync deletes nothing")
    if not ours or object_id is None:
        return Decision(key, "gone", object_id, why="it left the model, and is none that this sync made")
    if live is None:
        return Decision(key, "gone", why="it left the model, and is gone in Stripe")
    do, params, why = _WAYS[resource](live, options)
    if not do:
        return Decision(key, "skip", object_id, why=why)
    return Decision(key, "delete", object_id, {"do": do, **params}, [Change("object", live.get("status"), do)])


def _customer(live: Json, options: Json) -> tuple[str, Json, str]:
    """Deleting a customer cancels its subscriptions at once (docs.stripe.com/api/customers/delete)."""
    if live.get("live_subscriptions") and not options.get("cancel_subscriptions"):
        return (
            "",
            {},
            "it has live subscriptions, which Stripe would cancel; see `delete: {cancel_subscriptions: true}`",
        )
    return "delete", {}, ""


def _product(live: Json, options: Json) -> tuple[str, Json, str]:
    """A product with prices cannot be deleted (docs.stripe.com/api/products/delete)."""
    if not live.get("has_prices"):
        return "delete", {}, ""
    return ("archive", {}, "") if live.get("active") else ("", {}, "it is archived already")


def _price(live: Json, options: Json) -> tuple[str, Json, str]:
    return ("archive", {}, "") if live.get("active") else ("", {}, "it is archived already")


def _subscription(live: Json, options: Json) -> tuple[str, Json, str]:
    if live.get("status") in {"canceled", "incomplete_expired"}:
        return "", {}, f"it is {live.get('status')} already"
    if options.get("at") == "period_end":
        return ("", {}, "it ends with its period already") if live.get("cancel_at_period_end") else ("end", {}, "")
    return "cancel", {name: bool(options.get(name)) for name in ("prorate", "invoice_now")}, ""


def _invoice(live: Json, options: Json) -> tuple[str, Json, str]:
    status = live.get("status")
    if status == "draft":
        recurs = shown("invoices", "subscription", live)
        return ("", {}, "it is a subscription's draft") if recurs else ("delete", {}, "")
    if status in {"open", "uncollectible"} and options.get("void", True):
        return "void", {}, ""
    return "", {}, f"it is {status}"


def _invoice_item(live: Json, options: Json) -> tuple[str, Json, str]:
    status = live.get("invoice_status")
    return ("delete", {}, "") if status in {None, "draft"} else ("", {}, f"its invoice is {status}")


def _quote(live: Json, options: Json) -> tuple[str, Json, str]:
    status = live.get("status")
    return ("cancel", {}, "") if status in {"draft", "open"} else ("", {}, f"it is {status}")


_WAYS = {
    "customers": _customer,
    "products": _product,
    "prices": _price,
    "subscriptions": _subscription,
    "invoices": _invoice,
    "invoiceitems": _invoice_item,
    "quotes": _quote,
}
