"""What passes the checks is taken by the simulated Stripe, whatever it says."""

from collections.abc import Iterator, Mapping
from datetime import UTC
from functools import cache
from typing import Any, cast
from urllib.parse import urlencode
from uuid import uuid4

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tidegate.outbound.fields.catalogue import Operation
from tidegate.outbound.fields.priced import unfit
from tidegate.outbound.fields.rules import LENGTHS
from tidegate.outbound.fields.shapes import checked, shape
from tidegate.outbound.metering.events import Meter, event
from tidegate.sandbox.answers import Request
from tidegate.sandbox.config import DEFAULT_AS_OF, SandboxConfig
from tidegate.sandbox.generator import make_world
from tidegate.sandbox.server import Server

MONTH = {"interval": "month"}
BRIEF = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
TEXT = st.one_of(BRIEF, st.integers(18, 60).map("x".__mul__), st.integers(495, 520).map("y".__mul__))
COUNT = st.one_of(st.integers(-1, 12), st.just(0))
AMOUNT = st.one_of(st.integers(-5, 90_000), st.sampled_from(["700", "1.50", 12.0]))
METADATA = st.dictionaries(BRIEF, st.one_of(TEXT, st.integers(), st.booleans(), st.none()), max_size=3)
METHOD = st.sampled_from(["send_invoice", "charge_automatically"])


class Shop:
    """A sandbox without a socket, and what payloads name."""

    def __init__(self) -> None:
        config = SandboxConfig(customers=0, months=1)
        self.server = Server(config, make_world(config))
        self.key = config.key.encode()
        self.product = self.made("products", {"name": "Plan"})["id"]
        meter = {"event_name": "calls", "display_name": "Calls", "default_aggregation": {"formula": "sum"}}
        self.made("billing/meters", meter)
        priced = {"product": self.product, "currency": "usd", "unit_amount": 900}
        self.prices = {
            one["id"]: one
            for one in (
                self.made("prices", priced | {"recurring": MONTH}), self.made("prices", priced | {"recurring": MONTH}),
                self.made("prices", priced), self.made("prices", priced | {"recurring": MONTH, "currency": "eur"}),
            )
        }  # fmt: skip

    def ask(self, path: str, payload: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        body = urlencode(list(pairs(payload))).encode()
        headers = {b"authorization": b"Bearer " + self.key, b"content-type": b"application/x-www-form-urlencoded"}
        reply = self.server.respond(Request("POST", f"/v1/{path}", [], headers, body))
        return int(reply.head.split()[1]), msgspec.json.decode(reply.body)

    def made(self, path: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        status, body = self.ask(path, payload)
        assert status == 200, body
        return body


def pairs(said: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """A payload as a form, in Stripe's way."""
    if isinstance(said, Mapping | list):
        told = cast("Mapping[Any, Any] | list[Any]", said)
        for inner, value in told.items() if isinstance(told, Mapping) else enumerate(told):
            yield from pairs(value, f"{name}[{inner}]" if name else str(inner))
    else:
        yield name, str(said).lower() if isinstance(said, bool) else str(said)


@cache
def shop() -> Shop:
    return Shop()


def maybe(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


PRICED = st.deferred(lambda: st.sampled_from([*shop().prices]))
ITEMS = st.lists(maybe(price=PRICED, quantity=COUNT), max_size=3)
RECURRING = st.deferred(lambda: st.sampled_from([id_ for id_, one in shop().prices.items() if one["recurring"]]))
LINES = st.lists(maybe(price=RECURRING, quantity=COUNT), max_size=3)
"""The sandbox's quotes take recurring prices only; Stripe's take both."""
CUSTOMER = maybe(
    email=st.sampled_from(["pat@x.example", "O'Brien@x.example", "nobody", "", "a b@x.example"]), name=TEXT,
    description=TEXT, metadata=METADATA, balance=COUNT, invoice_prefix=st.sampled_from(["AB12", "ab"]),
)  # fmt: skip
PRODUCT = maybe(name=BRIEF, description=TEXT, unit_label=TEXT, statement_descriptor=TEXT, metadata=METADATA,
                active=st.sampled_from([True, "no", 1]))  # fmt: skip
TIERS = st.lists(maybe(up_to=st.sampled_from([1, 5, "inf"]), unit_amount=AMOUNT), min_size=1, max_size=3)
PRICE = maybe(
    product=st.deferred(lambda: st.just(shop().product)), product_data=st.just({"name": "Other"}),
    currency=st.sampled_from(["usd", "EUR", "dollars"]), unit_amount=AMOUNT, unit_amount_decimal=AMOUNT, tiers=TIERS,
    nickname=TEXT, billing_scheme=st.sampled_from(["tiered", "per_unit"]), metadata=METADATA,
    tiers_mode=st.sampled_from(["volume", "graduated"]),
    recurring=st.fixed_dictionaries(
        {"interval": st.sampled_from(["month", "year"])}, optional={"interval_count": COUNT}),
)  # fmt: skip
SUBSCRIPTION = st.fixed_dictionaries(
    {"collection_method": st.just("send_invoice")},
    optional={
        "items": ITEMS, "days_until_due": COUNT, "description": TEXT, "metadata": METADATA,
        "cancel_at_period_end": st.booleans(),
    },
)  # fmt: skip
INVOICE = maybe(collection_method=METHOD, days_until_due=COUNT, due_date=st.just(1_900_000_000), description=TEXT,
                metadata=METADATA, footer=TEXT)  # fmt: skip
INVOICE_ITEM = maybe(
    amount=AMOUNT, quantity=COUNT, currency=st.just("usd"), description=TEXT, metadata=METADATA,
    pricing=st.fixed_dictionaries({"price": PRICED}),
    period=st.sampled_from([{"start": 5, "end": 9}, {"start": 9, "end": 5}]),
)  # fmt: skip
QUOTE = maybe(line_items=LINES, description=TEXT, header=TEXT, footer=TEXT, metadata=METADATA)
OF_CUSTOMER: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "subscriptions": SUBSCRIPTION,
    "invoices": INVOICE,
    "invoiceitems": INVOICE_ITEM,
    "quotes": QUOTE,
}


def taken(resource: str, payload: dict[str, Any], operation: Operation = "create", path: str = "") -> bool:
    """Whether a payload passes; then the sandbox takes it as well."""
    [(right, problems)] = checked(resource, operation, [payload])
    if problems or unfit(resource, operation, right, shop().prices):
        return False
    status, body = shop().ask(path or resource, right)
    assert status == 200, (right, body)
    return True


many = settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])


@many
@given(CUSTOMER, CUSTOMER)
def test_customers(create: dict[str, Any], update: dict[str, Any]) -> None:
    made = shop().made("customers", {})["id"]
    taken("customers", create)
    taken("customers", update, "update", f"customers/{made}")


@many
@given(PRODUCT)
def test_products(payload: dict[str, Any]) -> None:
    taken("products", payload)


@many
@given(PRICE)
def test_prices(payload: dict[str, Any]) -> None:
    taken("prices", payload)


@many
@given(st.sampled_from([*OF_CUSTOMER]).flatmap(lambda name: st.tuples(st.just(name), OF_CUSTOMER[name])))
def test_what_a_customer_has(said: tuple[str, dict[str, Any]]) -> None:
    resource, payload = said
    customer = shop().made("customers", {"email": "pat@x.example"})["id"]
    taken(resource, payload | {"customer": customer})


USAGE = maybe(
    value=st.one_of(
        AMOUNT, st.decimals(allow_nan=False, allow_infinity=False, places=9, min_value=-(10**9), max_value=10**9), TEXT
    ),
    event_name=st.sampled_from(["calls", "x" * 101]), timestamp=st.integers(-5, 5).map(DEFAULT_AS_OF.__add__),
    payload=st.dictionaries(st.sampled_from(["region", "plan"]), BRIEF.filter(bool), max_size=2),
)  # fmt: skip


@many
@given(USAGE)
def test_usage(payload: dict[str, Any]) -> None:
    tells(payload | {"customer": shop().made("customers", {})["id"]}, str(uuid4()))


def tells(payload: dict[str, Any], identifier: str) -> bool:
    """As `taken`, of usage: what a meter wants is put where the meter has it."""
    [(right, problems)] = checked("meter_events", "create", [payload])
    if problems:
        return False
    meter = Meter("mtr_1", "calls", True, "stripe_customer_id", "value", "sum")
    said = event(meter, identifier, right["customer"], right["value"], right["timestamp"], right.get("payload"))
    status, body = shop().ask("billing/meter_events", said)
    assert status == 200, (right, body)
    return True


ADDRESS = st.one_of(
    maybe(line1=TEXT, city=st.integers(), country=st.none()), st.sampled_from(["", "{}", '{"city": "Oslo"}', [], 7])
)
ALL: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    **OF_CUSTOMER,
    "customers": st.tuples(CUSTOMER, maybe(address=ADDRESS, metadata=st.one_of(
        METADATA, st.just(""), st.dictionaries(st.sampled_from(["a[b", "", "k" * 40, "k" * 41]), TEXT, max_size=2),
        st.integers(49, 52).map(lambda count: {str(one): "x" for one in range(count)}),
    ))).map(lambda both: both[0] | both[1]),
    "products": PRODUCT,
    "prices": PRICE,
}  # fmt: skip


@many
@given(
    st.sampled_from([*ALL]).flatmap(lambda name: st.tuples(st.just(name), ALL[name])),
    st.sampled_from(["create", "update"]),
)
def test_the_quick_shape_makes_of_a_payload_what_the_one_that_tells_what_is_wrong_makes_of_it_but_for_long_texts(
    said: tuple[str, dict[str, Any]], operation: Operation
) -> None:
    resource, payload = said

    def made(*, quick: bool) -> dict[str, Any] | None:
        try:
            return shape(resource, operation, UTC, quick=quick).validate_python(payload)
        except ValidationError:
            return None

    told = made(quick=False)
    long = told is not None and any(
        isinstance(value := told.get(name), str) and len(value) > most for name, most in LENGTHS[resource].items()
    )
    assert made(quick=True) == (None if long else told)


def test_such_payloads_do_pass() -> None:
    customer = shop().made("customers", {})["id"]
    [first, *_] = shop().prices
    once = next(id_ for id_, one in shop().prices.items() if not one["recurring"])
    usage = {"event_name": "calls", "customer": customer, "value": "0.25", "timestamp": DEFAULT_AS_OF}
    assert tells(usage | {"payload": {"region": "eu"}}, "one")
    assert taken("customers", {"email": "pat@x.example", "metadata": {"k": 1}})
    assert taken("products", {"name": "a"})
    assert taken("prices", {"product": shop().product, "currency": "EUR", "unit_amount": "700"})
    sent = {"collection_method": "send_invoice", "days_until_due": 3}
    assert taken("subscriptions", {"customer": customer, "items": [{"price": first, "quantity": 0}], **sent})
    assert taken("invoices", {"customer": customer, **sent})
    assert taken("invoiceitems", {"customer": customer, "pricing": {"price": once}, "quantity": 2})
    assert taken("quotes", {"customer": customer, "line_items": [{"price": first}]})
