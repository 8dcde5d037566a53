"""POST /v1/invoices/create_preview: the invoice that a change would make, or the next one, by trying it in a copy."""

import msgspec

from tidegate.sandbox import contracts, endings
from tidegate.sandbox.answers import Refusal
from tidegate.sandbox.objects import people
from tidegate.sandbox.objects.invoices import NOT_FINALIZED
from tidegate.sandbox.params import required
from tidegate.sandbox.rehearsal import rehearsal
from tidegate.sandbox.resources import Obj, part
from tidegate.sandbox.state import split
from tidegate.sandbox.totals import add_up
from tidegate.sandbox.world import World
from tidegate.sandbox.writes import items, subscriptions
from tidegate.sandbox.writes.calls import Call, Write, exclusive
from tidegate.sandbox.writes.pace import Pace

RUNNING = ("active", "past_due", "trialing", "unpaid", "paused")
CHANGES = (
    *("cancel_at", "cancel_at_period_end", "default_tax_rates", "items", "proration_behavior", "proration_date"),
    "trial_end",
)
"""What of `subscription_details` an update of the subscription takes as it is."""
NEW = ("cancel_at_period_end", "default_tax_rates", "items", "proration_behavior", "trial_end")
"""What of it a new subscription takes."""


def preview(call: Call) -> Obj:
    """The invoice that would be made; with `preview_mode` recurring what each later period costs. Nothing is stored.

    Raises Refusal: 404 `invoice_upcoming_none` where there would be none, and what the change itself is refused with.
    """
    details: Obj = call.given.get("subscription_details") or {}
    world = rehearsal(call.world)
    within = Call(world, call.webhooks, Pace(world.state), [], {})
    known = _known(within, call, details)
    before = known["latest_invoice"] if known else None
    made = _carried_out(within, call, known, details)
    subscription = world.state.full("subscriptions", made)
    if call.given.get("preview_mode") == "recurring":
        invoice = _recurring(world, subscription)
    elif subscription["latest_invoice"] not in (before, None):
        invoice = world.state.full("invoices", subscription["latest_invoice"])
    else:
        invoice = _upcoming(world, subscription)
    return _shown(call, invoice, details)


def _known(within: Call, call: Call, details: Obj) -> Obj | None:
    """The subscription that is meant; None: a new one. Raises Refusal."""
    given = call.given
    if given.get("subscription"):
        found = within.referred("subscriptions", given["subscription"], "subscription")
        if given.get("customer") not in (None, found["customer"]):
            raise Refusal(400, "The subscription belongs to another customer.", param="customer")
        return found
    if details.get("items"):
        return None
    if not given.get("customer"):
        raise required("customer")
    customer = within.referred("customers", given["customer"], "customer")
    every = within.state["subscriptions"]
    running = [
        one
        for one in (every.full(identifier) for identifier in every.find("customer", customer["id"]))
        if one["status"] in RUNNING
    ]
    if not running:
        raise none(customer["id"])
    return min(running, key=contracts.next_end)


def _carried_out(within: Call, call: Call, known: Obj | None, details: Obj) -> str:
    """Tries what the details say; returns the subscription's id."""
    changes = {name: details[name] for name in CHANGES if name in details}
    if "discounts" in call.given:
        changes["discounts"] = call.given["discounts"]
    if known is None:
        return _started(within, call, details, changes)
    if details.get("cancel_now"):
        exclusive({name: details.get(name) for name in ("cancel_now", "items")}, "cancel_now", "items")
        prorate = details.get("proration_behavior", "create_prorations") != "none"
        endings.end(within.world, known, "cancellation_requested", invoice_now=True, prorate=prorate)
        return known["id"]
    if changes:
        within.names, within.given = [known["id"]], changes
        subscriptions.update(within)
    return known["id"]


def _started(within: Call, call: Call, details: Obj, changes: Obj) -> str:
    given = {name: changes[name] for name in (*NEW, "discounts") if name in changes}
    customer = call.given.get("customer")
    if customer is None:
        somebody = people.customer("cus_preview", within.now, None, None)
        within.state.put(somebody)
        customer = somebody["id"]
    anchor = part(details, "billing_cycle_anchor").get("timestamp")
    given |= {"customer": customer, "payment_behavior": "default_incomplete"}
    within.given = given | ({"billing_cycle_anchor": anchor} if anchor else {})
    return subscriptions.create(within)["id"]


def _upcoming(world: World, subscription: Obj) -> Obj:
    """The invoice of the next renewal, or of what is left when it ends with its period."""
    at = contracts.next_end(subscription)
    ends = subscription["cancel_at"] is not None and subscription["cancel_at"] <= at
    if subscription["status"] not in RUNNING:
        raise none(subscription["customer"])
    world.clock.now = at
    if not ends:
        return contracts.next_invoice(world, subscription, at)
    last = endings.final_invoice(world, subscription, "subscription_cycle")
    if last is None:
        raise none(subscription["customer"])
    return last


def _recurring(world: World, subscription: Obj) -> Obj:
    at = contracts.next_end(subscription)
    if subscription["status"] in endings.OVER:
        raise none(subscription["customer"])
    world.clock.now = at
    invoice = contracts.next_invoice(world, subscription, at, pending=False)
    add_up(invoice, 0)
    return invoice


def none(customer: str) -> Refusal:
    """There would be no invoice (docs.stripe.com/error-codes)."""
    return Refusal(404, f"No upcoming invoices for customer: {customer}", "invoice_upcoming_none")


def _shown(call: Call, invoice: Obj, details: Obj) -> Obj:
    """An invoice as a preview shows it: a draft with an id of its own."""
    identifier = f"upcoming_in_1{call.world.clock.now:023}"
    add_up(invoice, invoice["starting_balance"])
    invoice |= NOT_FINALIZED | {"id": identifier, "ending_balance": None}
    lines: list[Obj] = invoice["lines"]["data"]
    for place, one in enumerate(lines, 1):
        one |= {"id": f"il_preview{place:04}", "invoice": identifier}
    of = part(invoice, "parent", "subscription_details")
    if any(part(one, "parent", "subscription_item_details").get("proration") for one in lines):
        of["subscription_proration_date"] = details.get("proration_date", call.now)
    body, _, _ = split(call.state["invoices"].resource, invoice, livemode=call.state.livemode)
    return msgspec.json.decode(body)


_ITEM = (*items.SERVED, "id", "deleted")
WRITES = (
    Write(
        "POST",
        "/v1/invoices/create_preview",
        "invoices",
        "invoice",
        "InvoiceCreatePreviewParams",
        preview,
        (
            *("customer", "discounts", "preview_mode", "subscription"),
            *(f"subscription_details[{name}]" for name in CHANGES if name != "items"),
            *("subscription_details[cancel_now]", "subscription_details[billing_cycle_anchor]"),
            *(f"subscription_details[items][{name}]" for name in _ITEM),
        ),
        reads=True,
    ),
)
