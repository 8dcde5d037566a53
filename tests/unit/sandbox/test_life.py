from typing import Any

import pytest

from tidegate.sandbox.cast import ROLES, Role
from tidegate.sandbox.resources import BY_OBJECT

DAY = 86_400


def advance(api: Any, seconds: int) -> dict[str, Any]:
    asked = api.ask("/__clock", method="POST", json={"advance_seconds": seconds})
    assert asked.status == 200, asked
    return asked.json


def everything(api: Any) -> dict[str, list[bytes]]:
    collections = api.server.world.state.collections
    return {
        name: [collection.body(identifier) for identifier in collection.ids] for name, collection in collections.items()
    }


def test_the_same_seed_makes_the_same_account_also_later(make_api: Any) -> None:
    first, second, other = make_api(customers=60), make_api(customers=60), make_api(customers=60, seed=2)
    assert everything(first) == everything(second)
    advance(first, 10 * DAY)
    for _ in range(10):
        advance(second, DAY)
    assert everything(first) == everything(second)
    assert everything(first)["customers"] != everything(other)["customers"]
    bulk = {"profile": "bulk", "customers": 7, "invoices": 9, "subscriptions": 3}
    assert everything(make_api(**bulk)) == everything(make_api(**bulk))


def test_a_new_role_changes_nobody_elses_history(make_api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chance belongs to a customer: one more role moves nothing of what others do."""
    before = histories(make_api(customers=len(ROLES) + 40))
    monkeypatch.setitem(ROLES, "newcomer", Role(29, steps=((3, "upgrade"),)))
    after = histories(make_api(customers=len(ROLES) + 40))
    newcomer = next(iter(after.keys() - before.keys()))
    assert "newcomer" in newcomer
    assert after == before | {newcomer: after[newcomer]}
    assert len(after) == len(before) + 1 > 100


def histories(api: Any) -> dict[str, list[tuple[int, str, int]]]:
    """What each customer was billed, by name and address: when, why and how much."""
    state = api.server.world.state
    names = {one["id"]: f"{one['name']} {one['email']}" for one in api.every("/v1/customers")}
    found: dict[str, list[tuple[int, str, int]]] = {name: [] for name in names.values()}
    for identifier in state["invoices"].ids:
        invoice = state["invoices"].shown(identifier)
        if invoice["customer"] in names:
            story = (invoice["created"], invoice["billing_reason"], invoice["total"])
            found[names[invoice["customer"]]].append(story)
    return found


@pytest.mark.parametrize("customers", [0, 1, 10, len(ROLES), len(ROLES) + 9])
def test_the_number_of_customers_is_the_one_asked_for(make_api: Any, customers: int) -> None:
    api = make_api(customers=customers, months=14)
    assert len(api.every("/v1/customers")) + api.get("/__truth")["counts"]["customers_deleted"] == customers


def test_the_clock_moves_only_forward_and_only_when_told(make_api: Any) -> None:
    api = make_api(customers=0, as_of=1_800_000_000)
    assert api.get("/__clock")["now"] == 1_800_000_000
    assert api.ask("/__clock", method="POST", json={"to": 1_799_999_999}).status == 400
    assert api.ask("/__clock", method="POST", json={"advance_seconds": 1.5}).status == 400
    assert api.ask("/__clock", method="POST", json={"to": 1_800_000_060}).json["now"] == 1_800_000_060
    assert api.ask("/v1/account").headers["date"] == "Fri, 15 Jan 2027 08:01:00 GMT"


def test_advancing_makes_things_happen_and_says_so(make_api: Any) -> None:
    api = make_api(customers=120)
    before = api.get("/__truth")["counts"]
    made = advance(api, 35 * DAY)
    after = api.get("/__truth")["counts"]
    for name in (
        "customers",
        "subscriptions",
        "invoices",
        "invoice_lines",
        "charges",
        "invoice_payments",
        "invoiceitems",
    ):
        assert after[name] > before[name], name
    kinds = {event["type"] for event in api.every("/v1/events")}
    assert made["events"] > 300
    assert kinds >= {
        "customer.created",
        "customer.subscription.created",
        "customer.subscription.updated",
        "customer.subscription.deleted",
        "invoice.created",
        "invoice.finalized",
        "invoice.paid",
        "invoice.payment_failed",
        "charge.succeeded",
        "charge.failed",
        "invoiceitem.created",
    }


def test_events_tell_an_objects_story_in_order(make_api: Any) -> None:
    """What an event leaves out of its previous attributes is what the object was before."""
    api = make_api(customers=80)
    advance(api, 20 * DAY)
    last: dict[str, dict[str, Any]] = {}
    compared = 0
    for event in reversed(api.every("/v1/events")):
        obj = event["data"]["object"]
        before = last.get(obj["id"])
        changed = event["data"].get("previous_attributes")
        if before is not None and changed is not None:
            assert restored(obj, changed) == before, event["id"]
            compared += 1
        last[obj["id"]] = obj
    assert compared > 150


def restored(obj: dict[str, Any], previous: dict[str, Any]) -> dict[str, Any]:
    old = dict(obj)
    for name, value in previous.items():
        both = isinstance(value, dict) and isinstance(obj.get(name), dict)
        old[name] = restored(obj[name], value) if both else value
    return old


SILENT = {"invoiceitem": "invoice", "invoice_payment": "status"}
"""What changes without an event at Stripe too: an invoice item joins its invoice, an unpaid invoice payment appears."""


def test_the_newest_event_shows_the_object_as_it_is(make_api: Any) -> None:
    api = make_api(customers=80)
    advance(api, 20 * DAY)
    state, seen = api.server.world.state, set[str]()
    for event in api.every("/v1/events"):
        obj = event["data"]["object"]
        collection = state[BY_OBJECT[obj["object"]].name]
        if obj["id"] not in seen and obj["id"] in collection:
            ignored = {SILENT.get(obj["object"]): None}
            assert collection.shown(obj["id"]) | ignored == obj | ignored
        seen.add(obj["id"])
    assert len(seen) > 200


def test_only_updates_say_what_was_before(make_api: Any) -> None:
    api = make_api(customers=80)
    advance(api, 20 * DAY)
    for event in api.every("/v1/events"):
        assert event["type"].endswith(".updated") or "previous_attributes" not in event["data"]


def test_objects_can_be_put_and_deleted_from_outside(make_api: Any) -> None:
    api = make_api(customers=40)
    customer = api.get("/v1/customers?limit=1")["data"][0] | {"name": "Renamed"}
    api.ask("/__objects", method="POST", json={"object": customer, "event": "customer.updated"})
    event = api.get("/v1/events?limit=1")["data"][0]
    assert event["type"] == "customer.updated"
    assert event["data"]["previous_attributes"]["name"] != "Renamed"
    assert api.get(f"/v1/customers/{customer['id']}")["name"] == "Renamed"
    assert api.ask(f"/__objects/{customer['id']}", method="DELETE").status == 200
    assert api.get(f"/v1/customers/{customer['id']}")["deleted"] is True
    assert api.get("/v1/events?limit=1")["data"][0]["type"] == "customer.deleted"
    charge = api.get("/v1/charges?limit=1")["data"][0]["id"]
    api.ask(f"/__objects/{charge}", method="DELETE")
    assert api.ask(f"/v1/charges/{charge}").status == 404
    assert api.get("/v1/events?limit=1")["data"][0]["type"] == "customer.deleted"
    assert api.ask("/__objects/nobody", method="DELETE").status == 404
    assert api.ask("/__objects", method="POST", json={"object": {"id": "x", "object": "cat"}}).status == 400
    assert api.ask("/__objects", method="POST", json=[1]).status == 400
    assert api.ask("/__elsewhere").status == 404


def test_a_coupon_id_can_be_used_again(make_api: Any) -> None:
    api = make_api(customers=0)
    coupon = api.get("/v1/coupons/TENOFF")
    api.ask("/__objects/TENOFF", method="DELETE")
    assert api.ask("/v1/coupons/TENOFF").status == 404
    advance(api, 60)
    again = coupon | {"created": api.get("/__clock")["now"], "name": "Another"}
    api.ask("/__objects", method="POST", json={"object": again, "event": "coupon.created"})
    assert api.get("/v1/coupons?limit=1")["data"][0]["name"] == "Another"


def test_the_world_goes_on_when_what_it_was_about_is_gone(make_api: Any) -> None:
    api = make_api(customers=60)
    for path in ("subscriptions", "invoices", "customers", "charges", "payment_methods"):
        for one in api.get(f"/v1/{path}?limit=20")["data"]:
            api.ask(f"/__objects/{one['id']}", method="DELETE")
    advance(api, 60 * DAY)
    assert api.get("/__truth")["counts"]["invoices"] > 0
