"""Adds up an invoice: discounts, taxes, totals, what is due."""

from typing import Any

from tidegate.sandbox.amounts import reductions, tax_on
from tidegate.sandbox.objects.invoices import tax
from tidegate.sandbox.resources import Obj, part


def discounted(
    lines: list[Obj], of_items: dict[str, list[Obj]], of_invoice: list[Obj], coupons: dict[str, Obj]
) -> None:
    """Writes `discount_amounts` on the lines: their items' discounts first, then the invoice's, each on what is left.

    `of_items` are discounts by subscription item id; proration lines are not discountable, their amounts are net.
    """
    for one in lines:
        one["discount_amounts"] = []
    for item, discounts in of_items.items():
        own = [one for one in lines if one["discountable"] and item_of(one) == item]
        for one in own:
            one["discounts"] = [discount["id"] for discount in discounts]
        _take_off(own, discounts, coupons)
    _take_off([one for one in lines if one["discountable"]], of_invoice, coupons)


def _take_off(lines: list[Obj], discounts: list[Obj], coupons: dict[str, Obj]) -> None:
    for discount in discounts:
        if not lines:
            return
        products = [part(one, "pricing", "price_details").get("product", "") for one in lines]
        coupon = coupons[discount["source"]["coupon"]]
        taken = reductions(coupon, [net(one) for one in lines], products, lines[0]["currency"])
        for one, amount in zip(lines, taken, strict=True):
            if amount:
                one["discount_amounts"] = [*one["discount_amounts"], {"amount": amount, "discount": discount["id"]}]


def net(line: Obj) -> int:
    """What a line costs after its discounts, minor units."""
    return line["amount"] - sum(share["amount"] for share in line["discount_amounts"])


def item_of(line: Obj) -> str | None:
    """The subscription item that caused a line."""
    return part(line, "parent", "subscription_item_details").get("subscription_item")


def note_billed(subscription: Obj, lines: list[Obj], invoice: str) -> None:
    """Notes on a subscription which lines last charged each item, for which span and how much (minor units, net of
    discounts): what a later proration credits."""
    known: Obj = dict(subscription.get("_billed", {}))
    for one in lines:
        details = part(one, "parent", "subscription_item_details")
        if not details or one["amount"] < 0 or part(details, "proration_details").get("credited_items"):
            continue
        item, span = details["subscription_item"], {"start": one["period"]["start"], "end": one["period"]["end"]}
        entry: Obj = known.get(item, {})
        if details["proration"] or entry.get("invoice") != invoice or entry | span != entry:
            entry = {"invoice": invoice, "lines": [], "net": 0, **span}
        known[item] = entry | {"lines": [*entry["lines"], one["id"]], "net": entry["net"] + net(one)}
    subscription["_billed"] = known


def taxed(lines: list[Obj], rates: list[Obj]) -> None:
    """Writes `taxes` on the lines, on what is left after discounts."""
    for one in lines:
        amount = net(one)
        one["taxes"] = [tax(tax_on(amount, rate), amount, rate["id"], inclusive=rate["inclusive"]) for rate in rates]


def add_up(invoice: Obj, balance: int) -> None:
    """Writes an invoice's totals from its lines; `balance` is the customer's, minor units, negative is credit."""
    sums, taken = totals_of(invoice["lines"]["data"])
    due = max(0, sums["total"] + balance)
    invoice |= sums | {
        "total_discount_amounts": taken,
        "starting_balance": balance,
        "amount_due": due,
        "amount_remaining": due,
        "amount_paid": 0,
    }


def add_up_note(note: Obj) -> None:
    """Writes a credit note's totals from its lines."""
    sums, taken = totals_of(note["lines"]["data"])
    discount = sum(one["amount"] for one in taken)
    note |= sums | {"amount": sums["total"], "discount_amount": discount, "discount_amounts": taken}


def totals_of(lines: list[Obj]) -> tuple[Obj, list[Obj]]:
    """The totals, before and after tax, that invoices and credit notes have of their lines, minor units; and what each
    discount took off."""
    taxes = _sum_taxes(lines)
    exclusive = sum(one["amount"] for one in taxes if one["tax_behavior"] == "exclusive")
    inclusive = sum(one["amount"] for one in taxes if one["tax_behavior"] == "inclusive")
    taken = _sum_discounts(lines)
    subtotal = sum(one["amount"] for one in lines)
    total = subtotal - sum(one["amount"] for one in taken) + exclusive
    sums: Obj = {
        "subtotal": subtotal,
        "subtotal_excluding_tax": subtotal - inclusive,
        "total": total,
        "total_excluding_tax": total - exclusive - inclusive,
        "total_taxes": taxes,
    }
    return sums, taken


def ending_balance(invoice: Obj) -> int:
    """The customer's balance after an invoice, minor units."""
    return invoice["starting_balance"] + invoice["total"] - invoice["amount_due"]


def _sum_discounts(lines: list[Obj]) -> list[Obj]:
    sums: dict[str, int] = {}
    for share in (share for one in lines for share in one["discount_amounts"]):
        sums[share["discount"]] = sums.get(share["discount"], 0) + share["amount"]
    return [{"amount": amount, "discount": discount} for discount, amount in sums.items()]


def _sum_taxes(lines: list[Obj]) -> list[Obj]:
    sums: dict[str, dict[str, Any]] = {}
    for share in (share for one in lines for share in one["taxes"]):
        known = sums.setdefault(share["tax_rate_details"]["tax_rate"], share | {"amount": 0, "taxable_amount": 0})
        known["amount"] += share["amount"]
        known["taxable_amount"] += share["taxable_amount"]
    return list(sums.values())
