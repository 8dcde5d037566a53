"""A sandbox to write to with the official SDK, which judges every answer and every event by the SDK's own types."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import stripe
from tests.support.sdk_schema import problems

from tidegate.sandbox.config import SandboxConfig
from tidegate.sandbox.server import Sandbox

MONTH = {"interval": "month"}


@dataclass
class Account:
    """A running sandbox without customers, the SDK's client on it, and what was seen of its events."""

    sandbox: Sandbox
    client: stripe.StripeClient
    seen: set[str] = field(default_factory=set)

    @property
    def v1(self) -> Any:
        return self.client.v1

    def checked(self, obj: Any) -> Any:
        """The object, once its raw body is what the SDK says it is."""
        assert problems(obj.last_response.data) == []
        return obj

    def skip(self) -> Account:
        """Forgets the events up to now."""
        self.seen = set(self.sandbox.call(lambda: list(self.sandbox.state["events"].ids)))
        return self

    def events(self) -> list[dict[str, Any]]:
        """The events since the last call, oldest first."""
        page = self.v1.events.list({"limit": 100})
        raw: list[dict[str, Any]] = page.last_response.data["data"]
        assert page.has_more is False or raw[-1]["id"] in self.seen
        fresh = [event for event in reversed(raw) if event["id"] not in self.seen]
        self.seen |= {event["id"] for event in fresh}
        for event in fresh:
            assert problems(event) == []
        return fresh

    def happened(self) -> list[str]:
        """The types of the events since the last call, oldest first."""
        return [event["type"] for event in self.events()]

    def previous(self, kind: str) -> dict[str, Any]:
        """The previous_attributes of the only event of this type since the last call."""
        found = [event for event in self.events() if event["type"] == kind]
        assert len(found) == 1
        return found[0]["data"].get("previous_attributes", {})

    def customer(self, card: str | None = "pm_card_visa", **params: Any) -> Any:
        """A customer who pays with a test card, if any."""
        made = self.v1.customers.create({"email": "ada@example.com", **params})
        if card:
            held = self.v1.payment_methods.attach(card, {"customer": made.id})
            made = self.v1.customers.update(made.id, {"invoice_settings": {"default_payment_method": held.id}})
        return self.checked(made)

    def price(self, amount: int = 1000, recurring: dict[str, Any] | None = MONTH, **params: Any) -> Any:
        """A price of a product of its own, monthly unless told otherwise."""
        given = {"currency": "usd", "unit_amount": amount, "product_data": {"name": "Plan"}, **params}
        return self.checked(self.v1.prices.create(given | ({"recurring": recurring} if recurring else {})))

    def subscription(self, customer: Any, *prices: Any, **params: Any) -> Any:
        """A subscription to these prices, one of each."""
        items = [{"price": price.id} for price in prices]
        return self.checked(self.v1.subscriptions.create({"customer": customer.id, "items": items, **params}))

    def post(self, path: str, form: dict[str, str], key: str | None = None, **headers: str) -> httpx.Response:
        """A bare request, so that a test holds its key and its form."""
        sent = {"Authorization": f"Bearer {self.sandbox.key}", **headers}
        if key is not None:
            sent["Idempotency-Key"] = key
        return httpx.post(self.sandbox.url + path, data=form, headers=sent)


@contextmanager
def account(**config: Any) -> Iterator[Account]:
    """Starts a sandbox; takes the fields of `SandboxConfig`."""
    with Sandbox.start(SandboxConfig(**{"customers": 0, "months": 1, **config})) as sandbox:
        client = stripe.StripeClient(sandbox.key, base_addresses={"api": sandbox.url}, max_network_retries=0)
        yield Account(sandbox, client).skip()


def refused(call: Any, *args: Any) -> stripe.StripeError:
    """The error that a call of the SDK ends as."""
    with pytest.raises(stripe.StripeError) as error:
        call(*args)
    return error.value
