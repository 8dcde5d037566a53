"""Settles usage of which nobody knows whether Stripe counted it: each row counts once, or says that nobody knows."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from sqlalchemy import Engine

from tidegate.connections.accounts import Account
from tidegate.errors import ENDS_THE_WORK, StripeRefused, TidegateError
from tidegate.outbound.metering import events
from tidegate.outbound.metering.events import BACK, SAFE_SECONDS
from tidegate.outbound.metering.meters import beside, meters
from tidegate.outbound.push import outcomes
from tidegate.outbound.push.journal import Open
from tidegate.outbound.push.outcomes import Outcome
from tidegate.outbound.push.requests import Request
from tidegate.stripe_api.client import StripeApi
from tidegate.workflows.entitlements.usage_telling import DOUBTFUL, as_told, counted_before, total_of
from tidegate.workflows.outbound.sync_looking import NOT_DONE
from tidegate.workflows.outbound.sync_remembering import Sending
from tidegate.workflows.outbound.sync_sending import Came, Sender, done, known_before

NOT_TAKEN_BACK = "nobody knows whether it was taken back: the answer was lost, and Stripe takes usage back within a day"


class UsageSettling:
    """Settles the open requests of a sync of usage."""

    def __init__(self, engine: Engine, api: StripeApi, account: Account, sender: Sender) -> None:
        self._engine, self._api, self._account, self._sender = engine, api, account, sender

    def settle(self, sendings: Sequence[Sending], left: Sequence[Open]) -> None:
        """Tells again what Stripe would refuse if it had counted it, and looks for the rest. Raises as `Sender.send`
        does.
        """
        open_ = {one.id: one for one in left}
        self._sender.through(sendings, lambda sending: self._settled(sending, open_[sending.id]))

    def _settled(self, sending: Sending, before: Open) -> Came:
        begun = datetime.now(UTC)
        try:
            came = self._again(sending, before, begun) if before.age < SAFE_SECONDS else None
            return came or self._looked(sending, begun)
        except TidegateError as error:
            error.facts["maybe_done"] = True  # whatever this try came to, the one before may have been counted
            if isinstance(error, ENDS_THE_WORK) or outcomes.is_storm(error):
                raise
            return Came(
                sending, replace(outcomes.failed(error, sending.request, begun, datetime.now(UTC)), state="unknown")
            )

    def _again(self, sending: Sending, before: Open, begun: datetime) -> Came | None:
        """None: it was refused for something else than that it was counted, which may be so all the same."""
        request = sending.request
        if (before.status or 0) >= 500:  # which Stripe says for ever under that key; the identifier counts once
            request = replace(request, idempotency_key=f"{request.idempotency_key}-{begun:%Y%m%d%H%M%S%f}")
        try:
            return done(sending, self._sender.performed(request), begun)
        except ENDS_THE_WORK:
            raise
        except StripeRefused as error:
            if (known := counted_before(request, error)) is not None:
                return known_before(sending, known, error, begun)
            if outcomes.is_storm(error) or int(error.facts.get("status") or 0) >= 500:
                raise
            return None

    def _looked(self, sending: Sending, begun: datetime) -> Came:
        request = sending.request
        if request.path == BACK:
            return Came(sending, Outcome("refused", None, "", None, NOT_TAKEN_BACK, None, begun, datetime.now(UTC)))
        total, verdict = self._verdict(request)
        if verdict:
            return done(sending, as_told(request.params), begun)
        if verdict is None:
            told = DOUBTFUL.format(total=total, identifier=request.params["identifier"])
            return Came(sending, Outcome("unknown", None, "", None, told, None, begun, datetime.now(UTC)))
        return Came(sending, Outcome("refused", None, "", None, NOT_DONE, None, begun, datetime.now(UTC)))

    def _verdict(self, request: Request) -> tuple[str, bool | None]:
        """What the summary says, in words, and whether the event is in it; None: it does not tell."""
        params = request.params
        with self._engine.connect() as db:
            meter = meters(db, self._account.name).get(str(params["event_name"]))
            if meter is None:
                return "the meter is not known any more", None
            customer, at = str(params["payload"][meter.customer_key]), int(params["timestamp"])
            known = beside(db, self._account.name, meter, customer, *events.minute(at))
        total = total_of(self._api, meter, customer, at)
        sure, open_ = sum(known.told, Decimal(0)), sum(known.doubtful, Decimal(0))
        told = f"it says {total or 0}: without what is in doubt it were {sure}, with all of it {sure + open_}"
        return told, events.counted(meter, total, known.told, known.doubtful)
