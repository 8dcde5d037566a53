"""Invoices of subscriptions: what they charge for, drafting and finalizing them."""

from typing import Any

from tidegate.sandbox.amounts import parts_of
from tidegate.sandbox.objects import invoices
from tidegate.sandbox.payments import balance_after, collect
from tidegate.sandbox.resources import Obj, part
from tidegate.sandbox.totals import add_up, discounted, taxed
from tidegate.sandbox.world import World

DRAFT_SECONDS = 3600


def whole_price(world: World, price: Obj) -> Obj:
    """A price with its tiers, from the one an item embeds."""
    return world.state.full("prices", price["id"])


def item_lines(
    world: World, subscription: Obj, item: Obj, invoice: str, period: tuple[int, int], quantity: int
) -> list[Obj]:
    """The lines that an item has on an invoice for a period: one per tier and flat fee where there are tiers."""
    price = whole_price(world, item["price"])
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


def pending_lines(world: World, subscription: Obj, invoice: str) -> list[Obj]:
    """The lines of the customer's pending invoice items for this subscription, which thereby belong to the invoice."""
    lines: list[Obj] = []
    items = world.state["invoiceitems"]
    for identifier in list(items.find("customer", subscription["customer"])):
        pending = items.full(identifier)
        parent = part(pending, "parent", "subscription_details")
        if pending["invoice"] is not None or parent.get("subscription") not in (subscription["id"], None):
            continue
        world.state.put(pending | {"invoice": invoice})
        if pending["proration"]:
            origin = invoices.of_item(
                subscription["id"],
                parent["subscription_item"],
                proration=True,
                invoice_item=identifier,
                credited=pending.get("_credited"),
            )
        else:
            origin = invoices.of_invoice_item(identifier, None)
        lines.append(
            invoices.line(
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
        )
    return lines


def draft(world: World, subscription: Obj, reason: str, lines: list[Obj], identifier: str, **changes: Any) -> Obj:
    """Makes a draft invoice over lines, discounts and taxes applied; notes on the subscription what was billed."""
    now = world.clock.now
    customer = world.state.full("customers", subscription["customer"])
    of_items = {item["id"]: live_discounts(world, item["discounts"]) for item in subscription["items"]["data"]}
    whole = live_discounts(world, subscription["discounts"])
    if not whole and not any(of_items.values()) and customer["discount"]:
        whole = live_discounts(world, [customer["discount"]["id"]])
    discounted(lines, {item: some for item, some in of_items.items() if some}, whole, world.coupons)
    taxed(lines, subscription["default_tax_rates"])
    invoice = invoices.invoice(
        identifier,
        now,
        customer,
        subscription["currency"],
        lines,
        billing_reason=reason,
        collection_method=subscription["collection_method"],
        default_payment_method=subscription["default_payment_method"],
        default_tax_rates=subscription["default_tax_rates"],
        discounts=[discount["id"] for discount in whole],
        parent=invoices.from_subscription(subscription),
        automatically_finalizes_at=now + DRAFT_SECONDS,
        **changes,
    )
    if subscription["collection_method"] == "send_invoice":
        invoice["due_date"] = now + (subscription["days_until_due"] or 0) * 86_400
    add_up(invoice, customer["balance"])
    world.state.put(invoice, "invoice.created")
    subscription["latest_invoice"] = identifier
    subscription["_billed"] = billed(lines, identifier) or subscription.get("_billed", {})
    spend_once(world, subscription, whole)
    return invoice


def billed(lines: list[Obj], invoice: str) -> dict[str, Obj]:
    """Per subscription item, the invoice and the lines that charged its current period: what a proration credits."""
    found: dict[str, Obj] = {}
    for one in lines:
        details = part(one, "parent", "subscription_item_details")
        if details and not details["proration"]:
            known = found.setdefault(details["subscription_item"], {"invoice": invoice, "invoice_line_items": []})
            known["invoice_line_items"].append(one["id"])
    return found


def live_discounts(world: World, identifiers: list[str]) -> list[Obj]:
    """The discounts that have not ended."""
    found = [world.state.full("discounts", identifier) for identifier in identifiers]
    return [one for one in found if one["end"] is None or one["end"] > world.clock.now]


def spend_once(world: World, subscription: Obj, used: list[Obj]) -> None:
    """Takes discounts of a coupon that applies once, and those that have ended, off the subscription."""
    spent = {one["id"] for one in used if world.coupons[one["source"]["coupon"]]["duration"] == "once"}
    live = {one["id"] for one in live_discounts(world, subscription["discounts"])}
    subscription["discounts"] = [one for one in subscription["discounts"] if one in live - spent]


def finalize(world: World, invoice: Obj, *, collects: bool = True) -> None:
    """Opens a draft, gives it its number and, if told, collects it. Totals are added up again: the balance may have
    changed. What costs nothing is paid at once either way."""
    now = world.clock.now
    customer = world.state.full("customers", invoice["customer"])
    sequence = customer["next_invoice_sequence"]
    world.state.put(customer | {"next_invoice_sequence": sequence + 1}, "customer.updated")
    add_up(invoice, customer["balance"])
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
    balance_after(world, invoice)
    world.state.put(invoice, "invoice.updated", "invoice.finalized")
    if collects or invoice["amount_due"] == 0:
        collect(world, invoice)


def void(world: World, invoice: Obj, status: str) -> None:
    """Ends an open invoice without money: `status` is void or uncollectible."""
    name, event = ("voided_at", "voided") if status == "void" else ("marked_uncollectible_at", "marked_uncollectible")
    invoice |= {"status": status, "auto_advance": False, "next_payment_attempt": None}
    invoice["status_transitions"] = invoice["status_transitions"] | {name: world.clock.now}
    world.state.put(invoice, "invoice.updated", f"invoice.{event}")
