"""Which fields `expand[]` may name, object by object, and putting the objects in their place."""

from dataclasses import dataclass
from typing import Any, Literal, cast

import msgspec

from tidegate.sandbox.answers import Refusal
from tidegate.sandbox.collection import Collection
from tidegate.sandbox.resources import BY_NAME, Obj
from tidegate.sandbox.state import State

MAX_LEVELS = 4
Tree = dict[str, "Tree"]


@dataclass(frozen=True)
class Edge:
    """How a field is entered: an id to be replaced, a part to walk through, a hidden field, or never set here."""

    how: Literal["id", "part", "hidden", "empty"]
    kind: str = ""


def _ids(**fields: str) -> dict[str, Edge]:
    return {name: Edge("id", resource) for name, resource in fields.items()}


def _parts(**fields: str) -> dict[str, Edge]:
    return {name: Edge("part", kind) for name, kind in fields.items()}


def _hidden(*names: str) -> dict[str, Edge]:
    return {name: Edge("hidden", "leaf") for name in names}


def _empty(*names: str) -> dict[str, Edge]:
    return {name: Edge("empty", "leaf") for name in names}


_PHASE_DISCOUNTS = _parts(discounts="stackable_discount")
GRAPH: dict[str, dict[str, Edge]] = {
    "leaf": {},
    "test_helpers.test_clock": {},
    "customer": _ids(test_clock="test_helpers_test_clocks")
    | _parts(discount="discount", invoice_settings="customer_invoice_settings")
    | {"subscriptions": Edge("hidden", "list:subscription")}
    | _empty("cash_balance", "default_source", "invoice_credit_balance", "sources", "tax", "tax_ids"),
    "customer_invoice_settings": _ids(default_payment_method="payment_methods"),
    "product": _ids(default_price="prices") | _empty("tax_code"),
    "price": _ids(product="products") | _hidden("tiers", "currency_options"),
    "plan": _ids(product="products") | _empty("tiers"),
    "coupon": _hidden("applies_to", "currency_options"),
    "promotion_code": _ids(customer="customers") | _parts(promotion="coupon_source"),
    "coupon_source": _ids(coupon="coupons"),
    "discount": _ids(customer="customers", promotion_code="promotion_codes") | _parts(source="coupon_source"),
    "stackable_discount": _ids(coupon="coupons", discount="discounts", promotion_code="promotion_codes"),
    "tax_rate": {},
    "subscription": _ids(
        customer="customers",
        default_payment_method="payment_methods",
        discounts="discounts",
        latest_invoice="invoices",
        schedule="subscription_schedules",
        test_clock="test_helpers_test_clocks",
    )
    | _parts(items="list:subscription_item", default_tax_rates="tax_rate", pending_update="pending_update")
    | _empty("application", "default_source", "on_behalf_of", "pending_setup_intent"),
    "pending_update": _ids(discounts="discounts") | _parts(subscription_items="subscription_item"),
    "subscription_item": _ids(discounts="discounts") | _parts(price="price", plan="plan", tax_rates="tax_rate"),
    "subscription_schedule": _ids(
        customer="customers", subscription="subscriptions", test_clock="test_helpers_test_clocks"
    )
    | _parts(phases="schedule_phase", default_settings="schedule_settings")
    | _empty("application"),
    "schedule_settings": _ids(default_payment_method="payment_methods") | _empty("on_behalf_of"),
    "schedule_phase": _ids(default_payment_method="payment_methods")
    | _empty("on_behalf_of")
    | _parts(items="schedule_item", default_tax_rates="tax_rate")
    | _PHASE_DISCOUNTS,
    "schedule_item": _ids(price="prices") | _parts(tax_rates="tax_rate") | _PHASE_DISCOUNTS,
    "invoice": _ids(
        customer="customers",
        default_payment_method="payment_methods",
        discounts="discounts",
        test_clock="test_helpers_test_clocks",
    )
    | _parts(
        lines="list:line_item",
        parent="invoice_parent",
        default_tax_rates="tax_rate",
        total_discount_amounts="discount_amount",
    )
    | {"payments": Edge("hidden", "list:invoice_payment")}
    | _empty(
        "account_tax_ids",
        "application",
        "confirmation_secret",
        "default_source",
        "latest_revision",
        "on_behalf_of",
        "total_pretax_credit_amounts",
    ),
    "invoice_parent": _parts(subscription_details="invoice_parent_subscription"),
    "invoice_parent_subscription": _ids(subscription="subscriptions"),
    "discount_amount": _ids(discount="discounts"),
    "line_item": _ids(discounts="discounts", subscription="subscriptions")
    | _parts(pricing="line_pricing", discount_amounts="discount_amount")
    | _empty("pretax_credit_amounts"),
    "line_pricing": _parts(price_details="line_price_details"),
    "line_price_details": _ids(price="prices"),
    "invoiceitem": _ids(
        customer="customers", discounts="discounts", invoice="invoices", test_clock="test_helpers_test_clocks"
    )
    | _parts(pricing="line_pricing", tax_rates="tax_rate"),
    "invoice_payment": _ids(invoice="invoices") | _parts(payment="invoice_payment_payment"),
    "invoice_payment_payment": _ids(payment_intent="payment_intents", charge="charges") | _empty("payment_record"),
    "quote": _ids(
        customer="customers",
        invoice="invoices",
        subscription="subscriptions",
        subscription_schedule="subscription_schedules",
        discounts="discounts",
        test_clock="test_helpers_test_clocks",
    )
    | _parts(computed="quote_computed")
    | {"line_items": Edge("hidden", "list:item")}
    | _empty("application", "default_tax_rates", "on_behalf_of"),
    "quote_computed": _parts(upfront="quote_upfront"),
    "quote_upfront": _empty("line_items"),
    "item": _parts(price="price") | _empty("discounts", "taxes"),
    "charge": _ids(customer="customers", payment_intent="payment_intents")
    | {"refunds": Edge("hidden", "list:refund")}
    | _empty(
        "application",
        "application_fee",
        "balance_transaction",
        "failure_balance_transaction",
        "on_behalf_of",
        "review",
        "source_transfer",
        "transfer",
    ),
    "payment_intent": _ids(customer="customers", latest_charge="charges", payment_method="payment_methods")
    | _empty("application", "on_behalf_of", "payment_record", "review", "source"),
    "payment_method": _ids(customer="customers"),
    "refund": _ids(
        charge="charges", payment_intent="payment_intents", customer="customers", payment_method="payment_methods"
    )
    | _empty("balance_transaction", "failure_balance_transaction", "source_transfer_reversal", "transfer_reversal"),
    "credit_note": _ids(customer="customers", invoice="invoices")
    | _parts(lines="list:credit_note_line_item", refunds="credit_note_refund", discount_amounts="discount_amount")
    | _empty("customer_balance_transaction"),
    "credit_note_refund": _ids(refund="refunds"),
    "credit_note_line_item": _parts(tax_rates="tax_rate", discount_amounts="discount_amount"),
    "dispute": _ids(charge="charges", payment_intent="payment_intents") | _empty("balance_transactions"),
    "entitlements.feature": {},
    "billing.meter": {},
    "product_feature": _parts(entitlement_feature="entitlements.feature"),
    "account": _empty("external_accounts"),
    "event": {},
    "balance": {},
}


def edges(kind: str) -> dict[str, Edge]:
    """The fields that can be entered from an object, a part of one or a list of them."""
    return {"data": Edge("part", kind[5:])} if kind.startswith("list:") else GRAPH[kind]


def parse(paths: list[str], kind: str) -> Tree:
    """The paths as a tree. Raises Refusal (400) for one too deep or naming what cannot be expanded."""
    tree: Tree = {}
    for path in paths:
        steps = path.split(".")
        if len(steps) > MAX_LEVELS:
            raise Refusal(
                400, f"You cannot expand more than {MAX_LEVELS} levels of a property. Property: {path}", param="expand"
            )
        branch, at = tree, kind
        for position, step in enumerate(steps):
            edge = edges(at).get(step)
            if edge is None:
                raise Refusal(
                    400, f"This property cannot be expanded ({'.'.join(steps[: position + 1])}).", param="expand"
                )
            at = BY_NAME[edge.kind].object if edge.how == "id" else edge.kind
            branch = branch.setdefault(step, {})
    return tree


def expanded(state: State, obj: Obj, kind: str, tree: Tree) -> Obj:
    """The object with the tree's fields in place; changes and returns it."""
    for name, below in tree.items():
        edge = edges(kind)[name]
        if edge.how == "id":
            target = BY_NAME[edge.kind].object
            obj[name] = _replaced(state, edge.kind, obj.get(name))
            _into(state, obj[name], target, below)
        elif edge.how == "hidden":
            obj[name] = _revealed(state, obj, name)
            _into(state, obj[name], edge.kind, below)
        elif edge.how == "part":
            _into(state, obj.get(name), edge.kind, below)
    return obj


def _into(state: State, value: Any, kind: str, tree: Tree) -> None:
    if not tree:
        return
    for one in cast(list[Any], value) if isinstance(value, list) else [value]:
        if isinstance(one, dict) and "deleted" not in one:
            expanded(state, cast(Obj, one), kind, tree)


def _replaced(state: State, resource: str, value: Any) -> Any:
    if isinstance(value, list):
        return [fetched(state, resource, one) for one in cast(list[Any], value)]
    return fetched(state, resource, value)


def fetched(state: State, resource: str, value: Any) -> Any:
    """The object behind an id, its deleted form, or the value as it is when the sandbox has no such object."""
    if not isinstance(value, str):
        return value
    if value in state[resource]:
        return state[resource].shown(value)
    if value in state.former:
        return msgspec.json.decode(state.former[value])
    if value in state.deleted[resource]:
        return {"id": value, "object": BY_NAME[resource].object, "deleted": True}
    return value


def _revealed(state: State, obj: Obj, name: str) -> Any:
    match obj["object"], name:
        case "customer", "subscriptions":
            return _related(state, "subscriptions", "customer", obj, f"/v1/customers/{obj['id']}/subscriptions")
        case "invoice", "payments":
            return _related(state, "invoice_payments", "invoice", obj, f"/v1/invoice_payments?invoice={obj['id']}")
        case "charge", "refunds":
            return _related(state, "refunds", "charge", obj, f"/v1/charges/{obj['id']}/refunds")
        case "quote", "line_items":
            return _first_children(state["quotes"], obj["id"])
        case kind, _:
            collection = state[{"price": "prices", "coupon": "coupons"}[kind]]
            rendered = collection.hidden.get(obj["id"], {}).get(name)
            return msgspec.json.decode(rendered) if rendered else None


def _related(state: State, resource: str, name: str, obj: Obj, url: str) -> Obj:
    found = list(state[resource].find(name, obj["id"]))[::-1]
    data = [state[resource].shown(identifier) for identifier in found]
    data = [one for one in data if resource != "subscriptions" or one["status"] != "canceled"]
    return {"object": "list", "data": data[:10], "has_more": len(data) > 10, "url": url}


def _first_children(collection: Collection, identifier: str) -> Obj:
    children = collection.children(identifier)
    return {
        "object": "list",
        "data": [msgspec.json.decode(child) for child in children[:10]],
        "has_more": len(children) > 10,
        "url": collection.resource.nested_url.format(id=identifier),
    }


def rendered(state: State, collection: Collection, identifier: str, tree: Tree) -> bytes:
    """The object's body with the tree's fields in place; bodies that have nothing to expand are not decoded."""
    body = collection.body(identifier)
    return _put(state, collection, identifier, body, _needed(collection, body, tree))


def rendered_page(state: State, collection: Collection, identifiers: list[str], tree: Tree) -> list[bytes]:
    """The same of many; of those that are made from one template the first is looked at for all."""
    of_template: Tree | None = None
    page: list[bytes] = []
    for identifier in identifiers:
        body = collection.body(identifier)
        if not collection.from_template(identifier):
            needed = _needed(collection, body, tree)
        else:
            of_template = needed = _needed(collection, body, tree) if of_template is None else of_template
        page.append(_put(state, collection, identifier, body, needed))
    return page


def _needed(collection: Collection, body: bytes, tree: Tree) -> Tree:
    """What of the tree there is to expand in a body."""
    fields = edges(collection.resource.object)
    return {name: below for name, below in tree.items() if _worth(body, name, fields[name], below)}


def _put(state: State, collection: Collection, identifier: str, body: bytes, needed: Tree) -> bytes:
    if not needed:
        return body
    kind = collection.resource.object
    stored = collection.hidden.get(identifier, {})
    if all(name in ("tiers", "currency_options", "applies_to") for name in needed):
        added = b"".join(b',"%s":%s' % (name.encode(), stored.get(name, b"null")) for name in needed)
        return body[:-1] + added + b"}"
    return msgspec.json.encode(expanded(state, msgspec.json.decode(body), kind, needed))


def _worth(body: bytes, name: str, edge: Edge, below: Tree) -> bool:
    """Whether the field, or anything to expand below it, may be set somewhere in the body."""
    if edge.how == "empty":
        return False
    if edge.how == "part":
        fields = edges(edge.kind)
        return any(_worth(body, inner, fields[inner], further) for inner, further in below.items())
    quoted = name.encode()
    return edge.how != "id" or b'"%s":"' % quoted in body or b'"%s":["' % quoted in body
