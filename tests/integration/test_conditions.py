"""A condition in the database: what each operator holds of, what is unknown, and why, in one statement."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, text

from tidegate.conditions.compile import compiled
from tidegate.conditions.contact_fields import CONTACT_FIELDS
from tidegate.conditions.explain import explained, questions, reasons
from tidegate.conditions.fields import Field, Fields
from tidegate.conditions.nodes import Node
from tidegate.conditions.parse import parse
from tidegate.wiring import Hub

NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)
FIELDS = Fields(
    [
        Field("mrr", "number", "f.mrr", ""),
        Field("name", "text", "f.name", ""),
        Field("renews_at", "instant", "f.renews_at", ""),
        Field("paid", "flag", "f.paid", ""),
        Field("packages", "list", "f.packages", ""),
    ]
)
ROW: dict[str, Any] = {
    "mrr": "49.50",
    "name": "Acme Ltd",
    "renews_at": "2026-03-20T12:00:00Z",
    "paid": True,
    "packages": ["pro", "seats"],
    "properties": {
        "logins": 12,
        "tier": "gold",
        "beta": True,
        "tags": ["a", "b"],
        "seen": "2026-03-10",
        "met": "2026-03-15T13:00:00+02:00",
        "odd": "2026-02-31",
        "nothing": None,
        "crm": {"score": 7.5},
    },
}
UNKNOWN: dict[str, Any] = {"properties": {}}
RELATION = """
from (select cast(:mrr as numeric) as mrr, cast(:name as text) as name, cast(:renews_at as timestamptz) as renews_at,
    cast(:paid as boolean) as paid, cast(:packages as text[]) as packages) f,
  (select cast(:properties as jsonb) as properties) c"""


def read(said: Any, **named: Node) -> Node:
    node, wrong = parse(said, FIELDS, named)
    assert wrong == []
    return node


def asked(engine: Engine, sql: str, values: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    facts = {name: row.get(name) for name in ("mrr", "name", "renews_at", "paid", "packages")}
    facts["properties"] = json.dumps(row["properties"])
    with engine.connect() as db:
        return dict(db.execute(text(f"select {sql} {RELATION}"), facts | values | {"as_of": NOW}).mappings().one())


def holds(engine: Engine, said: Any, row: dict[str, Any]) -> bool:
    made = compiled(read(said))
    return asked(engine, f"{made.sql} as holds", made.values, row)["holds"]


@pytest.mark.parametrize(
    ("test", "known", "unknown"),
    [
        ({"field": "mrr", "is": 49.5}, True, False),
        ({"field": "mrr", "is": [1, 2]}, False, False),
        ({"field": "mrr", "is_not": 49.5}, False, True),
        ({"field": "mrr", "above": 49.5}, False, False),
        ({"field": "mrr", "at_least": 49.5}, True, False),
        ({"field": "mrr", "at_most": 49.5}, True, False),
        ({"field": "mrr", "below": 49.51}, True, False),
        ({"field": "mrr", "at_least": 49, "below": 49.5}, False, False),
        ({"field": "mrr", "known": True}, True, False),
        ({"field": "mrr", "known": False}, False, True),
        ({"field": "name", "is": ["acme ltd", "Acme Ltd"]}, True, False),
        ({"field": "name", "is": "acme ltd"}, False, False),
        ({"field": "name", "contains": "ME L"}, True, False),
        ({"field": "name", "contains": "%"}, False, False),
        ({"field": "name", "starts_with": "ACME"}, True, False),
        ({"field": "name", "ends_with": " LTD"}, True, False),
        ({"field": "name", "ends_with": "acme"}, False, False),
        ({"field": "renews_at", "in_next_days": 5}, False, False),
        ({"field": "renews_at", "in_next_days": 6}, True, False),
        ({"field": "renews_at", "in_last_days": 30}, False, False),
        ({"field": "renews_at", "more_than_days_ahead": 5}, True, False),
        ({"field": "renews_at", "more_than_days_ahead": 6}, False, False),
        ({"field": "renews_at", "more_than_days_ago": 0}, False, False),
        ({"field": "renews_at", "before": "2026-03-20"}, False, False),
        ({"field": "renews_at", "after": "2026-03-20T14:00:00+02:00"}, True, False),
        ({"field": "paid", "is": True}, True, False),
        ({"field": "paid", "is_not": True}, False, True),
        ({"field": "packages", "has": "pro"}, True, False),
        ({"field": "packages", "has": ["gone", "seats"]}, True, False),
        ({"field": "packages", "has_all": ["gone", "seats"]}, False, False),
        ({"field": "packages", "has_all": ["pro", "seats"]}, True, False),
        ({"field": "packages", "lacks": "gone"}, True, True),
        ({"field": "packages", "lacks": ["gone", "pro"]}, False, True),
        ({"field": "packages", "known": True}, True, False),
        ({"field": "properties.logins", "at_least": 12}, True, False),
        ({"field": "properties.logins", "is": "12"}, False, False),
        ({"field": "properties.crm.score", "above": 7}, True, False),
        ({"field": "properties.tier", "is": "gold"}, True, False),
        ({"field": "properties.tier", "above": 1}, False, False),
        ({"field": "properties.tier", "has": "gold"}, False, False),
        ({"field": "properties.beta", "is": True}, True, False),
        ({"field": "properties.tags", "has": "b"}, True, False),
        ({"field": "properties.tags", "lacks": "b"}, False, True),
        ({"field": "properties.seen", "in_last_days": 6}, True, False),
        ({"field": "properties.seen", "in_last_days": 5}, False, False),
        ({"field": "properties.met", "before": "2026-03-15T11:00:01Z"}, True, False),
        ({"field": "properties.odd", "in_last_days": 300}, False, False),
        ({"field": "properties.odd", "before": "2027-01-01"}, False, False),
        ({"field": "properties.nothing", "known": True}, False, False),
        ({"field": "properties.crm", "known": True}, True, False),
        ({"all": [{"field": "mrr", "above": 1}, {"not": {"field": "paid", "is": True}}]}, False, False),
        ({"any": [{"field": "mrr", "above": 100}, {"field": "paid", "is": True}]}, True, False),
        ({"not": {"field": "mrr", "above": 100}}, True, True),
    ],
    ids=str,
)
def test_each_operator_holds_of_what_it_says(hub: Hub, test: Any, known: bool, unknown: bool) -> None:
    """What is unknown is nothing in particular: only what is denied of it holds, and nothing is ever null."""
    assert holds(hub.engine, test, ROW) is known
    assert holds(hub.engine, test, UNKNOWN) is unknown


@pytest.mark.parametrize(
    "day", ["2026-02-28", "2024-02-29", "2025-02-29", "2026-04-31", "2026-13-01", "0000-01-01", "soon", "2026-1-1", ""]
)
def test_no_text_of_a_property_stops_a_statement(hub: Hub, day: str) -> None:
    real = day in {"2026-02-28", "2024-02-29"}
    row = {"properties": {"seen": day}}
    assert holds(hub.engine, {"field": "properties.seen", "more_than_days_ago": 0}, row) is real


def test_why_it_holds_is_told_with_what_the_contact_has(hub: Hub) -> None:
    risky = read({"field": "properties.logins", "below": 20})
    node = read(
        {"all": [{"field": "mrr", "at_least": 40}, {"any": [{"field": "paid", "is": False}, {"condition": "risky"}]}]},
        risky=risky,
    )
    questioned = questions(node)
    told = explained(node, asked(hub.engine, questioned.sql, questioned.values, ROW))
    assert told["holds"] is True
    assert reasons(told) == ["mrr is at least 40 (49.50)", "properties.logins is below 20 (12)"]
    told = explained(node, asked(hub.engine, questioned.sql, questioned.values, UNKNOWN))
    assert told["holds"] is False
    assert reasons(told) == [
        "mrr is at least 40 (unknown)",
        "paid is no (unknown)",
        "properties.logins is below 20 (unknown)",
    ]
    assert told["parts"][1]["says"] == "any of"


def test_conditions_of_one_statement_keep_their_values_apart(hub: Hub) -> None:
    first = compiled(read({"field": "mrr", "above": 40}), "a")
    second = compiled(read({"field": "mrr", "above": 50}), "b")
    sql = f"{first.sql} as first, {second.sql} as second"
    assert asked(hub.engine, sql, first.values | second.values, ROW) == {"first": True, "second": False}


def test_every_field_of_a_contact_says_what_it_is() -> None:
    assert all(field.says for field in CONTACT_FIELDS.known.values())
