"""What the routes of entitlements take and answer."""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from tidegate.api.values import STRICT
from tidegate.api.values import Moment as Given


class Answer(BaseModel):
    """What a contact may use, and why. Units are the feature's; times ISO 8601 UTC."""

    model_config = ConfigDict(extra="allow")

    contact: str
    packages: list[dict[str, Any]] = Field(description="the packages that it holds, its accounts' included")


class Units(BaseModel):
    """Units to debit. The same key gets the same answer again, and debits once."""

    model_config = STRICT

    amount: int = Field(default=1, ge=1)
    idempotency_key: str | None = Field(default=None, min_length=1, max_length=255)


class Consume(Units):
    """Units that are to be used, or were."""

    happened: bool = Field(
        default=False,
        description="they were used while the hub could not be asked: counted though less is left, `reason` is "
        "`over_limit` then; refused only where nothing gives the feature",
    )


class Reserve(Units):
    """Units to set aside for work whose size is known later."""

    seconds: int | None = Field(default=None, ge=1, le=604_800, description="how long it holds; 15 minutes by default")


class Release(BaseModel):
    """Units to give back, or the reservation to let go."""

    model_config = STRICT

    amount: int | None = Field(default=None, ge=1)
    reservation: int | None = None
    idempotency_key: str | None = Field(default=None, min_length=1, max_length=255)


class Confirm(BaseModel):
    """What was really used of a reservation, at most all of it; the rest is given back."""

    model_config = STRICT

    reservation: int
    amount: int | None = Field(default=None, ge=0, description="null: all that was reserved")


class UsageSet(BaseModel):
    """The usage as it is counted elsewhere, such as the seats that are taken."""

    model_config = STRICT

    set: int = Field(ge=0)
    idempotency_key: str | None = Field(default=None, min_length=1, max_length=255)


class Used(BaseModel):
    """Whether the order was done (`allowed`), why, what was counted for it (`debited`, below 0: given back), and how
    the usage stands. Without a limit it is null.
    """

    model_config = ConfigDict(extra="allow")

    feature: str
    allowed: bool
    reason: str
    amount: int
    debited: int
    used: int
    limit: int | None
    unlimited: bool
    remaining: int | None
    resets_at: datetime | None


def in_utc(given: datetime) -> datetime:
    """A time as it is meant: UTC where it names no zone."""
    return given if given.tzinfo is not None else given.replace(tzinfo=UTC)


Moment = Annotated[Given, AfterValidator(in_utc)]


class OverrideGiven(BaseModel):
    """What to give a contact beside Stripe: a package, or a feature on its own terms. A time without a zone is UTC."""

    model_config = STRICT

    package: str | None = None
    feature: str | None = None
    terms: Any = Field(default=None, description="of the feature: {limit: 100}, {unlimited: true}, {value: …} or true")
    operation: str = Field(default="add", description="add to what subscriptions give, or replace it")
    reason: str = ""
    since: Moment | None = None
    expires_at: Moment | None = None
    priority: int = Field(default=0, ge=-1000, le=1000, description="of several, the highest is used up first")


class Overrides(BaseModel):
    """A page of overrides, newest first. `next`: what to give as `after` for the next page; null: there is none."""

    overrides: list[dict[str, Any]]
    next: str | None
