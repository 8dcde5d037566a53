"""Test clocks: what is on one is hidden, stands still, and goes with it."""

from typing import Any

import pytest

DAY = 86_400
HIDDEN = ("customers", "subscriptions", "quotes")


def test_what_is_on_a_clock_is_listed_only_when_asked_for(api: Any) -> None:
    (clock,) = api.every("/v1/test_helpers/test_clocks")
    assert api.get(f"/v1/test_helpers/test_clocks/{clock['id']}") == clock
    for path in HIDDEN:
        query = "&status=all" if path == "subscriptions" else ""
        shown = api.every(f"/v1/{path}", query)
        on_clock = api.every(f"/v1/{path}", f"{query}&test_clock={clock['id']}")
        assert {one["test_clock"] for one in shown} == {None}
        assert [one["test_clock"] for one in on_clock] == [clock["id"]] * 2
        assert not api.every(f"/v1/{path}", f"{query}&test_clock=clock_none")
        assert api.get(f"/v1/{path}/{on_clock[0]['id']}") == on_clock[0]
    customer = api.every("/v1/customers", f"&test_clock={clock['id']}")[0]
    for path in ("subscriptions", "quotes", "invoices"):
        found = api.every(f"/v1/{path}", f"&customer={customer['id']}")
        assert {one["test_clock"] for one in found} == {clock["id"]}
    assert clock["id"] in {one["test_clock"] for one in api.every("/v1/invoices")}
    expanded = api.get(f"/v1/customers/{customer['id']}?expand[]=test_clock&expand[]=subscriptions")
    assert expanded["test_clock"] == clock
    assert len(expanded["subscriptions"]["data"]) == 1
    kinds = {one["type"] for one in api.every("/v1/events") if one["type"].startswith("test_helpers")}
    assert kinds == {f"test_helpers.test_clock.{what}" for what in ("created", "advancing", "ready")}


def renewals(api: Any, clock: str) -> list[dict[str, Any]]:
    return [
        one
        for one in api.every("/v1/invoices")
        if one["test_clock"] == clock and one["billing_reason"] == "subscription_cycle"
    ]


def test_time_stands_still_on_a_clock_until_it_is_advanced(make_api: Any) -> None:
    api = make_api(customers=45)
    (clock,) = api.every("/v1/test_helpers/test_clocks")
    assert len(before := renewals(api, clock["id"])) == 2
    api.ask("/__clock", method="POST", json={"advance_seconds": 65 * DAY})
    assert renewals(api, clock["id"]) == before
    asked = api.ask(f"/__test_clocks/{clock['id']}", method="POST", json={"advance_seconds": 65 * DAY})
    assert asked.json["frozen_time"] == clock["frozen_time"] + 65 * DAY
    after = renewals(api, clock["id"])
    assert len(after) == 6
    assert all(one["created"] <= asked.json["frozen_time"] for one in after)
    now = api.get("/__clock")["now"]
    assert {one["created"] for one in api.get("/v1/events?limit=20")["data"]} == {now}
    for body, status in (({"to": clock["frozen_time"]}, 400), ({"advance_seconds": "1"}, 400), ({}, 200)):
        assert api.ask(f"/__test_clocks/{clock['id']}", method="POST", json=body).status == status
    assert api.ask("/__test_clocks/clock_none", method="POST", json={}).status == 404


@pytest.mark.parametrize("query", ["", "?event=false"])
def test_a_clock_takes_what_is_on_it_along(make_api: Any, query: str) -> None:
    api = make_api(customers=45)
    (clock,) = api.clocks()
    (customer, *_) = api.every("/v1/customers", f"&test_clock={clock}")
    assert api.ask(f"/__objects/{clock}{query}", method="DELETE").status == 200
    assert api.ask(f"/v1/test_helpers/test_clocks/{clock}").status == 404
    assert api.get(f"/v1/customers/{customer['id']}")["deleted"] is True
    assert clock not in {one["test_clock"] for one in api.every("/v1/invoices")}
    newest = api.get("/v1/events?limit=1")["data"][0]["type"]
    assert (newest == "test_helpers.test_clock.deleted") == (not query)
    assert api.ask("/__clock", method="POST", json={"advance_seconds": 40 * DAY}).status == 200


@pytest.mark.parametrize("config", [{"customers": 44}, {"customers": 45, "livemode": True}, {"profile": "bulk"}])
def test_a_small_company_and_a_live_one_have_no_clock(make_api: Any, config: dict[str, Any]) -> None:
    assert make_api(**config).clocks() == []
