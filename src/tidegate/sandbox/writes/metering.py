"""Billing meters, the events that they count, and what takes an event back."""

import uuid
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation

from tidegate.sandbox.answers import Refusal, missing
from tidegate.sandbox.metering import DAY, WINDOWS, Told, aggregated
from tidegate.sandbox.objects import metering as build
from tidegate.sandbox.params import required
from tidegate.sandbox.resources import Obj, part
from tidegate.sandbox.writes.calls import Call, Write, needs_value, taken
from tidegate.sandbox.writes.pages import SERVED as PAGED
from tidegate.sandbox.writes.pages import page

OLDEST, EARLIEST = 35 * DAY, 300
"""How many seconds usage may lie back, and how many ahead (the SDK's MeterEventCreateParams.timestamp)."""
DIGITS = 15
"""The most significant digits of a value (docs.stripe.com/changelog/dahlia/2026-04-22)."""
LONGEST = 100
"""The most characters of names and identifiers (`maxLength` of github.com/stripe/openapi)."""
MINUTE = 60


def create(call: Call) -> Obj:
    """A new meter, under a name that no other has."""
    given = call.given
    needs_value(given, "display_name", "event_name")
    short(given["event_name"], "event_name")
    if next(call.state[NAME].find("_event_name", given["event_name"]), None):
        raise Refusal(
            400,
            f"A meter already exists with event_name {given['event_name']}.",
            "resource_already_exists",
            "event_name",
        )
    changes = taken(given, "customer_mapping", "default_aggregation", "event_time_window", "value_settings")
    made = build.meter(call.world.ids.new("mtr_", 24), call.now, given["event_name"], given["display_name"], **changes)
    return call.stored(made, "billing.meter.created")


def update(call: Call) -> Obj:
    """Changes what a meter is called, the one thing of it that can be."""
    meter = call.addressed(NAME)
    needs_value(call.given, "display_name")
    return call.stored(meter | taken(call.given, "display_name") | {"updated": call.now}, "billing.meter.updated")


def deactivate(call: Call) -> Obj:
    """From now on the meter takes no events."""
    return _turned(call, "inactive", call.now, "billing.meter.deactivated")


def reactivate(call: Call) -> Obj:
    """From now on it takes events again."""
    return _turned(call, "active", None, "billing.meter.reactivated")


def _turned(call: Call, status: str, at: int | None, event: str) -> Obj:
    meter = call.addressed(NAME)
    if meter["status"] == status:
        raise Refusal(400, f"The meter {meter['id']} is {status} already.")
    changes: Obj = {"status": status, "status_transitions": {"deactivated_at": at}, "updated": call.now}
    return call.stored(meter | changes, event)


def tell(call: Call) -> Obj:
    """Counts usage once: an identifier that is known is refused, as Stripe does."""
    given, now, metering = call.given, call.now, call.state.metering
    meter = active(call, given["event_name"])
    identifier = given.get("identifier") or str(uuid.UUID(int=call.world.chance_of("meter events").getrandbits(128)))
    short(identifier, "identifier")
    at = given.get("timestamp", now)
    within(at, now)
    customer, value = said(call, meter, given["payload"] or {})
    if metering.recent(identifier, now):
        raise Refusal(400, f"An event already exists with identifier {identifier}.")
    told = Told(meter["event_name"], identifier, customer, value, at, now)
    metering.add(told)
    return build.meter_event(told, given["payload"])


def active(call: Call, event_name: str) -> Obj:
    """The meter of that name. Raises Refusal (400) when there is none, or it is deactivated."""
    found = next(call.state[NAME].find("_event_name", event_name), None)
    meter = call.state.full(NAME, found) if found else None
    if meter is None or meter["status"] != "active":
        raise Refusal(400, f'No active meter found for event name "{event_name}".', param="event_name")
    return meter


def short(text: str, param: str) -> None:
    """Raises Refusal (400) for what is too long."""
    if len(text) > LONGEST:
        raise Refusal(400, f"Invalid string: {text[:20]}…; must be at most {LONGEST} characters", param=param)


def within(at: int, now: int) -> None:
    """Raises Refusal (400) for usage that Stripe takes no more, or not yet."""
    if at < now - OLDEST:
        raise Refusal(400, "The timestamp must be within the past 35 days.", "timestamp_too_far_in_past", "timestamp")
    if at > now + EARLIEST:
        raise Refusal(
            400, "The timestamp must not be more than 5 minutes in the future.", "timestamp_in_future", "timestamp"
        )


def said(call: Call, meter: Obj, payload: dict[str, str]) -> tuple[str, Decimal]:
    """The customer and the value in a payload. Raises Refusal (400)."""
    of_customer = part(meter, "customer_mapping")["event_payload_key"]
    of_value = part(meter, "value_settings")["event_payload_key"]
    if not payload.get(of_customer):
        raise required(f"payload[{of_customer}]")
    customer = payload[of_customer]
    if customer not in call.state["customers"]:
        raise missing("customer", customer, param=f"payload[{of_customer}]", status=400)
    if meter["default_aggregation"]["formula"] == "count" and not payload.get(of_value):
        return customer, Decimal(1)
    if not payload.get(of_value):
        raise required(f"payload[{of_value}]")
    return customer, number(payload[of_value], f"payload[{of_value}]")


def number(text: str, param: str) -> Decimal:
    """A value of usage, which may be negative. Raises Refusal (400)."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("nan")
    if not value.is_finite():
        raise Refusal(400, f"Invalid value in the event payload: {text}.", "meter_event_invalid_value", param)
    if len(value.normalize().as_tuple().digits) > DIGITS:
        raise Refusal(
            400,
            f"The value in the event payload can have at most {DIGITS} digits. Received {text}.",
            "meter_event_value_too_many_digits",
            param,
        )
    return value


def take_back(call: Call) -> Obj:
    """Takes an event back that came within the last 24 hours; once."""
    identifier = part(call.given, "cancel").get("identifier")
    if not identifier:
        raise required("cancel[identifier]")
    found = call.state.metering.recent(identifier, call.now)
    if found is None or found.event_name != call.given["event_name"]:
        raise Refusal(
            400,
            f"No event with identifier {identifier} was received within the last 24 hours.",
            "resource_missing",
            "cancel[identifier]",
        )
    if found.canceled:
        raise Refusal(400, f"The event with identifier {identifier} is canceled already.", param="cancel[identifier]")
    found.canceled = True
    return build.adjustment(found.event_name, identifier)


def summaries(call: Call) -> Obj:
    """What a customer's events of a meter come to: in all, or by hours or days; those without any left out."""
    meter, given = call.addressed(NAME), call.given
    customer = call.referred("customers", given["customer"], "customer")["id"]
    begin, end = given["start_time"], given["end_time"]
    window = WINDOWS.get(given.get("value_grouping_window") or "")
    for name, at in (("start_time", begin), ("end_time", end)):
        if at % (window or MINUTE):
            raise Refusal(400, f"Invalid {name}: must be aligned with {_unit(given)} boundaries.", param=name)
    if end <= begin:
        raise Refusal(400, "end_time must be after start_time.", param="end_time")
    found = list(_summed(call, meter, customer, list(range(begin, end, window or end - begin)), end))
    path = f"{ONE.format(id=meter['id'])}/event_summaries"
    return page(call, found, "billing.meter_event_summary", path)


def _unit(given: Obj) -> str:
    return str(given.get("value_grouping_window") or "minute")


def _summed(call: Call, meter: Obj, customer: str, begins: list[int], end: int) -> Iterator[Obj]:
    """The latest first."""
    for begin, until in reversed(list(zip(begins, [*begins[1:], end], strict=True))):
        if events := call.state.metering.of(meter, customer, begin, until):
            yield build.summary(meter["id"], begin, until, float(aggregated(meter, events)))


NAME, KIND = "billing_meters", "billing.meter"
PATH, ONE = "/v1/billing/meters", "/v1/billing/meters/{id}"
PARAMS = "billing.Meter{}Params"
WRITES = (
    Write(
        "POST",
        PATH,
        NAME,
        KIND,
        PARAMS.format("Create"),
        create,
        (
            "customer_mapping",
            "default_aggregation",
            "display_name",
            "event_name",
            "event_time_window",
            "value_settings",
        ),
    ),
    Write("POST", ONE, NAME, KIND, PARAMS.format("Update"), update, ("display_name",)),
    Write("POST", f"{ONE}/deactivate", NAME, KIND, PARAMS.format("Deactivate"), deactivate),
    Write("POST", f"{ONE}/reactivate", NAME, KIND, PARAMS.format("Reactivate"), reactivate),
    Write(
        "GET",
        f"{ONE}/event_summaries",
        NAME,
        "leaf",
        PARAMS.format("ListEventSummaries"),
        summaries,
        (*PAGED, "customer", "start_time", "end_time", "value_grouping_window"),
        reads=True,
    ),
    Write(
        "POST",
        "/v1/billing/meter_events",
        NAME,
        "leaf",
        PARAMS.format("EventCreate"),
        tell,
        ("event_name", "identifier", "payload", "timestamp"),
    ),
    Write(
        "POST",
        "/v1/billing/meter_event_adjustments",
        NAME,
        "leaf",
        PARAMS.format("EventAdjustmentCreate"),
        take_back,
        ("cancel", "event_name", "type"),
    ),
)
