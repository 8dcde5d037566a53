"""What may be written: the catalogue follows the SDK's types, and values of a warehouse fit them or are refused."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.outbound.fields import values
from tidegate.outbound.fields.catalogue import RESOURCES, Field, Operation, catalogue, create_only, meter_event
from tidegate.outbound.fields.read_only import READ_ONLY
from tidegate.outbound.fields.shapes import checked

OPERATIONS: tuple[Operation, ...] = ("create", "update")


def every(fields: Any) -> list[Field]:
    found: list[Field] = []
    for one in fields.values():
        found += [one, *every(one.fields), *(every({"": one.item}) if one.item else [])]
    return found


def wrong(
    resource: str, payload: dict[str, Any], operation: Operation = "create", **more: Any
) -> list[tuple[str, str]]:
    [(_, problems)] = checked(resource, operation, [payload], **more)
    return [(one.path, one.problem) for one in problems]


def right(resource: str, payload: dict[str, Any], operation: Operation = "create", **more: Any) -> dict[str, Any]:
    [(found, problems)] = checked(resource, operation, [payload], **more)
    assert problems == []
    return found


def test_each_resource_has_its_fields_and_none_of_the_sdks_own() -> None:
    for resource in RESOURCES:
        for operation in OPERATIONS:
            names = set(catalogue(resource, operation))
            assert "metadata" in names
            assert not names & {"api_key", "idempotency_key", "stripe_account", "headers", "expand", "stripe_context"}
    assert set(meter_event()) == {"event_name", "payload", "timestamp", "customer", "value"}
    needed = {name for name, one in meter_event().items() if one.required}
    assert needed == {"event_name", "timestamp", "customer", "value"}
    assert (meter_event()["timestamp"].kind, meter_event()["value"].kind) == ("timestamp", "decimal")
    assert catalogue("meter_events", "update") == {}


def test_what_is_given_once() -> None:
    assert create_only("products") == {"default_price_data", "id", "type"}
    assert {"currency", "unit_amount", "recurring", "product"} <= create_only("prices")
    assert {"customer", "currency"} <= create_only("invoices")
    assert "name" not in create_only("customers")


def test_times_are_told_from_other_integers_by_their_names() -> None:
    found = {
        one.name for resource in RESOURCES for which in OPERATIONS for one in every(catalogue(resource, which))
        if one.kind == "timestamp"
    }  # fmt: skip
    assert found == {
        "automatically_finalizes_at", "backdate_start_date", "billing_cycle_anchor", "cancel_at", "due_date",
        "effective_at", "effective_date", "end", "end_date", "expires_at", "proration_date", "resumes_at", "start",
        "timestamp", "trial_end",
    }  # fmt: skip


def test_types_choices_and_what_can_be_cleared() -> None:
    customers, prices = catalogue("customers", "update"), catalogue("prices", "create")
    assert (customers["tax_exempt"].choices, customers["tax_exempt"].clearable) == (("exempt", "none", "reverse"), True)
    assert (customers["email"].clearable, customers["address"].clearable) == (False, True)
    assert customers["address"].fields["country"].kind == "text"
    assert (prices["unit_amount"].kind, prices["unit_amount_decimal"].kind) == ("integer", "decimal")
    assert prices["currency"].required
    tiers = prices["tiers"].item
    assert tiers is not None
    assert tiers.fields["up_to"].choices == ("inf",)


def test_what_is_called_read_only_is_no_parameter() -> None:
    assert set(READ_ONLY) == {*RESOURCES, "meter_events", "contacts"}
    assert not set(READ_ONLY["meter_events"]) & set(meter_event())
    for resource, names in READ_ONLY.items():
        assert not set(names) & set(catalogue(resource, "update")), resource


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("O'Brien 🎉", "O'Brien 🎉"), (True, "true"), (False, "false"), (1.5, "1.5"), (2.0, "2"),
        (10**20, f"1{20 * '0'}"),
        (Decimal("1.500"), "1.5"), (Decimal("1E+3"), "1000"), (1e-7, "0.0000001"), (date(2026, 3, 31), "2026-03-31"),
        (datetime(2026, 3, 31, 12, tzinfo=UTC), "2026-03-31T12:00:00Z"),
    ],
)  # fmt: skip
def test_metadata_values(value: Any, said: str) -> None:
    assert right("customers", {"metadata": {"key": value}}) == {"metadata": {"key": said}}


def test_metadata_has_bounds_and_null_unsets() -> None:
    assert right("customers", {"metadata": {"gone": None}}) == {"metadata": {"gone": ""}}
    assert right("customers", {"metadata": ""}, "update") == {"metadata": ""}
    assert right("customers", {"metadata": '{"a": 1.10}'}) == {"metadata": {"a": "1.1"}}
    assert right("customers", {"metadata": {"k" * 40: "v" * 500}})
    assert wrong("customers", {"metadata": {"long": "x" * 501}}) == [
        ("metadata.long", "it has 501 characters, and Stripe takes 500")
    ]
    assert wrong("customers", {"metadata": {"k" * 41: "x"}})[0][1].startswith("a key takes 1 to 40 characters")
    assert wrong("customers", {"metadata": {"a[b]": "x"}})[0][1].endswith("without [ and ]")
    assert wrong("customers", {"metadata": {"list": [1]}}) == [("metadata.list", "a list is no text")]
    fifty_one = {f"k{at}": "x" for at in range(51)}
    assert wrong("customers", {"metadata": fifty_one}) == [("metadata", "it has 51 keys, and Stripe takes 50")]
    assert right("customers", {"metadata": fifty_one | {"k0": None}})


@pytest.mark.parametrize("value", [3, 3.0, "3", Decimal("3.00"), " 3 "])
def test_whole_numbers(value: Any) -> None:
    assert right("customers", {"balance": value}) == {"balance": 3}


@pytest.mark.parametrize("value", [3.5, "three", True, float("nan"), float("inf"), [3], {"three": 3}])
def test_what_is_no_whole_number(value: Any) -> None:
    [(path, _)] = wrong("customers", {"balance": value})
    assert path == "balance"


def test_words_in_the_place_of_values() -> None:
    assert right("subscriptions", {"trial_end": "now"}, "update")["trial_end"] == "now"
    tiers = [{"up_to": 5, "unit_amount": 700}, {"up_to": "inf", "unit_amount_decimal": "0.50"}]
    price = {"product": "prod_1", "currency": "usd", "billing_scheme": "tiered", "tiers_mode": "volume"}
    found = right("prices", price | {"tiers": tiers})["tiers"]
    assert found == [{"up_to": 5, "unit_amount": 700}, {"up_to": "inf", "unit_amount_decimal": "0.5"}]
    assert wrong("customers", {"tax_exempt": "exmpt"}) == [("tax_exempt", "it takes one of exempt, none, reverse")]
    assert right("customers", {"tax_exempt": ""}) == {"tax_exempt": ""}
    assert right("customers", {"address": ""}) == {"address": ""}
    assert right("customers", {"tax_id_data": [{"type": "eu_vat", "value": 5}]})["tax_id_data"][0]["value"] == "5"


def test_an_empty_list_or_object_takes_away_what_is_there() -> None:
    assert right("subscriptions", {"discounts": [], "default_tax_rates": "[]"}, "update") == {
        "discounts": "", "default_tax_rates": "",
    }  # fmt: skip
    assert right("customers", {"address": {}, "metadata": {}}) == {"address": "", "metadata": {}}
    assert wrong("customers", {"invoice_settings": {}}) == [("invoice_settings", "it cannot be empty")]


@pytest.mark.parametrize(
    "value",
    [
        1774958400, "1774958400", "2026-03-31T12:00:00Z", "2026-03-31T14:00:00+02:00", "2026-03-31 12:00:00",
        datetime(2026, 3, 31, 12),  # noqa: DTZ001
        datetime(2026, 3, 31, 8, tzinfo=timezone(-timedelta(hours=4))),
    ],
)  # fmt: skip
def test_times(value: Any) -> None:
    assert right("subscriptions", {"cancel_at": value}, "update") == {"cancel_at": 1774958400}


def test_times_without_a_zone_are_in_the_one_that_is_said() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    assert values.moment(date(2026, 3, 31), berlin) == values.moment("2026-03-30T22:00:00Z")
    assert values.moment(datetime(2026, 3, 31, 14), berlin) == 1774958400  # noqa: DTZ001
    assert right("subscriptions", {"cancel_at": "2026-03-31"}, "update", zone=berlin) == {"cancel_at": 1774908000}
    assert wrong("subscriptions", {"cancel_at": 1774958400000}, "update")[0][1].endswith("divide them by 1000")
    assert wrong("subscriptions", {"cancel_at": "2026-02-30"}, "update")[0][0] == "cancel_at"


def test_what_is_unknown_missing_or_nested_wrong_is_named_with_its_place() -> None:
    assert wrong("customers", {"nmae": "x", "address": {"countri": "US"}}) == [
        ("address.countri", "there is no such field"), ("nmae", "there is no such field"),
    ]  # fmt: skip
    assert wrong("prices", {}) == [("currency", "it is required")]
    items = '[{"price": "price_1", "quantity": "many"}]'
    assert wrong("subscriptions", {"items": items}) == [("items.0.quantity", "it takes a number")]
    assert wrong("customers", {"email": None}) == [("email", "a null is no text")]


def test_a_problem_shows_the_value_that_it_is_about() -> None:
    [(_, [problem])] = checked("customers", "create", [{"balance": "x" * 900}])
    assert problem.as_json() == {"field": "balance", "problem": "it takes a number", "value": "x" * 200}


@given(
    st.one_of(
        st.integers(),
        st.decimals(allow_nan=False, allow_infinity=False),
        st.floats(allow_nan=False, allow_infinity=False),
    )
)
def test_decimals_say_the_same_without_an_exponent(value: Any) -> None:
    said = values.decimal(value)
    assert "e" not in said.lower()
    assert Decimal(said) == Decimal(str(value))


@pytest.mark.parametrize("value", ["1e999999999", Decimal("1e-999999999"), "-1E+401"])
def test_a_number_that_would_fill_the_memory_is_refused(value: Any) -> None:
    payload = {"currency": "usd", "product": "prod_1", "unit_amount": value, "metadata": {"a": value}}
    found = dict(wrong("prices", payload))
    assert found["unit_amount"] == "it takes a number of a size that there is a use for"


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (float("nan"), "it takes a finite number"),
        (Decimal("1" * 350 + ".5"), "it takes a number of a size that there is a use for"),
        (datetime.fromisoformat("0001-01-01"), "it is beyond the years 1 to 9999 in UTC"),
        ([1.5, b"blob"], "a blob is no text"),
    ],
)
def test_a_property_that_json_has_no_form_for_is_wrong_in_its_row_alone(value: Any, problem: str) -> None:
    zone = ZoneInfo("Asia/Tokyo")
    [(_, [told]), (right, none)] = checked("contacts", "update", [_contact(value), _contact(1.0)], zone)
    assert (told.path, told.problem) == ("properties.p", problem)
    assert (right, none) == (_contact(1), [])


def _contact(value: Any) -> dict[str, Any]:
    return {"properties": {"p": value}}


@pytest.mark.parametrize("deep", [99, 100, 101, 500, 900, 5_000])
def test_properties_nest_so_far_and_no_deeper(deep: int) -> None:
    [(_, problems)] = checked("contacts", "update", [{"properties": f'{{"p": {"[" * deep}{"]" * deep}}}'}])
    assert bool(problems) == (deep > values.DEEPEST)


def test_what_is_no_object_is_told_in_our_words() -> None:
    for said in ("null", "[1]", 7):
        [(_, [problem])] = checked("contacts", "update", [{"properties": said}])
        assert problem.problem == "it takes an object"


def test_a_number_that_no_float_holds_is_refused_for_stripe_too() -> None:
    with pytest.raises(ValueError, match="of a size"):
        values.number("1e350")
