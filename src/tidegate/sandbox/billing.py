"""Invoices of subscriptions: what they charge for, drafting and finalizing them."""

from typing import Any

from tidegate.sandbox.amounts import parts_of, price_in
from tidegate.sandbox.clock import add_interval, day_of_month
from tidegate.sandbox.objects import invoices
from tidegate.sandbox.payments import balance_after, collect, give_up_payments, subscription_of
from tidegate.sandbox.redemptions import live_discounts, of_whole, spend
from tidegate.sandbox.resources import Obj, part
from tidegate.sandbox.totals import add_up, discounted, note_billed, taxed
from tidegate.sandbox.world import World

DRAFT_SECONDS = 3600


def whole_price(world: World, price: Obj, currency: str | None = None) -> Obj:
    """A price with its tiers, from the one an item embeds, in the currency of the subscription, else in its own."""
    return price_in(world.state.full("prices", price["id"]), currency or price["currency"])


def period_end(price: Obj, begin: int, anchor: int) -> int:
    """Where the period that begins at `begin` ends; the anchor's day of the month comes back after short months."""
    recurring = price["recurring"]
    return add_interval(begin, recurring["interval"], recurring["interval_count"], day_of_month(anchor))


def item_lines(
    world: World, subscription: Obj, item: Obj, invoice: str, period: tuple[int, int], quantity: int
) -> list[Obj]:
    """The lines that an item has on an invoice for a period: one per tier and flat fee where there are tiers."""
    price = whole_price(world, item["price"], subscription["currency"])
    name = world.state.full("products", price["product"])["name"]
    interval = price["recurring"]["interval"]
    return [
        invoices.line(
            world.ids.new("il_1", 23),
            invoice,
            subscription["currency"],
            part.amount,
            part.quantity,
            period,
            description=f"{part.quantity} × {name} ({part.label or 'per ' + interval})",
            parent=invoices.of_item(subscription["id"], item["id"]),
            pricing=invoices.pricing(price, part.unit_amount_decimal),
        )
        for part in parts_of(price, quantity)
    ]


def lines_ahead(world: World, subscription: Obj, items: list[Obj], invoice: str) -> list[Obj]:
    """The lines for the current period of items: licensed ones in advance, none for metered ones."""
    lines: list[Obj] = []
    for item in items:
        if subscription["status"] == "trialing":
            lines.append(trial_line(world, subscription, item, invoice))
        elif "quantity" in item:
            period = (item["current_period_start"], item["current_period_end"])
            lines += item_lines(world, subscription, item, invoice, period, item["quantity"])
    return lines


def metered_lines(world: World, subscription: Obj, items: list[Obj], invoice: str) -> list[Obj]:
    """The lines for what was used of metered items in the period that ends now."""
    lines: list[Obj] = []
    for item in items:
        if "quantity" not in item:
            period = (item["current_period_start"], item["current_period_end"])
            used = used_in(world, subscription, item, period)
            lines += item_lines(world, subscription, item, invoice, period, used)
    return lines


def used_in(world: World, subscription: Obj, item: Obj, period: tuple[int, int]) -> int:
    """What was used of a metered item in a period: what its meter's events come to, else, of a customer of whom none
    was ever told, what chance decides.
    """
    by_chance = world.chance.randrange(0, 60_000)
    meter = world.state.look("billing_meters", item["price"]["recurring"]["meter"])
    used = world.state.metering.used(meter, subscription["customer"], *period) if meter else None
    return by_chance if used is None else used


def trial_line(world: World, subscription: Obj, item: Obj, invoice: str) -> Obj:
    """The line of an item that is on trial: nothing to pay."""
    period = (subscription["trial_start"], subscription["trial_end"])
    return invoices.line(
        world.ids.new("il_1", 23),
        invoice,
        subscription["currency"],
        0,
        item.get("quantity", 0),
        period,
        description="Trial period",
        parent=invoices.of_item(subscription["id"], item["id"]),
        pricing=invoices.pricing(item["price"], "0"),
    )


def pending_items(world: World, subscription: Obj) -> list[Obj]:
    """The customer's invoice items that wait for an invoice of this subscription, or of any in its currency."""
    items = world.state["invoiceitems"]
    found = [items.full(identifier) for identifier in items.find("customer", subscription["customer"])]
    return [one for one in found if one["invoice"] is None and _belongs(one, subscription)]


def _belongs(pending: Obj, subscription: Obj) -> bool:
    owner = part(pending, "parent", "subscription_details").get("subscription")
    return owner == subscription["id"] or (owner is None and pending["currency"] == subscription["currency"])


def pending_line(world: World, pending: Obj, invoice: str) -> Obj:
    """The line that a pending invoice item becomes."""
    parent = part(pending, "parent", "subscription_details")
    if pending["proration"]:
        origin = invoices.of_item(
            parent["subscription"],
            parent["subscription_item"],
            proration=True,
            invoice_item=pending["id"],
            credited=pending.get("_credited"),
        )
    else:
        origin = invoices.of_invoice_item(pending["id"], parent.get("subscription"))
    return invoices.line(
        world.ids.new("il_1", 23),
        invoice,
        pending["currency"],
        pending["amount"],
        pending["quantity"],
        (pending["period"]["start"], pending["period"]["end"]),
        description=pending["description"],
        discountable=pending["discountable"],
        parent=origin,
        pricing=pending["pricing"],
    )


def pending_lines(world: World, subscription: Obj, invoice: str) -> list[Obj]:
    """The lines of the pending invoice items, which thereby belong to the invoice."""
    found = pending_items(world, subscription)
    for pending in found:
        world.state.put(pending | {"invoice": invoice})
    return [pending_line(world, pending, invoice) for pending in found]


def composed(world: World, subscription: Obj, reason: str, lines: list[Obj], identifier: str, **changes: Any) -> Obj:
    """A draft invoice over lines, discounts and taxes applied, not stored yet."""
    now = world.clock.now
    customer = world.state.full("customers", subscription["customer"])
    of_items = {item["id"]: live_discounts(world, item["discounts"]) for item in subscription["items"]["data"]}
    whole = of_whole(world, subscription)
    discounted(lines, {item: some for item, some in of_items.items() if some}, whole, world.coupons)
    taxed(lines, subscription["default_tax_rates"])
    fields: Obj = {
        "billing_reason": reason,
        "collection_method": subscription["collection_method"],
        "default_payment_method": subscription["default_payment_method"],
        "default_tax_rates": subscription["default_tax_rates"],
        "discounts": [discount["id"] for discount in whole],
        "parent": invoices.from_subscription(subscription),
        "automatically_finalizes_at": now + DRAFT_SECONDS,
    }
    if subscription["collection_method"] == "send_invoice":
        fields["due_date"] = now + (subscription["days_until_due"] or 0) * 86_400
    invoice = invoices.invoice(identifier, now, customer, subscription["currency"], lines, **fields | changes)
    add_up(invoice, customer["balance"])
    return invoice


def draft(world: World, subscription: Obj, reason: str, lines: list[Obj], identifier: str, **changes: Any) -> Obj:
    """Makes a draft invoice over lines; notes on the subscription, which is not stored, what was billed."""
    invoice = composed(world, subscription, reason, lines, identifier, **changes)
    world.state.put(invoice, "invoice.created")
    subscription["latest_invoice"] = identifier
    note_billed(subscription, lines, identifier)
    return invoice


def finalize(world: World, invoice: Obj, declined: bool | None = None, *, collects: bool = True) -> None:
    """Opens a draft, gives it its number and, if told, collects it; `declined` says how the first attempt goes if that
    is known.

    Totals are added up again: the balance may have changed. What costs nothing is paid at once either way.
    """
    customer = world.state.full("customers", invoice["customer"])
    opened(world, invoice, customer, customer["balance"])
    balance_after(world, invoice)
    world.state.put(invoice, "invoice.updated", "invoice.finalized")
    subscription = subscription_of(world, invoice)
    if subscription:
        spend(world, subscription, invoice)
    if collects or invoice["amount_due"] == 0:
        collect(world, invoice, declined)


def opened(world: World, invoice: Obj, customer: Obj, balance: int) -> None:
    """Writes on a draft what finalizing does to it; `balance` is what counts of the customer's, minor units."""
    now, sequence = world.clock.now, customer["next_invoice_sequence"]
    world.state.put(customer | {"next_invoice_sequence": sequence + 1}, "customer.updated")
    add_up(invoice, balance)
    invoice |= {
        "status": "open",
        "number": f"{customer['invoice_prefix']}-{sequence:04}",
        "effective_at": now,
        "automatically_finalizes_at": None,
        "hosted_invoice_url": f"https://invoice.stripe.com/i/{invoice['id']}",
        "invoice_pdf": f"https://pay.stripe.com/invoice/{invoice['id']}/pdf",
        "webhooks_delivered_at": now,
    }
    invoice["status_transitions"] = invoice["status_transitions"] | {"finalized_at": now}


def drop(world: World, invoice: Obj, behavior: str) -> None:
    """Finalizes a draft of a paused subscription and ends it at once, the customer's balance untouched; `behavior` is
    the pause's: void or mark_uncollectible."""
    opened(world, invoice, world.state.full("customers", invoice["customer"]), 0)
    world.state.put(invoice, "invoice.updated", "invoice.finalized")
    void(world, invoice, "void" if behavior == "void" else "uncollectible")


def void(world: World, invoice: Obj, status: str) -> None:
    """Ends an open invoice without money, and the payments under way for it: `status` is void or uncollectible."""
    name, event = ("voided_at", "voided") if status == "void" else ("marked_uncollectible_at", "marked_uncollectible")
    invoice |= {"status": status, "auto_advance": False, "next_payment_attempt": None}
    invoice["status_transitions"] = invoice["status_transitions"] | {name: world.clock.now}
    give_up_payments(world, invoice, "void_invoice" if status == "void" else "failed_invoice")
    world.state.put(invoice, "invoice.updated", f"invoice.{event}")
