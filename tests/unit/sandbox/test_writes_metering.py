"""Meters, the events that they count, what takes an event back, and what is billed of them."""

import re
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from tests.support.writing import Account, account, refused

from tidegate.sandbox.metering import DAY, Metering, Told, aggregated

SUM = {"formula": "sum"}


def meter(own: Account, name: str, **said: Any) -> Any:
    given = {"display_name": name.title(), "event_name": name, "default_aggregation": SUM} | said
    return own.checked(own.v1.billing.meters.create(given))


def tell(own: Account, name: str, customer: str, value: Any, **said: Any) -> Any:
    payload = {"stripe_customer_id": customer, "value": str(value)}
    return own.checked(own.v1.billing.meter_events.create({"event_name": name, "payload": payload, **said}))


def total(own: Account, of: Any, customer: str, **said: Any) -> float:
    now = own.sandbox.call(lambda: own.sandbox.state.clock.now) // 60 * 60
    asked = {"customer": customer, "start_time": now - 40 * DAY, "end_time": now + 600, **said}
    found = own.v1.billing.meters.event_summaries.list(of.id, asked)
    return sum(one.aggregated_value for one in own.checked(found).data)


def test_a_meter_s_life(own: Account) -> None:
    made = meter(own, "calls")
    assert (made.status, made.customer_mapping.event_payload_key, made.value_settings.event_payload_key) == (
        "active",
        "stripe_customer_id",
        "value",
    )
    assert own.happened() == ["billing.meter.created"]
    assert "already exists" in refused(meter, own, "calls").user_message
    assert own.v1.billing.meters.update(made.id, {"display_name": "API calls"}).display_name == "API calls"
    assert own.v1.billing.meters.deactivate(made.id).status_transitions.deactivated_at
    assert [one.id for one in own.v1.billing.meters.list({"status": "inactive"}).data] == [made.id]
    price = {"recurring": {"interval": "month", "usage_type": "metered", "meter": made.id}}
    assert "deactivated" in refused(lambda: own.price(1, **price)).user_message
    assert own.v1.billing.meters.reactivate(made.id).status == "active"
    assert own.price(1, **price).recurring.meter == made.id
    assert own.happened()[:3] == ["billing.meter.updated", "billing.meter.deactivated", "billing.meter.reactivated"]


def test_an_identifier_counts_once_for_a_day_and_then_again(own: Account) -> None:
    of, ada = meter(own, "once"), own.customer(None).id
    first = tell(own, "once", ada, 3, identifier="a")
    assert (first.identifier, first.payload["value"]) == ("a", "3")
    again = refused(lambda: tell(own, "once", ada, 3, identifier="a"))
    assert (again.http_status, again.user_message) == (400, "An event already exists with identifier a.")
    assert tell(own, "once", ada, 4).identifier != tell(own, "once", ada, "0.5").identifier
    assert total(own, of, ada) == 7.5
    own.sandbox.advance(DAY)
    tell(own, "once", ada, 3, identifier="a")
    assert total(own, of, ada) == 10.5


def test_a_request_under_the_same_idempotency_key_is_answered_the_same(own: Account) -> None:
    of, ada = meter(own, "keyed"), own.customer(None).id
    form = {"event_name": "keyed", "payload[stripe_customer_id]": ada, "payload[value]": "2", "identifier": "k"}
    answers = [own.post("/v1/billing/meter_events", form, "one") for _ in range(2)]
    assert [one.status_code for one in answers] == [200, 200]
    assert own.post("/v1/billing/meter_events", form, "two").status_code == 400
    assert total(own, of, ada) == 2


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"event_name": "none"}, "No active meter found"),
        ({"payload": {"value": "1"}}, r"payload\[stripe_customer_id\]"),
        ({"payload": {"stripe_customer_id": "{ada}"}}, r"payload\[value\]"),
        ({"payload": {"stripe_customer_id": "cus_no", "value": "1"}}, "No such customer"),
        ({"payload": {"stripe_customer_id": "{ada}", "value": "many"}}, "Invalid value"),
        ({"payload": {"stripe_customer_id": "{ada}", "value": "1234567890.1234567"}}, "at most 15 digits"),
        ({"timestamp": -35 * DAY - 1}, "past 35 days"),
        ({"timestamp": 301}, "5 minutes"),
        ({"identifier": "x" * 101}, "at most 100"),
    ],
)
def test_what_stripe_would_refuse(own: Account, said: dict[str, Any], problem: str) -> None:
    of, ada = meter(own, f"asked {uuid4()}"), own.customer(None).id
    now = own.sandbox.call(lambda: own.sandbox.state.clock.now)
    payload = said.get("payload", {"stripe_customer_id": ada, "value": "1"})
    given: dict[str, Any] = {"event_name": of.event_name} | said
    given["payload"] = {name: value.format(ada=ada) for name, value in payload.items()}
    if "timestamp" in given:
        given["timestamp"] += now
    assert re.search(problem, str(refused(own.v1.billing.meter_events.create, given)))
    assert total(own, of, ada) == 0


def test_the_edges_of_the_window_are_taken(own: Account) -> None:
    of, ada = meter(own, "edges"), own.customer(None).id
    now = own.sandbox.call(lambda: own.sandbox.state.clock.now)
    tell(own, "edges", ada, 1, timestamp=now - 35 * DAY)
    tell(own, "edges", ada, -3, timestamp=now + 300)
    assert total(own, of, ada) == -2


def test_an_event_is_taken_back_within_a_day_and_once(own: Account) -> None:
    of, ada = meter(own, "back"), own.customer(None).id
    tell(own, "back", ada, 5, identifier="b1")
    tell(own, "back", ada, 2, identifier="b2")
    given = {"event_name": "back", "type": "cancel", "cancel": {"identifier": "b1"}}
    done = own.checked(own.v1.billing.meter_event_adjustments.create(given))
    assert (done.status, done.cancel.identifier) == ("pending", "b1")
    assert total(own, of, ada) == 2
    assert "canceled already" in refused(own.v1.billing.meter_event_adjustments.create, given).user_message
    own.sandbox.advance(DAY)
    late = given | {"cancel": {"identifier": "b2"}}
    assert "last 24 hours" in refused(own.v1.billing.meter_event_adjustments.create, late).user_message
    assert total(own, of, ada) == 2


def test_summaries_by_the_hour_and_their_boundaries(own: Account) -> None:
    of, ada = meter(own, "hours"), own.customer(None).id
    hour = own.sandbox.call(lambda: own.sandbox.state.clock.now) // 3600 * 3600
    for back in (0, 0, 2):
        tell(own, "hours", ada, 1, timestamp=hour - back * 3600)
    asked = {"customer": ada, "start_time": hour - 7200, "end_time": hour + 3600, "value_grouping_window": "hour"}
    found = own.checked(own.v1.billing.meters.event_summaries.list(of.id, asked)).data
    assert [(one.start_time - hour, one.aggregated_value) for one in found] == [(0, 2), (-7200, 1)]
    wrong = refused(own.v1.billing.meters.event_summaries.list, of.id, asked | {"start_time": hour - 7199})
    assert (wrong.param, "hour boundaries" in wrong.user_message) == ("start_time", True)


def test_a_metered_price_bills_what_the_events_come_to() -> None:
    with account() as own:
        of, ada = meter(own, "billed"), own.customer()
        price = own.price(7, recurring={"interval": "month", "usage_type": "metered", "meter": of.id})
        own.subscription(ada, price)
        tell(own, "billed", ada.id, 10)
        tell(own, "billed", ada.id, 5, identifier="taken back")
        given = {"event_name": "billed", "type": "cancel", "cancel": {"identifier": "taken back"}}
        own.v1.billing.meter_event_adjustments.create(given)
        own.sandbox.advance(20 * DAY)
        tell(own, "billed", ada.id, 3)
        own.sandbox.advance(12 * DAY)
        [last, *_] = own.v1.invoices.list({"customer": ada.id}).data
        assert [(line.quantity, line.amount) for line in last.lines.data] == [(13, 91)]


def told(value: str, at: int, received: int = 0) -> Told:
    return Told("m", f"{value}{at}", "cus_1", Decimal(value), at, received)


@pytest.mark.parametrize(
    ("formula", "window", "comes_to"),
    [("sum", None, 12), ("count", None, 3), ("last", None, 2), ("sum", "hour", 7), ("last", "day", 2)],
)
def test_the_formulas(formula: str, window: str | None, comes_to: int) -> None:
    metering = Metering()
    for value, at in (("5", 0), ("5", 60), ("2", 3600)):
        metering.add(told(value, at))
    of = {"event_name": "m", "event_time_window": window, "default_aggregation": {"formula": formula}}
    assert aggregated(of, metering.of(of, "cus_1", 0, DAY)) == comes_to
    assert metering.used(of, "cus_1", 0, DAY) == comes_to
    assert metering.used(of, "cus_2", 0, DAY) is None
