"""The form of a sync: what is typed is what tidegate.yaml says, and the other way round."""

from typing import Any

import pytest

from tidegate.outbound import specs
from tidegate.web.outbound import parts, sync_form
from tidegate.web.outbound.field_rows import Row, fields_of, known_fields, rows_of

FIELDS: list[tuple[str, dict[str, Any]]] = [
    ("customers", {"name": "company", "metadata": {"a.b": "x", "1": "y"}, "address": {"city": "town"}}),
    ("customers", {"description": {"template": "{{ a }}", "nulls": "skip"}, "name": {"column": "c", "nulls": "clear"}}),
    ("customers", {"tax_exempt": {"value": "none"}, "balance": {"value": 12}}),
    ("customers", {"preferred_locales": [{"value": "en"}, "locale"]}),
    ("subscriptions", {"customer": {"email": "owner"}, "proration_behavior": {"value": "none"},
                       "items": [{"price": {"lookup_key": "plan"}, "quantity": "seats"}]}),
    ("subscriptions", {"customer": {"metadata": {"account": "id"}},
                       "items": [{"price": {"sync": "prices", "key": "p"}}]}),
    ("invoices", {"customer": {"own_id": "account"}}),
    ("contacts", {"properties": {"column": "c", "1": "d", "value": {"value": 7}, "a.b": {"template": "{{ a }}"}}}),
    ("contacts", {"properties": {"column": "more", "nulls": "skip"}, "name": "n"}),
    ("contacts", {"properties": {"value": "v"}}),
    ("contacts", {"properties": "more"}),
    ("contacts", {"properties": {"template": "{{ more }}", "nulls": ""}}),
    ("customers", {"metadata": {"template": "t"}}),
]  # fmt: skip


@pytest.mark.parametrize(("resource", "fields"), FIELDS)
def test_a_field_map_comes_back_as_it_was(resource: str, fields: dict[str, Any]) -> None:
    assert fields_of(resource, rows_of(fields)) == fields


def test_a_constant_of_a_whole_map_is_one_of_each_name() -> None:
    rows = [Row("properties", "value", '{"a": 1, "value": [2]}')]
    assert fields_of("contacts", rows) == {"properties": {"a": {"value": 1}, "value": {"value": [2]}}}


def test_constants_are_of_the_type_of_their_field() -> None:
    rows = [Row("name", "value", "123"), Row("balance", "value", "123"), Row("tax_exempt", "value", "none")]
    assert fields_of("customers", rows) == {
        "name": {"value": "123"},
        "balance": {"value": 123},
        "tax_exempt": {"value": "none"},
    }


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"mode": "update", "match": {"metadata": {"account": "id"}}, "on_conflict": "stripe"},
        {"delete": {"how": "remove", "cancel_subscriptions": True}, "stops": {"deletes": 50.0, "updates": 20.0}},
        {"schedule": "every 2 hours", "time_zone": "Europe/Berlin", "alerts": {"late": 5}},
        {"resource": "invoices", "match": {"id": "id"}, "fields": {"description": "x"}, "finish": "sent",
         "delete": {"how": "remove", "void": False}},
        {"resource": "prices", "match": {"lookup_key": "sku"}, "fields": {"lookup_key": "sku"}, "replace_prices": True},
        {"resource": "meter_events", "mode": "insert", "match": {},
         "fields": {"event_name": {"value": "calls"}, "customer": "c", "value": "n", "timestamp": "at"}},
        *({"resource": "contacts", "match": {"id": "id"}, "fields": {"properties": "more"}, **stops}
          for stops in ({}, {"stops": {"updates": 20.0}}, {"stops": {"updates": 5.0}})),
    ],
)  # fmt: skip
def test_a_sync_comes_back_as_it_was(more: dict[str, Any]) -> None:
    entry = {"key": "s", "model": "m", "resource": "customers", "match": {"email": "mail"},
             "fields": {"email": "mail"}, **more}  # fmt: skip
    sync = specs.sync(entry)
    stored = sync.model_dump(mode="json", exclude_unset=True)
    form = sync_form.typed(stored)
    assert sync_form.problems(form) == {}
    assert sync_form.is_whole(form, stored)
    assert specs.sync(sync_form.said(form)).model_dump() == sync.model_dump()


def test_a_form_that_cannot_hold_it_all_is_not_whole() -> None:
    many = {"metadata": {f"k{n}": "c" for n in range(sync_form.MOST_ROWS + 1)}}
    entry = {"key": "s", "model": "m", "resource": "customers", "match": {"id": "id"}, "fields": many}
    assert not sync_form.is_whole(sync_form.typed(entry), entry)
    many["metadata"].popitem()
    assert sync_form.is_whole(sync_form.typed(entry), entry)


def test_problems_stand_beside_what_they_are_about() -> None:
    form = sync_form.with_rows(
        sync_form.Texts(key="a b", model="m", resource="customers", mode="upsert", way="email", by="", delete="nothing",
                        schedule="sometimes", time_zone="Mars", late="soon"),
        [Row("nmae", "column", "x"), Row("address.city", "column", "")],
    )  # fmt: skip
    found = sync_form.problems(form)
    assert {"key", "f1_value", "late"} <= found.keys()
    form["late"] = "5"
    found = sync_form.problems(form)
    assert {"key", "f0_name", "schedule", "time_zone"} <= found.keys()
    assert sync_form.step_of("f0_name") == "fields"
    assert sync_form.step_of("time_zone") == "schedule"


def test_the_catalogue_names_nested_fields_and_what_is_for_creation_only() -> None:
    known = {one.name: one for one in known_fields("subscriptions")}
    assert known["customer"].create_only
    assert not known["description"].create_only
    assert next(one for one in known_fields("prices") if one.name == "currency").required
    assert "items.0.price" in known
    assert "metadata.…" in known
    assert known_fields("nothing") == []


@pytest.mark.parametrize(
    ("typed", "limit"),
    [
        ("", None),
        ("10", 10),
        ("1,000", 1_000),
        ("ten", ""),
        ("0", ""),
        ("-1", ""),
        ("1.5", ""),
        ("²", ""),
        ("9" * 5_000, ""),
    ],
)
def test_how_many_rows_is_a_number_or_wrong(typed: str, limit: int | str | None) -> None:
    part, wrong = parts.read({"only": "", "limit": typed})
    assert (part.limit, "limit" in wrong) == ((None, True) if limit == "" else (limit, False))


def test_numbers_of_any_length_are_read_or_refused() -> None:
    long = "9" * 5_000
    assert sync_form.rows_in({"rows": long, "f0_name": "name"}) == []
    assert fields_of("customers", [Row(f"preferred_locales.{long}", "column", "locale", "")]) == {
        "preferred_locales": {long: "locale"}
    }
