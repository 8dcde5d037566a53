"""Trouble that can be aimed: faults of one path, bursts of changes, and what event lists are filtered by."""

from typing import Any

import pytest

from tidegate.sandbox.answers import Request


def aim(api: Any, path: str, kind: str, times: int | None) -> None:
    asked = api.ask("/__faults", method="POST", json={"path": path, "kind": kind, "times": times})
    assert asked.status == 200, asked


@pytest.mark.parametrize(("kind", "status"), [("429", 429), ("500", 500)])
def test_a_fault_is_for_one_path_and_so_many_times(make_api: Any, kind: str, status: int) -> None:
    api = make_api(customers=5)
    aim(api, "/v1/invoices", kind, 2)
    assert api.ask("/v1/customers").status == 200
    assert [api.ask("/v1/invoices").status for _ in range(3)] == [status, status, 200]
    assert api.get("/__stats")["faults"] == {kind: 2}
    aim(api, "/v1/invoices", kind, None)
    assert [api.ask("/v1/invoices").status for _ in range(5)] == [status] * 5
    assert api.ask("/__faults", method="DELETE").status == 200
    assert api.ask("/v1/invoices").status == 200


def test_faults_of_the_connection(make_api: Any) -> None:
    api = make_api(customers=5)
    headers = {b"authorization": f"Bearer {api.server.config.key}".encode()}
    for kind in ("reset", "truncate", "slow"):
        aim(api, "/v1/invoices", kind, 1)
        reply = api.server.respond(Request("GET", "/v1/invoices", [], headers))
        assert (reply.broken, reply.delay > 0) == ((None, True) if kind == "slow" else (kind, False))


def test_a_list_that_never_ends_begins_anew(make_api: Any) -> None:
    api = make_api(customers=7)
    aim(api, "/v1/customers", "never_ending", None)
    seen: list[str] = []
    for _ in range(6):
        after = f"&starting_after={seen[-1]}" if seen else ""
        page = api.get(f"/v1/customers?limit=4{after}")
        assert page["has_more"] is True
        seen += [one["id"] for one in page["data"]]
    assert seen[:7] == seen[7:14] == seen[14:21]
    assert api.get(f"/v1/customers/{seen[0]}")["id"] == seen[0]


@pytest.mark.parametrize(
    "body",
    [
        {"path": "/v1/invoices", "kind": "boom"},
        {"path": "invoices", "kind": "500"},
        {"path": "/v1/invoices", "kind": "500", "times": 0},
        {"kind": "500"},
    ],
)
def test_a_fault_that_is_not_understood(api: Any, body: dict[str, Any]) -> None:
    assert api.ask("/__faults", method="POST", json=body).status == 400


@pytest.mark.parametrize("path", ["customers", "subscriptions", "invoices", "products", "prices", "coupons", "charges"])
def test_a_burst_is_many_changes_in_one_second_each_with_its_event(make_api: Any, path: str) -> None:
    api = make_api(customers=45)
    one = api.get(f"/v1/{path}?limit=1")["data"][0]["id"]
    asked = api.ask("/__burst", method="POST", json={"id": one, "times": 5})
    events = api.get("/v1/events?limit=5")["data"]
    assert {event["type"] for event in events} == {asked.json["event"]}
    assert {event["created"] for event in events} == {api.get("/__clock")["now"]}
    assert [event["data"]["object"]["metadata"]["burst"] for event in events] == ["5", "4", "3", "2", "1"]
    assert [event["data"]["previous_attributes"]["metadata"] for event in events[:4]] == [
        {"burst": old} for old in "4321"
    ]
    assert api.get(f"/v1/{path}/{one}")["metadata"]["burst"] == "5"


def test_a_burst_of_what_has_no_such_event(api: Any) -> None:
    account = api.get("/v1/account")["id"]
    for body, status in (({"id": account}, 400), ({"id": "nobody"}, 404), ({"id": "x", "times": 0}, 400)):
        assert api.ask("/__burst", method="POST", json=body).status == status


def test_events_are_found_by_a_group_of_types(api: Any) -> None:
    events = api.every("/v1/events")
    for group in ("invoice.*", "customer.subscription.*", "customer.*", "*"):
        found = api.every("/v1/events", f"&type={group}")
        prefix = group.removesuffix("*")
        assert [one["id"] for one in found] == [one["id"] for one in events if one["type"].startswith(prefix)]
        assert found
    assert {one["type"] for one in api.every("/v1/events", "&type=invoice.paid")} == {"invoice.paid"}
    assert api.every("/v1/events", "&types[]=invoice.*") == []


@pytest.mark.parametrize(
    ("target", "param", "code"),
    [
        ("/v1/events?" + "&".join(["types[]=invoice.paid"] * 21), "types", None),
        ("/v1/events?type=invoice.paid&types[]=invoice.paid", "types", None),
        ("/v1/invoices?customer=cus_none", "customer", "resource_missing"),
        ("/v1/subscriptions?customer=cus_none", "customer", "resource_missing"),
    ],
)
def test_list_parameters_that_are_refused(api: Any, target: str, param: str, code: str | None) -> None:
    refused = api.ask(target)
    error = refused.json["error"]
    assert (refused.status, error["param"], error.get("code")) == (400, param, code)


def test_the_lists_of_a_deleted_customer_can_still_be_asked_for(api: Any) -> None:
    (gone, *_) = api.get("/__truth?ids=customers_deleted")["ids"]["customers_deleted"]
    assert api.get(f"/v1/invoices?customer={gone}")["data"]
