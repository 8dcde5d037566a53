"""What the contacts' routes take and answer."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tidegate.api.values import STRICT, Properties


class ContactRow(BaseModel):
    """A contact of a list. `customers`: how many are linked to it. Times are UTC."""

    model_config = ConfigDict(extra="allow")

    contact: str
    kind: str
    id: str
    name: str
    email: str
    customers: int
    live_subscriptions: int


class ContactPage(BaseModel):
    """Contacts, the oldest first; `next` is `after` of the next page, null on the last one."""

    contacts: list[ContactRow]
    next: str | None


class Shown(BaseModel):
    """A contact with all that is known of it: ids, e-mails, links with method, evidence and time, members or accounts,
    packages, subscriptions, usage, changes.
    """

    model_config = ConfigDict(extra="allow")

    contact: str
    kind: str
    id: str
    billing_id: str | None
    links: list[dict[str, Any]]


class Invoice(BaseModel):
    """An invoice as the mirror has it. Amounts are in minor units of `currency`; times are UTC."""

    model_config = ConfigDict(extra="allow")

    connection: str
    id: str
    customer: str
    status: str | None
    currency: str | None
    total: int | None
    created: datetime | None


class Subscriptions(BaseModel):
    """A page of subscriptions, newest first. `next`: what to give as `after` for the next page; null: there is none."""

    subscriptions: list[dict[str, Any]]
    next: str | None


class Invoices(BaseModel):
    """Invoices, the newest first; `next` is `after` of the next page, null on the last one."""

    contact: str
    invoices: list[Invoice]
    next: str | None


class Refreshed(BaseModel):
    """What a contact may use, as `/entitlements` answers it, and what was read for that."""

    model_config = ConfigDict(extra="allow")

    contact: str
    features: dict[str, Any]
    packages: list[dict[str, Any]]
    fetched: dict[str, int]


class NewLink(BaseModel):
    """A customer to link by hand."""

    model_config = STRICT

    customer: str = Field(description="Stripe's id, cus_…; the mirror must have it", min_length=1, max_length=255)


class NewId(BaseModel):
    """An id of yours for a contact."""

    model_config = STRICT

    id: str = Field(min_length=1, max_length=500)


class NewContact(BaseModel):
    """A contact as you have it; where its id is known what is said is changed. The first of `emails` is its e-mail."""

    model_config = STRICT

    id: str = Field(min_length=1, max_length=500)
    kind: Literal["user", "account"] = "account"
    name: str | None = None
    emails: list[str] = Field(default=[], max_length=1000)
    domains: list[str] = Field(default=[], max_length=1000, description="of an account, matched by")
    account: str | None = Field(default=None, description="your id of the account that a user belongs to")
    role: str | None = Field(default=None, description="of the user in that account")
    owner: str | None = Field(default=None, description="who of your team looks after it")
    properties: Properties = Field(default={}, description="yours, any JSON; merged into what is there")
    billing_ids: list[str] = Field(default=[], max_length=1000, description="Stripe customers (cus_…) that it is")


class ContactChange(BaseModel):
    """What to change of a contact; what is not given stays. `name` and `email` null: they follow Stripe again."""

    model_config = STRICT

    name: str | None = None
    email: str | None = None
    emails: list[str] = Field(default=[], max_length=1000, description="the whole list")
    domains: list[str] = Field(default=[], max_length=1000, description="the whole list")
    owner: str = ""
    properties: Properties = Field(default={}, description="merged; null takes a property away")
    id: str = Field(default="", max_length=500, description="another id of yours; the old one goes on leading here")


class Other(BaseModel):
    """The contact that is merged into this one."""

    model_config = STRICT

    other: str


class Merge(BaseModel):
    """The number of a merge, as merging told it and `merged` of a contact shows it."""

    model_config = STRICT

    merge: int


class Membership(BaseModel):
    """A user's role in an account; free text."""

    model_config = STRICT

    role: str = Field(default="", max_length=200)


class Member(BaseModel):
    """A user that belongs to an account; `role` null: no longer."""

    account: str
    user: str
    role: str | None


class Forgotten(BaseModel):
    """What is erased: rows by table, of these customers. `contact`: what it is called afterwards."""

    token: str
    done: bool
    contact: str | None
    customers: list[dict[str, str]]
    rows: dict[str, int]
