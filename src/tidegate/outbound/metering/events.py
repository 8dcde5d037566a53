"""A meter event: under which identifier it counts once, what is sent, and what tells that it was counted. Pure.

Stripe refuses an identifier that it knows for at least 24 hours (the SDK's MeterEventCreateParams.identifier), and says
nothing of one that it has forgotten: within that time an event can be told again and counts once, afterwards it would
count twice.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

Json = Mapping[str, Any]

PATH, BACK = "/v1/billing/meter_events", "/v1/billing/meter_event_adjustments"
SAFE_SECONDS = 23 * 3600
"""For which an identifier is relied on, from before the event was first sent; and within which one is taken back."""
OLDEST_DAYS, EARLIEST_SECONDS = 35, 300
"""How far usage may lie back or ahead (the SDK's MeterEventCreateParams.timestamp)."""
DIGITS = 15
"""The most significant digits of a value (docs.stripe.com/changelog/dahlia/2026-04-22)."""
KNOWN = "already exists with identifier"
"""What Stripe says of an event that it has counted: "An event already exists with identifier …" (400)."""
TAKEN_BACK = "canceled already"


class Meter(NamedTuple):
    """A meter as the mirror has it: the keys under which an event's payload names the customer and the value; how its
    events add up; `plain` is false where Stripe keeps only the last of each hour or day.
    """

    id: str
    event_name: str
    active: bool
    customer_key: str
    value_key: str
    formula: str
    plain: bool = True


def identifier(account: str, *said: Any) -> str:
    """The identifier of what is told of a Stripe account (acct_… and mode): the same for the same usage, always."""
    digest = hashlib.sha256(json.dumps([account, *said], default=str).encode()).hexdigest()
    return f"tidegate-{digest[:48]}"


def event(meter: Meter, name: str, customer: str, value: str, at: int, more: Json | None = None) -> dict[str, Any]:
    """The parameters of an event; `name` is its identifier, `at` when the usage was, UTC epoch seconds."""
    payload = {meter.customer_key: customer, meter.value_key: value, **(more or {})}
    return {"event_name": meter.event_name, "identifier": name, "payload": payload, "timestamp": at}


def cancellation(event_name: str, name: str) -> dict[str, Any]:
    """The parameters that take an event back."""
    return {"event_name": event_name, "type": "cancel", "cancel": {"identifier": name}}


def was_known(facts: Json, name: str) -> bool:
    """Whether an error says that Stripe has counted the event of this identifier."""
    said = str(facts.get("message") or "")
    return facts.get("status") == 400 and KNOWN in said and name in said


def was_taken_back(facts: Json) -> bool:
    """Whether an error says that the event was taken back before."""
    return facts.get("status") == 400 and TAKEN_BACK in str(facts.get("message") or "")


def minute(at: int) -> tuple[int, int]:
    """The minute in which usage was, whose summary Stripe tells; UTC epoch seconds."""
    begin = at // 60 * 60
    return begin, begin + 60


def counted(meter: Meter, total: Decimal | None, told: Iterable[Decimal], doubtful: Iterable[Decimal]) -> bool | None:
    """Whether Stripe counted events of which nobody knows, all of one customer, meter and minute; None: it cannot be
    told, and none of them may be sent again.

    `total`: what Stripe says of that minute, None: nothing was counted. `told`: the values of what was surely counted;
    `doubtful`: of those in doubt. It can be told where the total is exactly that of the sure ones, or of all; and only
    where nothing that was given back (below 0) or of no worth could make up for another.
    """
    sure, open_ = list(told), list(doubtful)
    if not meter.plain or meter.formula not in {"sum", "count"} or any(one <= 0 for one in [*sure, *open_]):
        return None
    if meter.formula == "count":
        sure, open_ = [Decimal(1)] * len(sure), [Decimal(1)] * len(open_)
    has, without = total or Decimal(0), sum(sure, Decimal(0))
    if has == without:
        return False
    return True if has == without + sum(open_, Decimal(0)) else None
