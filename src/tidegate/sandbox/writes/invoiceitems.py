"""Invoice items: charges and credits that wait for the next invoice, or stand on a draft."""

from tidegate.sandbox.amounts import amount_of
from tidegate.sandbox.answers import Refusal
from tidegate.sandbox.objects import invoices
from tidegate.sandbox.params import required
from tidegate.sandbox.redemptions import live_discounts
from tidegate.sandbox.resources import Obj, part
from tidegate.sandbox.totals import add_up, discounted, taxed
from tidegate.sandbox.writes.calls import (
    Call,
    Write,
    currency_of,
    deleted,
    exclusive,
    metadata,
    needs_value,
    not_negative,
    owner,
    taken,
)
from tidegate.sandbox.writes.prices import chosen, keep, whole

PLAIN = ("description", "discountable", "period", "metadata")
AMOUNTS = ("amount", "quantity", "unit_amount_decimal", "pricing[price]", "price_data")


def create(call: Call) -> Obj:
    """A new item: for the next invoice, for a subscription's next one, or on a draft."""
    given = call.given
    draft = call.referred("invoices", given["invoice"], "invoice") if given.get("invoice") else None
    if draft:
        editable(draft, "invoice")
    customer = owner(call, draft, "invoice")
    period: Obj = given.get("period") or {"start": call.now, "end": call.now}
    item = invoices.invoiceitem(
        call.world.ids.new("ii_1", 23),
        call.now,
        customer["id"],
        "",
        0,
        1,
        (period["start"], period["end"]),
        **taken(given, "description", "discountable"),
        **metadata({}, given),
    )
    item |= cost(call, item | {"currency": draft["currency"] if draft else customer["currency"] or "usd"})
    if draft and item["currency"] != draft["currency"]:
        raise Refusal(400, f"The invoice is in {draft['currency']}, the item in {item['currency']}.", param="currency")
    if given.get("subscription"):
        of = call.referred("subscriptions", given["subscription"], "subscription")
        if of["customer"] != customer["id"]:
            raise Refusal(400, "The subscription belongs to another customer.", param="subscription")
        details: Obj = {"subscription": of["id"], "subscription_item": None}
        item["parent"] = {"subscription_details": details, "type": "subscription_details"}
    if draft is None:
        return call.stored(item, "invoiceitem.created")
    item["invoice"] = draft["id"]
    call.state.put(item, "invoiceitem.created")
    draft["lines"]["data"].append(line_of(call, item, draft["id"]))
    recompose(call, draft)
    return call.state.full("invoiceitems", item["id"])


def cost(call: Call, item: Obj) -> Obj:
    """Currency, quantity, price and amount (minor units) as the parameters set them. Raises Refusal (400)."""
    given = call.given
    named: str | None = part(given, "pricing").get("price")
    priced: Obj | None = (
        {"price": named} if named else {"price_data": given["price_data"]} if given.get("price_data") else None
    )
    exclusive(given | {"pricing": named}, "amount", "pricing", "price_data", "unit_amount_decimal")
    not_negative(given, "quantity")
    quantity = given.get("quantity", item["quantity"])
    currency = currency_of(given) if given.get("currency") else item["currency"]
    changes: Obj = {"currency": currency, "quantity": quantity, "quantity_decimal": str(quantity)}
    if priced:
        price = chosen(call, priced, "" if "price_data" in priced else "pricing")
        if price["type"] != "one_time":
            raise Refusal(
                400,
                "The price specified is set to `type=recurring` but this field only accepts prices with "
                "`type=one_time`.",
                param="pricing[price]",
            )
        keep(call, price)
        amount = amount_of(price, quantity)
        changes |= {"currency": price["currency"], "pricing": invoices.pricing(price, price["unit_amount_decimal"])}
    elif given.get("unit_amount_decimal") is not None:
        unit = whole(given, "unit_amount")
        if unit is None:
            raise Refusal(400, "The sandbox takes whole minor units only here.", param="unit_amount_decimal")
        amount = unit * quantity
    elif given.get("amount") is not None:
        amount = given["amount"]
        if given.get("quantity") not in (None, 1):
            raise Refusal(400, "You cannot give both amount and quantity.", "parameters_exclusive", "quantity")
    elif "quantity" in given and item["quantity"]:
        amount = item["amount"] // item["quantity"] * quantity
    elif item["id"] not in call.state["invoiceitems"]:
        raise required("amount")
    else:
        amount = item["amount"]
    return changes | {"amount": amount, "net_amount": amount}


def line_of(call: Call, item: Obj, invoice: str) -> Obj:
    """The line that an item, which is no proration, has on an invoice."""
    return invoices.line(
        call.world.ids.new("il_1", 23),
        invoice,
        item["currency"],
        item["amount"],
        item["quantity"],
        (item["period"]["start"], item["period"]["end"]),
        description=item["description"],
        discountable=item["discountable"],
        metadata=item["metadata"],
        parent=invoices.of_invoice_item(item["id"], part(item, "parent", "subscription_details").get("subscription")),
        pricing=item["pricing"],
    )


def compose(call: Call, invoice: Obj) -> None:
    """Writes discounts, taxes and totals of a draft that no subscription made, from its lines."""
    lines: list[Obj] = invoice["lines"]["data"]
    discounted(lines, {}, live_discounts(call.world, invoice["discounts"]), call.world.coupons)
    taxed(lines, invoice["default_tax_rates"])
    add_up(invoice, call.state.full("customers", invoice["customer"])["balance"])


def recompose(call: Call, draft: Obj) -> None:
    """Adds a draft up again after its lines changed, and stores it."""
    compose(call, draft)
    call.state.put(draft, "invoice.updated")


def editable(invoice: Obj, param: str = "id") -> None:
    """Raises Refusal (400) for an invoice that is no draft, or a subscription's, which Stripe's own rules fill."""
    if invoice["status"] != "draft":
        raise Refusal(400, "This invoice is no longer editable.", "invoice_not_editable", param)
    if part(invoice, "parent", "subscription_details"):
        raise Refusal(400, "The sandbox changes the lines only of invoices that no subscription made.", param=param)


def pending(call: Call, customer: str, subscription: str | None) -> list[str]:
    """The ids of a customer's items that wait for an invoice of this subscription, or of none."""
    found = [call.state.full("invoiceitems", one) for one in call.state["invoiceitems"].find("customer", customer)]
    return [
        one["id"]
        for one in found
        if one["invoice"] is None
        and part(one, "parent", "subscription_details").get("subscription") in (subscription, None)
    ]


def update(call: Call) -> Obj:
    """Changes an item that is on no invoice, or on a draft; Stripe has no event for that."""
    item, given = call.addressed("invoiceitems"), call.given
    draft = _draft_of(call, item)
    if item["proration"] and given.keys() - {"description", "metadata"}:
        raise Refusal(400, "Of a proration only description and metadata can be changed.")
    needs_value(given, "amount", "quantity", "discountable")
    item |= taken(given, "description", "discountable", "period") | metadata(item["metadata"], given)
    item |= cost(call, item)
    call.state.put(item)
    if draft:
        _without(draft, item["id"])
        draft["lines"]["data"].append(line_of(call, item, draft["id"]))
        recompose(call, draft)
    return call.state.full("invoiceitems", item["id"])


def delete(call: Call) -> Obj:
    """Takes an item away that is on no invoice, or on a draft."""
    item = call.addressed("invoiceitems")
    draft = _draft_of(call, item)
    call.state.delete("invoiceitems", item["id"], "invoiceitem.deleted")
    if draft:
        _without(draft, item["id"])
        recompose(call, draft)
    return deleted("invoiceitem", item["id"])


def _draft_of(call: Call, item: Obj) -> Obj | None:
    if item["invoice"] is None:
        return None
    draft = call.state.full("invoices", item["invoice"])
    editable(draft)
    return draft


def _without(draft: Obj, item: str) -> None:
    draft["lines"]["data"] = [
        one for one in draft["lines"]["data"] if part(one, "parent", "invoice_item_details").get("invoice_item") != item
    ]


WRITES = (
    Write(
        "POST",
        "/v1/invoiceitems",
        "invoiceitems",
        "invoiceitem",
        "InvoiceItemCreateParams",
        create,
        (*PLAIN, *AMOUNTS, "currency", "customer", "invoice", "subscription"),
    ),
    Write(
        "POST",
        "/v1/invoiceitems/{id}",
        "invoiceitems",
        "invoiceitem",
        "InvoiceItemUpdateParams",
        update,
        (*PLAIN, *AMOUNTS),
    ),
    Write("DELETE", "/v1/invoiceitems/{id}", "invoiceitems", "leaf", "InvoiceItemDeleteParams", delete),
)
