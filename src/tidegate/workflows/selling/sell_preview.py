"""What a sale would do: Stripe's own preview of the invoices, and what the contact may use before and after it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, text

from tidegate.catalog import snapshot
from tidegate.connections.accounts import Account
from tidegate.contacts import by_hand
from tidegate.contacts.directory import Contact
from tidegate.entitlements.answers import answer
from tidegate.entitlements.grants import derive_grants
from tidegate.errors import StripePermissionMissing, StripeRefused
from tidegate.mirror import lookups
from tidegate.mirror.apply import apply
from tidegate.mirror.arrivals import arrive
from tidegate.mirror.decide import Certainty
from tidegate.outbound.push.outcomes import body_of
from tidegate.outbound.selling import expected
from tidegate.outbound.selling.facts import Facts, Item
from tidegate.outbound.selling.steps import Step
from tidegate.outbound.selling.wish import Wish
from tidegate.stripe_api.client import StripeApi
from tidegate.stripe_api.resources import RESOURCES
from tidegate.workflows.contacts.contacts import now_of
from tidegate.workflows.previewing import tried

PREVIEW = "/v1/invoices/create_preview"
NOTHING_TO_BILL = "invoice_upcoming_none"
LASTING = ("granted", "reason", "value", "limit", "unlimited", "until")
"""What is told of an entitlement beside its feature and sources; not what was used of it."""


@dataclass(slots=True)
class Looked:
    """What a step comes to. `invoice`: the next one, `recurring`: what every period costs from then on; `prorated_at`:
    as of when it is prorated (Stripe's time, epoch seconds).
    """

    step: Step
    invoice: dict[str, Any] | None = None
    recurring: dict[str, Any] | None = None
    prorated_at: int | None = None
    features: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    packages: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

    def token(self, contact: str, wish: Wish) -> str:
        """What stands for all that was shown; with the instant of the proration, which the next look takes over."""
        step = self.step
        at_that_second = step.operation == "cancel" and step.prorated  # Stripe takes no date for it
        bills = None if at_that_second else [_digested(one) for one in (self.invoice, self.recurring)]
        shown = [
            contact, wish.as_json(), step.operation, step.path, dict(step.params), step.customer, step.making,
            [_item(one) for one in step.before], bills, self.features, self.packages,
        ]  # fmt: skip
        digest = hashlib.sha256(json.dumps(shown, sort_keys=True, default=str).encode()).hexdigest()
        return f"{digest[:32]}_{self.prorated_at or 0}"


def prorated_at(token: str | None) -> int | None:
    """The instant that a token carries."""
    said = (token or "").partition("_")[2]
    return int(said) if said.isdecimal() and int(said) else None


def look(
    engine: Engine, apis: Sequence[StripeApi], account: Account, contact: Contact, facts: Facts, step: Step,
    wish: Wish, at: int | None,
) -> Looked:  # fmt: skip
    """Asks Stripe for the invoices and tries in the database what the contact may use then; nothing stays.

    `apis`: the connection by its keys, of which the first one does that may ask for previews. `at`: as of when it is
    prorated; None: as of now. Raises as StripeApi does: what Stripe would refuse it refuses
    here.
    """
    looked = Looked(step)
    if step.preview is not None:
        _ask(apis, looked, wish, at)
    pretending = partial(_before_and_after, account=account, contact=contact, facts=facts, step=step, wish=wish)
    looked.features, looked.packages = tried(engine, pretending)
    return looked


def _ask(apis: Sequence[StripeApi], looked: Looked, wish: Wish, at: int | None) -> None:
    step = looked.step
    assert step.preview is not None
    details = dict(step.preview.get("subscription_details") or {})
    asked = {**step.preview, "subscription_details": details}
    if at is not None and step.prorated and step.operation == "update":
        details["proration_date"] = at
    if not wish.trial_days:  # of a trial nothing is charged, and when it ends only Stripe's clock tells
        looked.invoice = _invoice(apis, asked)
    if looked.invoice and step.prorated and step.operation == "update":
        parent: Mapping[str, Any] = looked.invoice.get("parent") or {}
        of: Mapping[str, Any] = parent.get("subscription_details") or {}
        looked.prorated_at = at or of.get("subscription_proration_date")
    if step.operation in {"create", "update"}:
        looked.recurring = _invoice(apis, {**asked, "preview_mode": "recurring"})


def _invoice(apis: Sequence[StripeApi], params: Mapping[str, Any]) -> dict[str, Any] | None:
    """The invoice of a preview; None: there would be none."""
    first, *others = apis
    try:
        return body_of(first.post(PREVIEW, params, interactive=True).body)
    except StripePermissionMissing:
        if not others:
            raise
        return _invoice(others, params)
    except StripeRefused as error:
        if error.facts.get("code") == NOTHING_TO_BILL:
            return None
        raise


def _before_and_after(
    db: Connection, account: Account, contact: Contact, facts: Facts, step: Step, wish: Wish
) -> tuple[dict[str, dict[str, Any]], dict[str, list[str]]]:
    catalog, as_of = snapshot.load(db), now_of(db)
    before = answer(db, contact, catalog, as_of)
    if step.operation != "nothing":
        _pretend(db, account, contact, facts, step, wish, as_of)
    now = answer(db, contact, catalog, as_of)
    features = {
        key: {"type": was["type"], "before": _lasting(was), "after": _lasting(now["features"][key])}
        for key, was in before["features"].items()
    }
    said = {"before": before, "after": now}
    packages = {name: [one["package"] for one in found["packages"]] for name, found in said.items()}
    return features, packages


def _pretend(
    db: Connection, account: Account, contact: Contact, facts: Facts, step: Step, wish: Wish, now: datetime
) -> None:
    """Has the mirror show what the step leads to, as far as grants depend on it; the caller takes it back."""
    known = None
    if step.subscription is not None:
        known = _whole(db, account, step.subscription.id)
    elif step.customer is None:
        _store(db, account, "customers", expected.customer(step.making or {}, now), now)
        by_hand.link(db, account.name, account.livemode, expected.CUSTOMER, contact, by="preview")
    ids = sorted({one.price.id for one in step.items})
    prices = {id_: one.body for id_, one in lookups.bodies(db, account.name, "prices", ids).items()}
    _store(db, account, "subscriptions", expected.subscription(step, wish, known, prices, now), now)
    derive_grants(db, [contact.key])


def _whole(db: Connection, account: Account, subscription: str) -> dict[str, Any]:
    """The body that the mirror has of a subscription, with all its items: lists show ten."""
    body = dict(lookups.bodies(db, account.name, "subscriptions", [subscription])[subscription].body)
    rows = db.execute(_ITEMS, {"c": account.name, "id": subscription})
    items = [msgspec.json.decode(row.data) for row in rows]
    return body | {"items": {"object": "list", "data": items, "has_more": False}}


def _store(db: Connection, account: Account, resource: str, body: Mapping[str, Any], now: datetime) -> None:
    known = lookups.marks(db, account.name, resource, [body["id"]]).get(body["id"])
    at = max(int(now.timestamp()), known.at + 1 if known else 0)
    arrivals, lost = arrive(RESOURCES[resource], [msgspec.json.encode(body)], at, Certainty.SETTLED)
    apply(db, account.name, RESOURCES[resource], arrivals, lost)


def _lasting(one: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: one[name] for name in LASTING if name in one}
    kept["sources"] = [
        {name: source[name] for name in ("kind", "package", "subscription", "gives", "times", "granted", "reason")
         if name in source}
        for source in one["sources"]
    ]  # fmt: skip
    return kept | ({"via": one["via"]} if "via" in one else {})


def _digested(invoice: Mapping[str, Any] | None) -> Any:
    if invoice is None:
        return None
    lines: Sequence[Mapping[str, Any]] = invoice["lines"]["data"]
    return [invoice["currency"], invoice["total"], invoice["amount_due"], [one["amount"] for one in lines]]


def _item(one: Item) -> list[Any]:
    return [one.id, one.price.id, one.quantity]


_ITEMS = text("""
select data::text as data from stripe.subscription_items
where connection = :c and subscription = :id and deleted_at is null order by created, id""")
