"""Prices, made and changed: they are never deleted."""

from typing import Any

from tidegate.sandbox.answers import Refusal
from tidegate.sandbox.objects import catalog
from tidegate.sandbox.objects.subscriptions import plan_of, shown_price
from tidegate.sandbox.params import empty, required
from tidegate.sandbox.resources import Obj
from tidegate.sandbox.writes.calls import (
    Call,
    Write,
    currency_of,
    exclusive,
    metadata,
    needs_value,
    not_negative,
    taken,
)

LONGEST_INTERVAL = {"day": 1095, "week": 156, "month": 36, "year": 3}
"""The most that `interval_count` may be: three years (docs.stripe.com/api/prices/create)."""


def create(call: Call) -> Obj:
    """A new price of a product, or of one made along with it."""
    given = call.given
    exclusive(given, "product", "product_data")
    currency = currency_of(given)
    recurring = every(given.get("recurring"))
    if given.get("product"):
        product = call.referred("products", given["product"], "product")["id"]
    elif given.get("product_data"):
        product = given["product_data"].get("id") or call.world.ids.new("prod_")
    else:
        raise required("product")
    price = new_price(call, given, product, currency, recurring, "")
    released = released_key(call, given, price["id"])
    if given.get("product_data"):
        named(call, given["product_data"] | {"id": product}, "product_data")
    if released:
        call.state.put(released | {"lookup_key": None}, "price.updated")
    return call.stored(price, "price.created")


def named(call: Call, data: Obj, param: str) -> Obj:
    """The product of an inline `product_data`, stored. Raises Refusal (400)."""
    if not data.get("name"):
        raise required(f"{param}[name]")
    identifier = data.get("id") or call.world.ids.new("prod_")
    if identifier in call.state["products"]:
        raise Refusal(400, "Product already exists.", "resource_already_exists", f"{param}[id]")
    changes = taken(data, "active", "statement_descriptor", "tax_code", "unit_label") | metadata({}, data)
    return call.stored(catalog.product(identifier, call.now, data["name"], **changes), "product.created")


def new_price(
    call: Call, given: Obj, product: str, currency: str, recurring: Obj | None, param: str, **changes: Any
) -> Obj:
    """A price by its parameters, not stored; `param` is the name they stand under. Raises Refusal (400)."""
    exclusive(given, "unit_amount", "unit_amount_decimal")
    not_negative(given, "unit_amount", "unit_amount_decimal")
    tiers = tiers_of(given.get("tiers"))
    if given.get("billing_scheme", "per_unit") == "tiered" or tiers:
        for name in ("tiers", "tiers_mode"):
            if not given.get(name):
                raise required(name)
        if given.get("billing_scheme") != "tiered":
            raise Refusal(400, "tiers can only be set if billing_scheme is `tiered`.", param="tiers")
        amount = None
    else:
        amount = given.get("unit_amount", given.get("unit_amount_decimal"))
        if amount is None:
            raise required(f"{param}[unit_amount]" if param else "unit_amount")
    changes |= taken(given, "active", "lookup_key", "nickname", "tiers_mode", "tax_behavior", "transform_quantity")
    if recurring:
        changes |= taken(recurring, "usage_type", "meter")
        metered_by(call, recurring, param)
    interval = (recurring["interval"], recurring["interval_count"]) if recurring else None
    price = catalog.price(
        call.world.ids.new("price_1", 23),
        call.now,
        product,
        currency,
        amount,
        interval,
        **changes,
        **metadata({}, given),
        **({"tiers": tiers} if tiers else {}),
    )
    if isinstance(amount, str) and amount.isdigit():
        price["unit_amount"] = int(amount)
        price["currency_options"] = {currency: catalog.currency_option(price)}
    return price


def metered_by(call: Call, recurring: Obj, param: str) -> None:
    """Passes for a price whose meter, if it has one, is there and active. Raises Refusal (400)."""
    if not recurring.get("meter"):
        return
    inner = f"{param}[recurring][meter]" if param else "recurring[meter]"
    meter = call.referred("billing_meters", recurring["meter"], inner)
    if meter["status"] != "active":
        raise Refusal(400, f"The meter {meter['id']} is deactivated, and a price takes an active one.", param=inner)


def every(recurring: Obj | None) -> Obj | None:
    """The checked `recurring` of a price, whole. Raises Refusal (400)."""
    if recurring is None:
        return None
    count, most = recurring.get("interval_count", 1), LONGEST_INTERVAL[recurring["interval"]]
    if not 1 <= count <= most:
        raise Refusal(
            400,
            f"Invalid recurring[interval_count]: must be from 1 to {most} for the interval {recurring['interval']}.",
            param="recurring[interval_count]",
        )
    if recurring.get("usage_type") == "metered" and not recurring.get("meter"):
        raise required("recurring[meter]")
    return recurring | {"interval_count": count}


def tiers_of(given: list[Obj] | None) -> list[Obj]:
    """The tiers of a price: rising, the last without end. Raises Refusal (400)."""
    tiers: list[Obj] = []
    for position, tier in enumerate(given or []):
        exclusive(tier, "unit_amount", "unit_amount_decimal")
        up_to = None if tier["up_to"] == "inf" else tier["up_to"]
        last = position == len(given or []) - 1
        before = tiers[-1]["up_to"] if tiers else 0
        if (up_to is None) != last or (up_to is not None and up_to <= before):
            raise Refusal(
                400,
                "The tiers must have rising values of up_to, and only the last must have `inf`.",
                param=f"tiers[{position}][up_to]",
            )
        tiers.append(
            {
                "flat_amount": whole(tier, "flat_amount"),
                "flat_amount_decimal": decimal(tier, "flat_amount"),
                "unit_amount": whole(tier, "unit_amount"),
                "unit_amount_decimal": decimal(tier, "unit_amount"),
                "up_to": up_to,
            }
        )
    return tiers


def decimal(given: Obj, name: str) -> str | None:
    """An amount in minor units as its `…_decimal` shows it, from either of its two parameters."""
    value = given.get(name, given.get(f"{name}_decimal"))
    return None if value is None else str(value)


def whole(given: Obj, name: str) -> int | None:
    """An amount in whole minor units, None when it has a fraction."""
    text = decimal(given, name)
    return int(text) if text is not None and text.lstrip("-").isdigit() else None


def released_key(call: Call, given: Obj, price: str) -> Obj | None:
    """The price that has to give up its lookup key, if any. Raises Refusal (400) when it would keep it."""
    key = given.get("lookup_key")
    holder = next(call.state["prices"].find("lookup_keys", key), None) if key else None
    if holder in (None, price):
        return None
    if not given.get("transfer_lookup_key"):
        raise Refusal(
            400,
            f"A price (`{holder}`) already uses that lookup key. You can transfer it with `transfer_lookup_key`.",
            "resource_already_exists",
            "lookup_key",
        )
    return call.state.full("prices", str(holder))


def update(call: Call) -> Obj:
    """Changes a price's key, names and whether it is sold; what it costs never changes."""
    price, given = call.addressed("prices"), call.given
    needs_value(given, "active")
    if "tax_behavior" in given and price["tax_behavior"] not in ("unspecified", given["tax_behavior"]):
        raise Refusal(400, "The tax behavior of a price cannot be changed once it is specified.", param="tax_behavior")
    released = released_key(call, given, price["id"])
    changes = taken(given, "active", "lookup_key", "nickname", "tax_behavior") | metadata(price["metadata"], given)
    if released:
        call.state.put(released | {"lookup_key": None}, "price.updated")
    changed = call.stored(price | changes, "price.updated")
    for role, known in call.world.prices.items():
        if known["id"] == price["id"]:
            call.world.prices[role] = changed
    embed(call, changed)
    return changed


def embed(call: Call, price: Obj) -> None:
    """Has the subscriptions show the price as it now is; that is no change of theirs."""
    for identifier in list(call.state["subscriptions"].find("price", price["id"])):
        subscription = call.state.full("subscriptions", identifier)
        for item in subscription["items"]["data"]:
            if item["price"]["id"] == price["id"]:
                item |= {"price": shown_price(price), "plan": plan_of(price)}
        call.state.put(subscription)


def chosen(call: Call, given: Obj, param: str) -> Obj:
    """The price that `price` names or `price_data` makes (not stored yet, see `keep`). Raises Refusal (400)."""
    exclusive(given, "price", "price_data")
    data: Obj | None = given.get("price_data")
    if data is None:
        name = given.get("price")
        if name is None:
            raise required(f"{param}[price]" if param else "price")
        if name == "":
            raise empty(f"{param}[price]")
        price = call.referred("prices", name, f"{param}[price]" if param else "price")
        if not price["active"]:
            raise Refusal(
                400,
                f"The price specified is inactive. This field only accepts active prices: '{name}'.",
                param=f"{param}[price]" if param else "price",
            )
        return price
    inner = f"{param}[price_data]" if param else "price_data"
    product = call.referred("products", data["product"], f"{inner}[product]")["id"]
    currency = currency_of(data, f"{inner}[currency]")
    made = new_price(call, data, product, currency, every(data.get("recurring")), inner, active=False)
    return made | {"_inline": True}


def keep(call: Call, price: Obj) -> None:
    """Stores the price of an inline `price_data`; one that exists stays as it is."""
    if price["id"] not in call.state["prices"]:
        call.state.put(price, "price.created")


WRITES = (
    Write(
        "POST",
        "/v1/prices",
        "prices",
        "price",
        "PriceCreateParams",
        create,
        (
            *("active", "billing_scheme", "currency", "lookup_key", "metadata", "nickname", "product", "tax_behavior"),
            *("tiers", "tiers_mode", "transfer_lookup_key", "transform_quantity", "unit_amount", "unit_amount_decimal"),
            *(f"recurring[{name}]" for name in ("interval", "interval_count", "usage_type", "meter")),
            *(f"product_data[{name}]" for name in ("active", "id", "metadata", "name", "statement_descriptor")),
            *("product_data[tax_code]", "product_data[unit_label]"),
        ),
    ),
    Write(
        "POST",
        "/v1/prices/{id}",
        "prices",
        "price",
        "PriceUpdateParams",
        update,
        ("active", "lookup_key", "metadata", "nickname", "tax_behavior", "transfer_lookup_key"),
    ),
)
