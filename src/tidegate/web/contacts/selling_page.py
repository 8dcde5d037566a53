"""The page that starts, changes and ends a contact's subscription: previewed with what it costs, then done."""

from dataclasses import replace
from typing import Any, NamedTuple, cast

from starlette.responses import Response

from tidegate.catalog import packages
from tidegate.connections import accounts
from tidegate.connections.accounts import Account
from tidegate.contacts import listing as contact_listing
from tidegate.contacts.directory import Contact
from tidegate.errors import (
    ConnectionMissing,
    ConnectionUnknown,
    ContactUnknown,
    PreviewStale,
    TidegateError,
    outcome,
)
from tidegate.outbound.selling.wish import Action, Wish
from tidegate.web.choosing import MOST_OFFERED, named_contact
from tidegate.web.pages import Page, Texts, Visit
from tidegate.workflows.contacts import contacts
from tidegate.workflows.selling import sell

ACTIONS = {"subscribe": "Subscribe to", "change": "Change to", "cancel": "End"}
TEXTS = (
    "price", "interval", "currency", "coupon", "promotion_code", "customer", "subscription", "collection_method",
    "proration_behavior",
)  # fmt: skip
NUMBERS = ("quantity", "trial_days", "days_until_due")
SWITCHES = ("now", "prorate", "invoice_now", "undo")
ONLY: dict[str, set[str]] = {
    "subscribe": {"trial_days", "collection_method", "days_until_due", "coupon", "promotion_code"},
    "cancel": {*SWITCHES},
}
"""What only one action takes; the price is of the others than `cancel`."""
OF_PRICE = {"price", "interval", "currency", "quantity"}


class Seller(NamedTuple):
    """Whose subscriptions are meant, with which connection, and the names of those among which one may choose."""

    contact: Contact
    account: Account
    places: list[str]


def form(visit: Visit) -> Response:
    """What may be done: subscribe, change, cancel."""
    asked = visit.request.query_params
    action = asked.get("action", "")
    typed = Texts(action=action if action in ACTIONS else "subscribe", package=asked.get("package", ""))
    return _shown(visit, typed)


def act(visit: Visit) -> Response:
    """Previews it, or with the preview's token does it."""
    typed, do = Texts(visit.form), visit.form.get("do", "")
    try:
        seller = _seller(visit)
    except ConnectionUnknown as error:
        if not visit.form.get("connection"):
            raise
        wrong = Texts(connection=str(error))
        return _shown(replace(visit, form={**visit.form, "connection": ""}), typed, 422, wrong=wrong)
    typed["connection"], account, ref = seller.account.name, seller.account, seller.contact.ref
    wish, wrong = _wish(typed)
    if wish is None:
        return _shown(visit, typed, 422, wrong=wrong)
    doors = sell.Doors(visit.hub.engine, visit.hub.stripe, visit.hub.stripe_writing)
    try:
        if do == "carry_out":
            done = sell.carry_out(doors, account, ref, wish, visit.actor, typed["token"] or None)
            return _shown(visit, typed, found=done)
        return _shown(visit, typed, found=sell.preview(doors, account, ref, wish))
    except ContactUnknown:
        raise
    except PreviewStale as error:
        return _shown(visit, typed, 409, refused=f"{error}", found=sell.preview(doors, account, ref, wish))
    except TidegateError as error:
        status = outcome(error)[1]
        return _shown(visit, typed, status if status in {402, 409, 503} else 422, refused=str(error))


PAGES = (
    Page("/subscriptions/{contact:path}", form, "operate"),
    Page("/subscriptions/{contact:path}", act, "operate", "POST"),
)


def _wish(typed: Texts) -> tuple[Wish | None, Texts]:
    """What was typed, of it what the action takes; or what is wrong beside its field."""
    action, wrong = typed["action"], Texts()
    if action not in ACTIONS:
        wrong["action"] = "It is subscribe, change or cancel."
    if not typed["package"]:
        wrong["package"] = "Say which package."
    others = {name for one, names in ONLY.items() if one != action for name in names}
    if action == "cancel":
        others |= OF_PRICE
    said: dict[str, Any] = {name: typed[name] for name in TEXTS if typed[name] and name not in others}
    for name in NUMBERS:
        if not typed[name] or name in others:
            continue
        if typed[name].isdecimal() and len(typed[name]) < 10:
            said[name] = int(typed[name])
        else:
            wrong[name] = "It is a whole number."
    said |= {name: True for name in SWITCHES if typed[name] and name not in others}
    return (None if wrong else Wish(cast("Action", action), typed["package"], **said)), wrong


def _seller(visit: Visit) -> Seller:
    """Of whom the page is, and where they buy: with the connection that the form names; else with one that is connected
    and has a customer of theirs, first the one that the address names. Raises ContactUnknown, ContactAmbiguous,
    ConnectionUnknown, ConnectionMissing.
    """
    with visit.hub.engine.connect() as db:
        contact = named_contact(visit, db, visit.request.path_params["contact"])
        of_its = [one for one in accounts.every(db) if one.livemode is contact.livemode]
        has = {one["connection"] for one in contact_listing.described(db, contact)["links"]}
    if not of_its:
        raise ConnectionMissing

    def later(one: Account) -> tuple[bool, bool, bool, bool, str]:
        away = one.disconnected_at is not None
        return one.name != visit.form.get("connection"), away, one.name not in has, one.name != visit.kept, one.name

    account = min(of_its, key=later)
    connected = [one.name for one in of_its if one.disconnected_at is None]
    places = [name for name in connected if name in has] or connected[:MOST_OFFERED]
    return Seller(contact, account, sorted({account.name, *places}))


def _shown(visit: Visit, typed: Texts, status: int = 200, **told: object) -> Response:
    seller = _seller(visit)
    with visit.hub.engine.connect() as db:
        facts: dict[str, Any] = {
            "contact": contacts.shown(db, seller.contact), "ref": seller.contact.ref,
            "packages": [one["key"] for one in packages.every(db)],
            "connection": seller.account.name, "connections": seller.places,
        }  # fmt: skip
    beside: dict[str, object] = {"wrong": Texts(), "refused": "", "found": None, **told}
    return visit.render("contacts/subscriptions.html", status, typed=typed, actions=ACTIONS, **facts, **beside)
