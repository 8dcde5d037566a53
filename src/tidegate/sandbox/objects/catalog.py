"""Products, prices, coupons, promotion codes, tax rates, features: what a company sells and on which terms."""

from typing import Any

from tidegate.sandbox.resources import Obj


def product(identifier: str, created: int, name: str, *, active: bool = True, **changes: Any) -> Obj:
    """A service product."""
    obj: Obj = {
        "id": identifier,
        "object": "product",
        "active": active,
        "created": created,
        "default_price": None,
        "description": None,
        "images": [],
        "livemode": False,
        "marketing_features": [],
        "metadata": {},
        "name": name,
        "package_dimensions": None,
        "shippable": None,
        "statement_descriptor": None,
        "tax_code": None,
        "type": "service",
        "unit_label": None,
        "updated": created,
        "url": None,
    }
    return obj | changes


def price(
    identifier: str,
    created: int,
    product_id: str,
    currency: str,
    unit_amount: int | str | None,
    every: tuple[str, int] | None,
    **changes: Any,
) -> Obj:
    """A price; `unit_amount` in minor units, a string when it has a fraction; `every` is (interval, count), None for
    one time. `tiers` and `usage_type` may be among the changes."""
    usage_type, meter = changes.pop("usage_type", "licensed"), changes.pop("meter", None)
    tiers: list[Obj] | None = changes.pop("tiers", None)
    recurring = None
    if every:
        recurring = {
            "interval": every[0],
            "interval_count": every[1],
            "meter": meter,
            "trial_period_days": None,
            "usage_type": usage_type,
        }
    obj: Obj = {
        "id": identifier,
        "object": "price",
        "active": True,
        "billing_scheme": "tiered" if tiers else "per_unit",
        "created": created,
        "currency": currency,
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": None,
        "metadata": {},
        "nickname": None,
        "product": product_id,
        "recurring": recurring,
        "tax_behavior": "unspecified",
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "recurring" if every else "one_time",
        "unit_amount": unit_amount if isinstance(unit_amount, int) else None,
        "unit_amount_decimal": None if unit_amount is None else str(unit_amount),
    } | changes
    if tiers:
        obj["tiers"] = tiers
    obj.setdefault("currency_options", {currency: currency_option(obj)})
    return obj


def currency_option(price: Obj) -> Obj:
    """What a price costs in its own currency, as its `currency_options` says."""
    option = {
        name: price[name] for name in ("custom_unit_amount", "tax_behavior", "unit_amount", "unit_amount_decimal")
    }
    return option | ({"tiers": price["tiers"]} if price.get("tiers") else {})


def tier(up_to: int | None, unit_amount: int | None = None, flat_amount: int | None = None) -> Obj:
    """One tier; amounts in minor units, `up_to` None for the last."""
    return {
        "flat_amount": flat_amount,
        "flat_amount_decimal": None if flat_amount is None else str(flat_amount),
        "unit_amount": unit_amount,
        "unit_amount_decimal": None if unit_amount is None else str(unit_amount),
        "up_to": up_to,
    }


def coupon(identifier: str, created: int, name: str, duration: str, **changes: Any) -> Obj:
    """A coupon: `percent_off`, or `amount_off` (minor units) with `currency`, among the changes."""
    products: list[str] | None = changes.pop("applies_to", None)
    obj: Obj = {
        "id": identifier,
        "object": "coupon",
        "amount_off": None,
        "created": created,
        "currency": None,
        "duration": duration,
        "duration_in_months": None,
        "livemode": False,
        "max_redemptions": None,
        "metadata": {},
        "name": name,
        "percent_off": None,
        "redeem_by": None,
        "times_redeemed": 0,
        "valid": True,
    }
    obj |= changes
    if products:
        obj["applies_to"] = {"products": products}
    if obj["amount_off"] is not None:
        obj["currency_options"] = {obj["currency"]: {"amount_off": obj["amount_off"]}}
    return obj


def promotion_code(identifier: str, created: int, code: str, coupon_id: str, **changes: Any) -> Obj:
    """A code that gives a coupon."""
    obj: Obj = {
        "id": identifier,
        "object": "promotion_code",
        "active": True,
        "code": code,
        "created": created,
        "customer": None,
        "customer_account": None,
        "expires_at": None,
        "livemode": False,
        "max_redemptions": None,
        "metadata": {},
        "promotion": {"coupon": coupon_id, "type": "coupon"},
        "restrictions": {"first_time_transaction": False, "minimum_amount": None, "minimum_amount_currency": None},
        "times_redeemed": 0,
    }
    return obj | changes


def discount(identifier: str, coupon_id: str, start: int, end: int | None, **changes: Any) -> Obj:
    """A coupon at work on a customer, a subscription or an item."""
    obj: Obj = {
        "id": identifier,
        "object": "discount",
        "checkout_session": None,
        "customer": None,
        "customer_account": None,
        "end": end,
        "invoice": None,
        "invoice_item": None,
        "promotion_code": None,
        "source": {"coupon": coupon_id, "type": "coupon"},
        "start": start,
        "subscription": None,
        "subscription_item": None,
        "_created": start,
    }
    return obj | changes


def tax_rate(identifier: str, created: int, name: str, country: str, percentage: float, *, inclusive: bool) -> Obj:
    """A tax rate in percent."""
    return {
        "id": identifier,
        "object": "tax_rate",
        "active": True,
        "country": country,
        "created": created,
        "description": None,
        "display_name": name,
        "effective_percentage": percentage,
        "flat_amount": None,
        "inclusive": inclusive,
        "jurisdiction": country,
        "jurisdiction_level": "country",
        "livemode": False,
        "metadata": {},
        "percentage": percentage,
        "rate_type": "percentage",
        "state": None,
        "tax_type": "vat" if country != "JP" else "jct",
    }


def feature(identifier: str, created: int, key: str, name: str) -> Obj:
    """An entitlement feature."""
    return {
        "id": identifier,
        "object": "entitlements.feature",
        "active": True,
        "livemode": False,
        "lookup_key": key,
        "metadata": {},
        "name": name,
        "_created": created,
    }


def product_feature(identifier: str, created: int, product_id: str, granted: Obj) -> Obj:
    """A feature attached to a product; the product is known only by the path it is listed under."""
    shown = {name: value for name, value in granted.items() if not name.startswith("_")}
    return {
        "id": identifier,
        "object": "product_feature",
        "entitlement_feature": shown,
        "livemode": False,
        "_product": product_id,
        "_created": created,
    }
