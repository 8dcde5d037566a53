"""What came of usage that was told to Stripe, where no answer came: told again while Stripe surely remembers it, and
afterwards looked for in the meter's summary, for told twice it would count twice.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from tidegate.errors import StripeRefused, TidegateError
from tidegate.outbound.metering import events
from tidegate.outbound.metering.events import BACK, PATH, Meter
from tidegate.outbound.push.outcomes import body_of
from tidegate.outbound.push.requests import Request
from tidegate.stripe_api.calls import Answer
from tidegate.stripe_api.client import StripeApi

DOUBTFUL = (
    "nobody knows whether Stripe counted it: its answer was lost, Stripe remembers identifiers for a day, and the "
    "meter's summary of that minute ({total}) does not tell. It is not told again, for it could count twice. See in "
    "Stripe's dashboard whether {identifier} is there; if not, write it as a new row"
)


def counted_before(request: Request, error: TidegateError) -> Answer | None:
    """What Stripe would have answered, where its refusal says that it had done the same before; None: it does not."""
    if not isinstance(error, StripeRefused):
        return None
    if request.path == PATH and events.was_known(error.facts, str(request.params["identifier"])):
        return as_told(request.params)
    if request.path == BACK and events.was_taken_back(error.facts):
        return as_told(request.params)
    return None


def as_told(params: Any) -> Answer:
    """What was told, as an answer shows it."""
    body = msgspec.json.encode({"object": "billing.meter_event", **params})
    return Answer(body, datetime.now(UTC).replace(microsecond=0), 0.0, "")


def total_of(api: StripeApi, meter: Meter, customer: str, at: int) -> Decimal | None:
    """What Stripe counted of a customer in the minute of `at` (UTC epoch seconds); None: nothing. Raises as StripeApi
    does.
    """
    begin, end = events.minute(at)
    asked = {"customer": customer, "start_time": begin, "end_time": end, "limit": 1}
    found: Sequence[Any] = body_of(api.get(f"/v1/billing/meters/{meter.id}/event_summaries", asked).body)["data"]
    return Decimal(str(found[0]["aggregated_value"])) if found else None
