"""What a sync may say: resources, matches, modes and delete behaviours that go together."""

from typing import Any

import pytest

from tidegate.errors import SyncInvalid
from tidegate.outbound import specs
from tidegate.outbound.resources import MATCHES, OPTIONS, OWN

FIELDS: dict[str, dict[str, Any]] = {
    "products": {"name": "name"},
    "subscriptions": {"items": [{"price": {"id": "price"}}], "proration_behavior": {"value": "none"}},
}
MODES = ("upsert", "update", "insert")


def said(resource: str, **more: Any) -> dict[str, Any]:
    fields = FIELDS.get(resource, {"metadata": {"tier": "tier"}})
    spec = {"key": "s", "model": "m", "resource": resource, "match": {"metadata": {"row": "mark"}}, "fields": fields}
    return spec | more


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("resource", sorted({*MATCHES} - OWN))
def test_each_resource_in_each_mode_and_by_each_match(resource: str, mode: str) -> None:
    for way in MATCHES[resource]:
        match = {"metadata": {"row": "mark"}} if way == "metadata" else {way: "column"}
        sync = specs.sync(said(resource, mode=mode, match=match))
        assert sync.matched_by == ((way, "row", "mark") if way == "metadata" else (way, "", "column"))
    for way in {"id", "email", "lookup_key", "number"} - MATCHES[resource]:
        with pytest.raises(SyncInvalid, match="are matched by one of"):
            specs.sync(said(resource, mode=mode, match={way: "column"}))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("resource", sorted({*MATCHES} - OWN))
def test_deletes_go_with_upsert_and_with_options_of_their_resource(resource: str, mode: str) -> None:
    every = {"cancel_subscriptions": True, "at": "now", "prorate": True, "invoice_now": True, "void": False}
    if mode != "upsert":
        with pytest.raises(SyncInvalid, match="it goes with the mode upsert"):
            specs.sync(said(resource, mode=mode, delete="remove"))
        return
    assert specs.sync(said(resource, delete="remove")).delete.how == "remove"
    for name, value in every.items():
        wanted = said(resource, delete={"how": "remove", name: value})
        if name in OPTIONS.get(resource, ()):
            assert getattr(specs.sync(wanted).delete, name) == value
        else:
            with pytest.raises(SyncInvalid, match="means nothing for"):
                specs.sync(wanted)


@pytest.mark.parametrize(
    ("resource", "more", "problem"),
    [
        ("customers", {"finish": "finalized"}, "only invoices and quotes"),
        ("quotes", {"finish": "sent"}, "Stripe sends none"),
        ("customers", {"replace_prices": True}, "it is for prices"),
        ("subscriptions", {"fields": {"items": [{"price": {"id": "price"}}]}}, "say what a change of items costs"),
        ("customers", {"time_zone": "Berlin"}, "no time zone"),
    ],
)
def test_what_does_not_go_together_is_refused(resource: str, more: dict[str, Any], problem: str) -> None:
    with pytest.raises(SyncInvalid, match=problem):
        specs.sync(said(resource, **more))
