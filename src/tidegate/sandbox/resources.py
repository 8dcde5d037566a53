"""One row per kind of object that the sandbox serves: path, filters, what a list hides."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

Obj = dict[str, Any]
PRIVATE = frozenset({"_billed", "_created", "_credited", "_inline", "_product", "_role", "_test"})
"""What the sandbox notes on objects for itself and never shows."""

Lens = str | Callable[[Obj], tuple[str, ...]]


@dataclass(frozen=True)
class Resource:
    """A kind of object.

    `filters` maps a list parameter to where its value stands in the object (a dotted path, `[]` for each of a list);
    `ranges` does so for parameters that take gt, gte, lt and lte. `nested` is the list inside the object of which at
    most ten are shown; `hidden` are fields shown only when expanded. `removed` is the type of the event
    that Stripe sends when one is deleted, None when it knows no such event. `defaults` are the filters of a list that
    names none of that parameter; objects that are `apart` are in no list, unless a parameter of `unless` is given.
    """

    name: str
    object: str
    prefix: str
    path: str | None
    filters: tuple[tuple[str, Lens], ...] = ()
    ranges: tuple[tuple[str, str], ...] = ()
    created: bool = True
    nested: str | None = None
    nested_url: str = ""
    hidden: tuple[str, ...] = ()
    removed: str | None = None
    counted: bool = True
    defaults: tuple[tuple[str, str], ...] = ()
    apart: Callable[[Obj], bool] | None = None
    unless: frozenset[str] = frozenset()

    @cached_property
    def concealed(self) -> frozenset[str]:
        """The fields that a list does not show: Stripe's hidden ones and the sandbox's own."""
        return frozenset(self.hidden) | PRIVATE


def _same(*names: str) -> tuple[tuple[str, Lens], ...]:
    return tuple((name, name) for name in names)


def part(obj: Obj, *names: str) -> Obj:
    """The object under a path of names; empty when something on the way is null or absent."""
    for name in names:
        obj = cast(Obj, obj.get(name) or {})
    return obj


def _invoice_subscription(invoice: Obj) -> tuple[str, ...]:
    details = part(invoice, "parent", "subscription_details")
    return (details["subscription"],) if details.get("subscription") else ()


def _pending(item: Obj) -> tuple[str, ...]:
    return ("true" if item.get("invoice") is None else "false",)


def _scheduled(schedule: Obj) -> tuple[str, ...]:
    return ("true" if schedule.get("status") == "not_started" else "false",)


def _subscription_status(subscription: Obj) -> tuple[str, ...]:
    status = subscription["status"]
    ended = ("ended",) if status in ("canceled", "incomplete_expired") else ()
    shown = () if status == "canceled" else ("",)
    return (status, "all", *ended, *shown)


def _inline(price: Obj) -> bool:
    return bool(price.get("_inline"))


def _on_a_clock(obj: Obj) -> bool:
    return obj.get("test_clock") is not None


def _event_groups(event: Obj) -> tuple[str, ...]:
    """An event's type and every group that it is in: invoice.paid is one of invoice.* too."""
    words = str(event["type"]).split(".")
    return (event["type"], *(f"{'.'.join(words[:n])}.*" for n in range(1, len(words))), "*")


RESOURCES: tuple[Resource, ...] = (
    Resource(
        "test_helpers_test_clocks",
        "test_helpers.test_clock",
        "clock_",
        "test_helpers/test_clocks",
        created=False,
        removed="test_helpers.test_clock.deleted",
    ),
    Resource(
        "customers",
        "customer",
        "cus_",
        "customers",
        _same("email", "test_clock"),
        removed="customer.deleted",
        apart=_on_a_clock,
        unless=frozenset({"test_clock"}),
    ),
    Resource(
        "products",
        "product",
        "prod_",
        "products",
        (*_same("active", "shippable", "url", "type"), ("ids", "id")),
        removed="product.deleted",
    ),
    Resource(
        "prices",
        "price",
        "price_",
        "prices",
        (
            *_same("active", "currency", "product", "type"),
            ("lookup_keys", "lookup_key"),
            ("recurring[interval]", "recurring.interval"),
            ("recurring[usage_type]", "recurring.usage_type"),
            ("recurring[meter]", "recurring.meter"),
        ),
        hidden=("tiers", "currency_options"),
        removed="price.deleted",
        defaults=(("active", "true"),),  # as the SDK says of the list: active prices, and never inline ones
        apart=_inline,
    ),
    Resource("coupons", "coupon", "", "coupons", hidden=("applies_to", "currency_options"), removed="coupon.deleted"),
    Resource(
        "promotion_codes",
        "promotion_code",
        "promo_",
        "promotion_codes",
        (*_same("active", "code", "customer"), ("coupon", "promotion.coupon")),
    ),
    Resource("tax_rates", "tax_rate", "txr_", "tax_rates", _same("active", "inclusive")),
    Resource(
        "subscriptions",
        "subscription",
        "sub_",
        "subscriptions",
        (
            ("status", _subscription_status),
            *_same("customer", "collection_method", "test_clock"),
            ("price", "items.data[].price.id"),
            ("plan", "items.data[].price.id"),
            ("_item", "items.data[].id"),
            ("automatic_tax[enabled]", "automatic_tax.enabled"),
        ),
        ranges=(
            ("current_period_start", "items.data[].current_period_start"),
            ("current_period_end", "items.data[].current_period_end"),
        ),
        nested="items",
        nested_url="/v1/subscription_items?subscription={id}",
        removed="customer.subscription.deleted",
        defaults=(("status", ""),),
        apart=_on_a_clock,
        unless=frozenset({"test_clock", "customer"}),
    ),
    Resource(
        "subscription_schedules",
        "subscription_schedule",
        "sub_sched_",
        "subscription_schedules",
        (*_same("customer"), ("scheduled", _scheduled)),
        ranges=tuple((name, name) for name in ("canceled_at", "completed_at", "released_at")),
    ),
    Resource(
        "invoices",
        "invoice",
        "in_",
        "invoices",
        (*_same("customer", "status", "collection_method"), ("subscription", _invoice_subscription)),
        ranges=(("due_date", "due_date"),),
        nested="lines",
        nested_url="/v1/invoices/{id}/lines",
        removed="invoice.deleted",
    ),
    Resource(
        "invoiceitems",
        "invoiceitem",
        "ii_",
        "invoiceitems",
        (*_same("customer", "invoice"), ("pending", _pending)),
        removed="invoiceitem.deleted",
    ),
    Resource(
        "invoice_payments",
        "invoice_payment",
        "inpay_",
        "invoice_payments",
        (
            *_same("invoice", "status"),
            ("payment[type]", "payment.type"),
            ("payment[payment_intent]", "payment.payment_intent"),
            ("payment[payment_record]", "payment.payment_record"),
        ),
    ),
    Resource(
        "quotes",
        "quote",
        "qt_",
        "quotes",
        _same("customer", "status", "test_clock"),
        created=False,
        nested="line_items",
        nested_url="/v1/quotes/{id}/line_items",
        hidden=("line_items",),
        apart=_on_a_clock,
        unless=frozenset({"test_clock", "customer"}),
    ),
    Resource("charges", "charge", "ch_", "charges", _same("customer", "payment_intent", "transfer_group")),
    Resource("payment_intents", "payment_intent", "pi_", "payment_intents", _same("customer")),
    Resource(
        "payment_methods",
        "payment_method",
        "pm_",
        "payment_methods",
        _same("customer", "type", "allow_redisplay"),
        created=False,
        removed="payment_method.detached",
    ),
    Resource("refunds", "refund", "re_", "refunds", _same("charge", "payment_intent")),
    Resource(
        "credit_notes",
        "credit_note",
        "cn_",
        "credit_notes",
        _same("customer", "invoice"),
        nested="lines",
        nested_url="/v1/credit_notes/{id}/lines",
    ),
    Resource("disputes", "dispute", "dp_", "disputes", _same("charge", "payment_intent")),
    Resource(
        "entitlements_features",
        "entitlements.feature",
        "feat_",
        "entitlements/features",
        _same("lookup_key"),
        created=False,
    ),
    Resource(
        "billing_meters",
        "billing.meter",
        "mtr_",
        "billing/meters",
        (*_same("status"), ("_event_name", "event_name")),
        created=False,
    ),
    Resource("product_features", "product_feature", "prodft_", None, (("product", "_product"),), created=False),
    Resource("discounts", "discount", "di_", None, created=False, counted=False),
    Resource("accounts", "account", "acct_", None, created=False),
    Resource("events", "event", "evt_", "events", (("type", _event_groups), ("types", "type")), counted=False),
)

BY_NAME = {resource.name: resource for resource in RESOURCES}
BY_OBJECT = {resource.object: resource for resource in RESOURCES}


def values_at(lens: Lens, obj: Obj) -> tuple[str, ...]:
    """The values, as a query would write them, that an object has under a lens; none for null."""
    if callable(lens):
        return lens(obj)
    found: list[Any] = [obj]
    for step in lens.split("."):
        each, name = step.endswith("[]"), step.removesuffix("[]")
        found = [value[name] for value in found if isinstance(value, dict) and name in value]
        if each:
            found = [element for value in found for element in value]
    return tuple(dict.fromkeys(as_query(value) for value in found if value is not None))


def as_query(value: Any) -> str:
    """A scalar as it is written in a query string: true, false, digits or the string itself."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
