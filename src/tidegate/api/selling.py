"""Subscriptions started, changed and ended over HTTP: previewed with a token, then done in Stripe by that token."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, Field

from tidegate.api.auth import HubOf, requires
from tidegate.api.contacts import Named, Ref, by
from tidegate.api.values import STRICT
from tidegate.outbound.selling.wish import Action, Collection, Interval, Payment, Prorations, Wish
from tidegate.security.tokens import Token
from tidegate.workflows.selling import sell

router = APIRouter(prefix="/api/contacts", tags=["subscriptions"])

Operator = Annotated[Token, requires("operate")]
OnlyPreview = Annotated[bool, Query(description="only tell what it would do and cost, with a token for doing it")]
PAYMENT_REQUIRED = 402


class Common(BaseModel):
    """What every sale takes. Names and values are Stripe's, but `package`."""

    model_config = STRICT

    package: str = Field(min_length=1, max_length=200)
    customer: str | None = Field(default=None, description="cus_…, where the contact has several")
    subscription: str | None = Field(default=None, description="sub_…, where the contact has several")
    proration_behavior: Prorations | None = Field(
        default=None, description="needed where a running subscription's items change"
    )
    token: str | None = Field(default=None, description="of the preview; refused (409) when it would do something else")
    anyway: bool = Field(default=False, description="without a look at a preview")


class OfPrice(Common):
    """Which of the package's prices, and how many."""

    price: str | None = Field(default=None, description="price_…; else `interval` and `currency` say which")
    interval: Interval | None = None
    currency: str | None = Field(default=None, min_length=3, max_length=3)
    quantity: int | None = Field(default=None, ge=1)
    payment_behavior: Payment | None = Field(
        default=None, description="null: when the payment fails, nothing is done (error_if_incomplete)"
    )


class NewSubscription(OfPrice):
    """A subscription to start, or an add-on for the one that runs."""

    trial_days: int | None = Field(default=None, ge=1, le=730)
    collection_method: Collection | None = None
    days_until_due: int | None = Field(default=None, ge=0, description="with send_invoice")
    coupon: str | None = None
    promotion_code: str | None = Field(default=None, description="promo_…, or the code as it is typed")


class SubscriptionChange(OfPrice):
    """Another base package, price or quantity."""


class Cancellation(Common):
    """An end with the period, or `now`; `undo` takes back one that is still to come."""

    now: bool = False
    prorate: bool = Field(default=False, description="with `now`: credit what is left of the period")
    invoice_now: bool = Field(default=False, description="with `now`: bill at once what waits for the next invoice")
    undo: bool = False


class Sale(BaseModel):
    """What it would do, or did. Amounts are in minor units; times are UTC.

    `state`: preview; done; nothing (it is so already, `why` says how); incomplete or unpaid (answered with 402: Stripe
    waits for a payment, `remedy` says what to do). `invoice`: the next one, by Stripe's own preview; `due_now`: what is
    to be paid at once; `recurring`: what each period costs from then on. `entitlements`: by feature, before and after.
    """

    model_config = STRICT

    state: Literal["preview", "done", "nothing", "incomplete", "unpaid"]
    token: str | None
    action: Action
    contact: str
    package: str
    connection: str
    customer: str | None
    makes_customer: bool
    subscription: str | None
    why: str
    notes: list[str]
    items: dict[str, list[dict[str, Any]]]
    due_now: dict[str, Any] | None
    invoice: dict[str, Any] | None
    recurring: dict[str, Any] | None
    requests: list[dict[str, Any]]
    packages: dict[str, list[str]]
    entitlements: list[dict[str, Any]]
    run: int | None = Field(default=None, description="whose requests GET /api/runs/{id}/requests shows")
    status: str | None = Field(default=None, description="of the subscription")
    ends_at: datetime | None = None
    billed: dict[str, Any] | None = Field(default=None, description="the subscription's latest invoice")
    remedy: str = ""


UNPAID: dict[int | str, dict[str, Any]] = {
    PAYMENT_REQUIRED: {"model": Sale, "description": "Stripe waits for a payment."}
}


@dataclass(frozen=True, slots=True)
class Counter:
    """Where a sale is asked for: to whom, on which connection, by whom, and whether it is only looked at."""

    contact: Ref
    hub: HubOf
    token: Operator
    response: Response
    preview: OnlyPreview = False
    connection: Named = None

    def sell(self, action: Action, wanted: Common) -> Sale:
        """Looks at it, or does it."""
        account = self.hub.account(self.connection)
        doors = sell.Doors(self.hub.engine, self.hub.stripe, self.hub.stripe_writing)
        wish = Wish(action, **wanted.model_dump(exclude={"token", "anyway"}))
        if self.preview:
            return Sale.model_validate(sell.preview(doors, account, self.contact, wish))
        found = sell.carry_out(doors, account, self.contact, wish, by(self.token), wanted.token, anyway=wanted.anyway)
        if found["state"] in {"incomplete", "unpaid"}:
            self.response.status_code = PAYMENT_REQUIRED
        return Sale.model_validate(found)


At = Annotated[Counter, Depends()]


@router.post("/{contact:segment}/subscriptions", responses=UNPAID)
def subscribe(wanted: NewSubscription, at: At) -> Sale:
    """Starts the contact's subscription to a package in Stripe; an add-on is added to the one that runs."""
    return at.sell("subscribe", wanted)


@router.post("/{contact:segment}/subscriptions/change", responses=UNPAID)
def change(wanted: SubscriptionChange, at: At) -> Sale:
    """Switches the contact's subscription to another base package, price or quantity; its add-ons stay."""
    return at.sell("change", wanted)


@router.post("/{contact:segment}/subscriptions/cancel", responses=UNPAID)
def cancel(wanted: Cancellation, at: At) -> Sale:
    """Ends the contact's subscription to a package with its period, or now."""
    return at.sell("cancel", wanted)
