"""The judge of Stripe objects: it accepts Stripe's own examples and names what is wrong with a broken one."""

import copy
import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from stripe._object_classes import OBJECT_CLASSES
from tests.support.sdk_schema import UnknownObjectError, problems, schema_for

ROOT = Path(__file__).parents[3]
RECORDED = Path(os.environ.get("TIDEGATE_RECORDED", ROOT / "../shared/recorded"))
FIXTURES = RECORDED / "openapi-fixtures/fixtures3.2026-07-29.json"

# fmt: off
MIRRORED = [
    "customer", "product", "price", "coupon", "promotion_code", "tax_rate", "subscription", "subscription_item",
    "subscription_schedule", "invoice", "line_item", "invoiceitem", "invoice_payment", "quote", "item", "charge",
    "payment_intent", "payment_method", "refund", "credit_note", "credit_note_line_item", "dispute",
    "entitlements.feature", "product_feature", "account", "event", "discount", "balance",
]
# fmt: on

# fmt: off
STUBS = [
    "deleted_customer", "deleted_product", "deleted_price", "deleted_coupon", "deleted_invoice",
    "deleted_invoiceitem", "deleted_account", "deleted_subscription_item", "deleted_product_feature",
    "deleted_discount", "deleted_application", "deleted_bank_account", "deleted_card", "deleted_external_account",
    "deleted_plan", "deleted_tax_id", "deleted_terminal.reader",
]
# fmt: on

# The examples are of 2026-07-29; the SDK 16.1 is of 2026-10-28.endive. The schemas stay those of the SDK, so that an
# object of the pinned version is judged in full; what the older examples differ in stands here, exactly.
DIFFERENCES = {
    "dispute": ["evidence_details.submission_method: required, but missing"],  # the SDK has it as always present
    "subscription_schedule": ["pause_schedules: required, but missing"],  # the SDK has it as always present
    "invoice": ["subscription: unknown field"],  # the SDK has it within `parent`; the example still has a null
    "event": ["data.object.aggregate_usage: unknown field"],  # the SDK's plan has none; the example's plan is older
}

PRICE = {
    "id": "price_1",
    "object": "price",
    "active": True,
    "billing_scheme": "per_unit",
    "created": 1_700_000_000,
    "currency": "usd",
    "livemode": False,
    "metadata": {"seat": "yes"},
    "nickname": None,
    "product": "prod_1",
    "recurring": {"interval": "month", "interval_count": 1, "usage_type": "licensed"},
    "type": "recurring",
    "unit_amount": 2000,
    "unit_amount_decimal": "2000.5",
}
PRODUCT = {
    "id": "prod_1",
    "object": "product",
    "active": True,
    "created": 1_700_000_000,
    "images": [],
    "livemode": False,
    "marketing_features": [{"name": "Fast"}],
    "metadata": {},
    "name": "Gold",
    "type": "service",
    "updated": 1_700_000_000,
}
LIST = {"object": "list", "data": [PRICE], "has_more": False, "url": "/v1/prices"}
EVENT = {
    "id": "evt_1",
    "object": "event",
    "created": 1_700_000_000,
    "data": {"object": PRICE, "previous_attributes": {"nickname": "Old", "anything": [1]}},
    "livemode": False,
    "pending_webhooks": 0,
    "type": "price.updated",
}
CUSTOMER = {
    "id": "cus_1",
    "object": "customer",
    "created": 1_700_000_000,
    "livemode": False,
    "sources": {"object": "list", "data": [], "has_more": False, "url": "/v1/customers/cus_1/sources"},
}
GONE = object()


@cache
def fixtures() -> dict[str, Any]:
    if not FIXTURES.exists():
        pytest.skip(f"no recorded Stripe examples: {FIXTURES} is missing; point TIDEGATE_RECORDED at their folder")
    return json.loads(FIXTURES.read_text())["resources"]


def changed(obj: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """Return a copy with one value set, or taken away; `path` is dotted, a number is an index."""
    result = copy.deepcopy(obj)
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    place: Any = result
    for step in steps:
        place = place[step]
    if value is GONE:
        del place[last]
    else:
        place[last] = value
    return result


@pytest.mark.parametrize("name", [*MIRRORED, *STUBS])
def test_stripes_own_examples_pass(name: str) -> None:
    assert problems(fixtures()[name]) == DIFFERENCES.get(name, [])


@pytest.mark.parametrize("name", MIRRORED)
def test_of_stripes_own_examples_only_what_is_newer_is_missing_when_not_strict(name: str) -> None:
    missing = [line for line in DIFFERENCES.get(name, []) if line.endswith("missing")]
    assert problems(fixtures()[name], strict=False) == missing


@pytest.mark.parametrize("obj", [PRICE, PRODUCT, LIST, EVENT, CUSTOMER], ids=lambda obj: obj["object"])
def test_a_right_object_has_no_problems(obj: dict[str, Any]) -> None:
    assert problems(obj) == []


@pytest.mark.parametrize(
    ("obj", "path", "value", "expected"),
    [
        (PRICE, "currency", GONE, "currency: required, but missing"),
        (PRICE, "recurring.interval_count", GONE, "recurring.interval_count: required, but missing"),
        (PRICE, "invented", 1, "invented: unknown field"),
        (PRICE, "recurring.invented", 1, "recurring.invented: unknown field"),
        (PRICE, "currency", None, "currency: None is not of type 'string'"),
        (PRICE, "unit_amount", "2000", "unit_amount: '2000' is not of type 'integer', 'null'"),
        (PRICE, "unit_amount", 2000.0, "unit_amount: 2000.0 is not of type 'integer', 'null'"),
        (PRICE, "unit_amount", True, "unit_amount: True is not of type 'integer', 'null'"),
        (PRICE, "unit_amount_decimal", 2000, "unit_amount_decimal: 2000 is not of type 'string', 'null'"),
        (PRICE, "unit_amount_decimal", "2e3", r"unit_amount_decimal: '2e3' does not match '^-?\\d+(\\.\\d+)?$'"),
        (PRICE, "created", "2026-01-01", "created: '2026-01-01' is not of type 'integer'"),
        (PRICE, "metadata.seat", 3, "metadata.seat: 3 is not of type 'string'"),
        (PRICE, "billing_scheme", "flat", "billing_scheme: 'flat' is none of 'per_unit', 'tiered'"),
        (PRICE, "tax_behavior", "x", "tax_behavior: 'x' is none of 'exclusive', 'inclusive', 'unspecified', None"),
        (PRICE, "product", 7, "product: 7 is not of type 'string', 'object'"),
        (PRICE, "product", changed(PRODUCT, "name", GONE), "product.name: required, but missing"),
        (PRICE, "product", PRICE, "product.object: 'price' is none of 'product'"),
        (PRICE, "object", "pryce", "object: the SDK has no object 'pryce'"),
        (PRICE, "object", GONE, "object: a Stripe object must name its type here"),
        (LIST, "has_more", GONE, "has_more: required, but missing"),
        (LIST, "data.0.active", None, "data[0].active: None is not of type 'boolean'"),
        (LIST, "data.0", "price_1", "data[0].object: a Stripe object must name its type here"),
        (CUSTOMER, "sources.has_more", GONE, "sources.has_more: required, but missing"),
        (CUSTOMER, "sources.total_count", 0, "sources.total_count: unknown field"),
        (CUSTOMER, "default_source", 7, "default_source: 7 is not of type 'string', 'object', 'null'"),
        (EVENT, "data.object.active", GONE, "data.object.active: required, but missing"),
        (EVENT, "data.previous_attributes", [], "data.previous_attributes: [] is not of type 'object', 'null'"),
        (EVENT, "type", GONE, "type: required, but missing"),
    ],
)
def test_a_broken_object_is_told_by_path(obj: dict[str, Any], path: str, value: object, expected: str) -> None:
    assert expected in problems(changed(obj, path, value))


def test_the_lines_are_sorted_and_name_each_problem_once() -> None:
    broken = changed(changed(changed(PRICE, "type", GONE), "active", 1), "currency", GONE)
    assert problems(broken) == [
        "active: 1 is not of type 'boolean'",
        "currency: required, but missing",
        "type: required, but missing",
    ]


@pytest.mark.parametrize(
    ("obj", "expected"),
    [
        ({"id": "cus_1", "object": "customer", "deleted": True}, []),
        ({"id": "cus_1", "object": "customer", "deleted": True, "email": None}, ["email: unknown field"]),
        ({"object": "customer", "deleted": True}, ["id: required, but missing"]),
        ({**CUSTOMER, "deleted": False}, ["deleted: False is none of True, None"]),
    ],
)
def test_deleted_objects_are_stubs(obj: dict[str, Any], expected: list[str]) -> None:
    lines = problems(obj)
    assert [line for line in lines if line in expected] == expected
    assert bool(lines) == bool(expected)


def test_an_expandable_field_takes_an_id_the_object_or_its_stub() -> None:
    stub = {"id": "prod_1", "object": "product", "deleted": True}
    assert [problems(changed(PRICE, "product", product)) for product in ("prod_1", PRODUCT, stub)] == [[], [], []]


def test_a_union_of_resources_is_told_apart_by_object() -> None:
    card = {"id": "card_1", "object": "card", "deleted": True}
    assert problems(changed(CUSTOMER, "default_source", card)) == []
    lines = problems(changed(CUSTOMER, "default_source", {**card, "object": "customer"}))
    assert lines == ["default_source.object: 'customer' is none of 'account', 'bank_account', 'card', 'source'"]


def test_when_not_strict_new_fields_and_new_values_pass_but_closed_enums_stay_closed() -> None:
    newer = changed(changed(PRICE, "invented", 1), "billing_scheme", "flat")
    assert problems(newer, strict=False) == []
    assert problems(changed(PRICE, "object", "product"), strict=False) != []
    assert len(problems(changed(EVENT, "type", "price.invented"), strict=False)) == 1


@pytest.mark.parametrize("strict", [True, False])
def test_every_object_of_the_sdk_has_a_valid_schema(strict: bool) -> None:
    for name in OBJECT_CLASSES:
        schema = schema_for(name, strict=strict)
        assert schema["$defs"][name]["properties"]["object"]["enum"], name
    for definition in schema_for("event", strict=strict), schema_for("invoice", strict=strict):
        Draft202012Validator.check_schema(definition)


def test_a_schema_is_built_once_and_refers_only_to_what_it_holds() -> None:
    schema = schema_for("subscription")
    assert schema_for("subscription") is schema
    references = {part.split('"')[0] for part in json.dumps(schema).split('"#/$defs/')[1:]}
    assert references <= set(schema["$defs"])


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(UnknownObjectError):
        schema_for("pryce")
