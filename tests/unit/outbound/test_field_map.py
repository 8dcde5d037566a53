"""Field maps: read with every mistake named at its place, and filled row by row."""

import time
from datetime import UTC, datetime
from typing import Any

import pytest

from tidegate.outbound.field_map.fill import Filled, Known, Sought, filler, sought
from tidegate.outbound.field_map.nodes import Reference
from tidegate.outbound.field_map.parse import FieldMap, parse
from tidegate.outbound.fields.catalogue import catalogue

NOBODY: Known = {}


def read(resource: str, said: dict[str, Any]) -> FieldMap:
    found, wrong = parse(resource, said)
    assert wrong == []
    return found


def wrong(resource: str, said: dict[str, Any]) -> dict[str, str]:
    return {one.where: one.problem for one in parse(resource, said)[1]}


def fill(
    resource: str, said: dict[str, Any], row: dict[str, Any], known: Known = NOBODY, operation: Any = "update"
) -> Filled:
    return filler(read(resource, said), catalogue(resource, operation))(row, known)


def test_columns_constants_templates_objects_and_metadata() -> None:
    said = {
        "name": "company",
        "address": {"line1": "street", "country": {"value": "DE"}},
        "description": {"template": "{{ company | upcase }} ({{ seats }})"},
        "metadata": {"tier": "tier", "kind": {"value": True}},
        "preferred_locales": [{"value": "en"}, "locale"],
    }
    found = read("customers", said)
    assert found.columns == ("company", "locale", "seats", "street", "tier")
    row = {"company": "O'Brien", "locale": "de", "seats": 3, "street": "Hafen 1", "tier": "pro"}
    assert fill("customers", said, row).payload == {
        "name": "O'Brien",
        "address": {"line1": "Hafen 1", "country": "DE"},
        "description": "O'BRIEN (3)",
        "metadata": {"tier": "pro", "kind": True},
        "preferred_locales": ["en", "de"],
    }


@pytest.mark.parametrize("word", ["column", "value", "template"])
def test_what_has_names_of_your_own_may_be_called_as_what_fills_it(word: str) -> None:
    row = {"c": 7}
    assert fill("contacts", {"properties": {word: "c"}}, row).payload == {"properties": {word: 7}}
    assert fill("contacts", {"properties": {word: {"value": 3}}}, row).payload == {"properties": {word: 3}}
    assert fill("customers", {"metadata": {word: "c"}}, row).payload == {"metadata": {word: 7}}
    both = {"properties": {"column": "c", "value": {"template": "{{ c }}!"}}}
    assert fill("contacts", both, row).payload == {"properties": {"column": 7, "value": "7!"}}


def test_a_map_is_filled_as_one_by_a_column_or_with_its_nulls() -> None:
    row = {"more": {"a": 1}, "none": None}
    assert fill("contacts", {"properties": "more"}, row).payload == {"properties": {"a": 1}}
    assert fill("contacts", {"properties": {"column": "none", "nulls": "skip"}}, row).payload == {}
    told = {"template": '{"n": 2}', "nulls": "skip"}
    assert fill("contacts", {"properties": told}, row).payload == {"properties": '{"n": 2}'}


def test_null_clears_what_can_be_cleared_unless_it_is_to_be_skipped() -> None:
    said = {"name": "n", "tax_exempt": "t", "metadata": {"k": "k"}, "phone": {"column": "p", "nulls": "clear"}}
    row = {"n": None, "t": None, "k": None, "p": None}
    assert fill("customers", said, row).payload == {"tax_exempt": "", "metadata": {"k": ""}, "phone": ""}
    skipping = {
        "tax_exempt": {"column": "t", "nulls": "skip"}, "address": {"line1": {"column": "n", "nulls": "skip"}},
    }  # fmt: skip
    assert fill("customers", skipping, row).payload == {}


def test_an_object_whose_values_are_all_null_is_cleared_where_it_can_be() -> None:
    said = {"address": {"line1": "n", "line2": "m"}, "invoice_settings": {"footer": "n"}}
    assert fill("customers", said, {"n": None, "m": None}).payload == {"address": ""}
    assert fill("customers", said, {"n": "S 1", "m": None}).payload["address"] == {"line1": "S 1", "line2": ""}
    assert fill("products", {"package_dimensions": {"height": "n"}}, {"n": None}).payload == {"package_dimensions": ""}


def test_an_empty_template_is_null_and_a_failing_one_is_a_problem_of_its_row() -> None:
    said = {"description": {"template": "{{ a }}"}, "name": {"template": "{{ a.b.c | divided_by: 0 }}"}}
    found = fill("customers", said, {"a": ""})
    assert found.payload == {}
    assert [one.path for one in found.problems] == ["name"]


def test_fields_of_the_other_operation_are_left_out() -> None:
    said = {"currency": {"value": "usd"}, "nickname": "n"}
    assert fill("prices", said, {"n": "x"}).payload == {"nickname": "x"}
    assert fill("prices", said, {"n": "x"}, operation="create").payload == {"currency": "usd", "nickname": "x"}


def test_references_are_sought_and_filled() -> None:
    said = {
        "customer": {"email": "owner"},
        "items": [{"price": {"lookup_key": "plan"}, "quantity": "seats"}],
    }
    row = {"owner": "Ada@Example.com ", "plan": "pro", "seats": 2}
    ada, pro = Sought("customers", "email", "", "ada@example.com"), Sought("prices", "lookup_key", "", "pro")
    assert sought(read("subscriptions", said), row) == [ada, pro]
    done = fill("subscriptions", said, row, {ada: ("cus_1",), pro: ("price_1",)}, "create")
    assert done.payload == {"customer": "cus_1", "items": [{"price": "price_1", "quantity": 2}]}
    assert (done.waits, done.problems) == ([], [])
    waits = fill("subscriptions", said, row, {ada: (), pro: ("price_1",)}, "create")
    assert [str(one) for one in waits.waits] == ["customers with email ada@example.com"]
    several = fill("subscriptions", said, row, {ada: ("cus_1", "cus_2"), pro: ("price_1",)}, "create")
    assert [one.problem for one in several.problems] == ["several customers with email ada@example.com: cus_1, cus_2"]


def test_a_reference_by_id_needs_no_look_up_and_null_names_nothing() -> None:
    said = {"customer": {"id": "c"}, "subscription": {"sync": "subs", "key": "s"}}
    assert fill("invoiceitems", said, {"c": "cus_1", "s": None}, operation="create").payload == {"customer": "cus_1"}
    assert sought(read("invoiceitems", said), {"c": "cus_1", "s": None}) == []


@pytest.mark.parametrize(
    ("told", "reference"),
    [
        ({"email": "c"}, Reference("customers", "email", "", "c")),
        ({"own_id": "c"}, Reference("customers", "own_id", "", "c")),
        ({"metadata": {"account": "c"}}, Reference("customers", "metadata", "account", "c")),
        ({"sync": "people", "key": "c"}, Reference("customers", "sync", "people", "c")),
    ],
)
def test_ways_to_name_a_customer(told: dict[str, Any], reference: Reference) -> None:
    assert read("invoices", {"customer": told}).fields == {"customer": reference}


@pytest.mark.parametrize(
    ("resource", "said", "where", "words"),
    [
        ("customers", {"nmae": "x"}, "fields.nmae", "perhaps name"),
        ("customers", {"tier": "x"}, "fields.tier", "under `metadata:`"),
        ("subscriptions", {"status": "x"}, "fields.status", "cannot be written"),
        ("customers", {"balance": 5}, "fields.balance", "{value: 5}"),
        ("customers", {"name": ["x"]}, "fields.name", "no list"),
        ("customers", {"name": {"const": 1}}, "fields.name", "filled by a column's name"),
        ("customers", {"name": {"column": "x", "nulls": "drop"}}, "fields.name.nulls", "skip or clear"),
        ("customers", {"address": {"countri": "x"}}, "fields.address.countri", "perhaps country"),
        ("customers", {"description": {"template": "{{ a"}}, "fields.description.template", "does not parse"),
        ("invoices", {"customer": {"emial": "x"}}, "fields.customer", "{email: COLUMN}"),
        ("subscriptions", {"items": [{"prise": "x"}]}, "fields.items.0.prise", "perhaps price"),
    ],
)
def test_mistakes_are_named_with_their_place(resource: str, said: dict[str, Any], where: str, words: str) -> None:
    assert words in wrong(resource, said)[where]


def test_templates_reach_nothing_but_the_row_and_have_bounds() -> None:
    assert "secrets" in wrong("customers", {"name": {"template": "{% include 'secrets' %}"}})["fields.name.template"]
    for source in (
        "{% for a in (1..100000) %}x{% endfor %}",
        "{{ missing }}",
        "{{ (1..1000000000000000000000) | join }}",
        "{% assign a = (1..1000000000) %}{{ a | reverse | first }}",
    ):
        found = fill("customers", {"name": {"template": source}}, {"missing2": 1})
        assert [one.path for one in found.problems] == ["name"], source


@pytest.mark.parametrize(
    ("source", "row"),
    [
        ("{{ n | round }}", {"n": float("inf")}),
        ("{{ n | times: 'x' | ceil }}", {"n": float("nan")}),
        ("{{ n | sort }}", {"n": [1, "a", None, {}]}),
    ],
)
def test_what_a_filter_makes_nothing_of_is_a_problem_of_its_row(source: str, row: dict[str, Any]) -> None:
    found = fill("customers", {"name": {"template": source}}, row)
    assert [(one.path, one.problem.partition(":")[0]) for one in found.problems] == [("name", "the template fails")]


def test_filters_work_on_every_column_whatever_it_is_called() -> None:
    row = {"self": "Ada", "at": "2026-01-31", "many": [{"n": 2}, {"n": 1}]}
    said = "{{ self | upcase }} {{ at | date: '%d.%m.' }} {{ many | sort: 'n' | map: 'n' | join: ',' }} "
    source = said + "{{ (1..3) | join: '-' }} {{ '' | default: 'x' }} {{ many | where: 'n', 1 | size }}"
    found = fill("customers", {"name": {"template": source}}, row)
    assert (found.payload, found.problems) == ({"name": "ADA 31.01. 1,2 1-2-3 x 1"}, [])


@pytest.mark.parametrize("word", ["now", "today"])
def test_a_template_that_asks_the_clock_is_refused_for_it_would_differ_at_every_look(word: str) -> None:
    said = {"description": {"template": f"{{{{ '{word}' | date: '%Y' }}}}"}}
    assert "take the time from a column" in wrong("customers", said)["fields.description.template"]


@pytest.mark.parametrize(
    ("value", "words"),
    [("now", "no clock"), ("Today ", "no clock"), ("10:30", "takes a time"), ("Monday", "takes a time"),
     ("03.04.2026", "takes a time"), (10**30, "the template fails")],
)  # fmt: skip
def test_a_value_that_is_a_time_only_beside_todays_date_is_a_problem_of_its_row(value: Any, words: str) -> None:
    found = fill("customers", {"name": {"template": "{{ at | date: '%Y-%m-%d' }}"}}, {"at": value})
    assert [words in one.problem for one in found.problems] == [True]


@pytest.mark.parametrize(
    "value",
    [1774958400, "1774958400", "2026-03-31T12:00:00Z", datetime(2026, 3, 31, 12, tzinfo=UTC), "2026-03-31T12:00:00.5"],
)
def test_a_template_says_the_same_of_a_time_on_every_machine(value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    time.tzset()
    try:
        found = fill("customers", {"name": {"template": "{{ at | date: '%Y-%m-%d %H:%M' }}"}}, {"at": value})
    finally:
        monkeypatch.undo()
        time.tzset()
    assert found.payload == {"name": "2026-03-31 12:00"}
