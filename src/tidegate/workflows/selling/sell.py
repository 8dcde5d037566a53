"""Starts, changes and ends a contact's subscription in Stripe: looked at, then sent; the mirror then grants."""

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from sqlalchemy import Engine

from tidegate.connections import accounts, runs
from tidegate.connections.accounts import Account
from tidegate.contacts import directory
from tidegate.contacts.directory import Contact
from tidegate.errors import (
    PaymentRefused,
    PreviewStale,
    SalePreviewNeeded,
    SaleRunning,
    StripeRefused,
    TidegateError,
    WriteKeyMissing,
)
from tidegate.mirror import lookups
from tidegate.outbound import pausing
from tidegate.outbound.plan.compare import id_of
from tidegate.outbound.push import turns
from tidegate.outbound.selling import steps
from tidegate.outbound.selling.facts import Facts
from tidegate.outbound.selling.steps import Step
from tidegate.outbound.selling.wish import Wish, check
from tidegate.stripe_api.client import StripeApi
from tidegate.workflows.contacts import contacts_fetch
from tidegate.workflows.outbound.sync_looking import every_object
from tidegate.workflows.refresh import refresh
from tidegate.workflows.selling import sell_preview, sell_telling
from tidegate.workflows.selling.sell_facts import customers_of, known_by, making_of, waiting_for
from tidegate.workflows.selling.sell_facts import facts as facts_of
from tidegate.workflows.selling.sell_preview import Looked
from tidegate.workflows.selling.sell_sending import KIND, Sender, Sent, subject

OpenStripe = Callable[[Account], AbstractContextManager[StripeApi]]
MOST_MET = 20
"""Customers of one e-mail address that are looked at, the newest first."""
NO_WRITE_KEY = "The connection has no key that may write: to do it, give one with `tidegate connect --write-key`."


@dataclass(frozen=True, slots=True)
class Doors:
    """The ways to the database and to Stripe: with the key that reads, and with the one that may write."""

    engine: Engine
    stripe: OpenStripe
    writing: OpenStripe


def preview(doors: Doors, account: Account, ref: str, wish: Wish) -> dict[str, Any]:
    """What the wish would do, with the token for doing it, as `sell_telling.told` has it; nothing is written to Stripe.

    Raises ContactUnknown, CatalogUnknown, SaleInvalid, SaleRefused, and the errors of StripeApi: what Stripe would
    refuse of the change it refuses in its preview, but for the payment.
    """
    contact = _contact(doors, account, ref)
    with _asking(doors, account) as apis:
        looked = _look(doors, apis, account, contact, check(wish), None)
    notes = (*looked.step.notes, *(() if len(apis) > 1 else (NO_WRITE_KEY,)))
    said = sell_telling.told(account, contact.ref, wish, replace(looked.step, notes=notes), looked)
    state = "nothing" if looked.step.operation == "nothing" else "preview"
    return said | {"state": state, "token": looked.token(contact.ref, wish)}


def carry_out(
    doors: Doors, account: Account, ref: str, wish: Wish, by: str, token: str | None = None, *, anyway: bool = False
) -> dict[str, Any]:
    """Does what the preview of this token showed, or `anyway` what the wish comes to now; told as by `preview`, with
    `state` done, nothing, incomplete or unpaid, and `run`.

    Whatever an earlier sale of the contact left open is settled first; of the same wish that is what is done. Raises
    as `preview` does, SalePreviewNeeded, PreviewStale, OutboundPaused, SaleRunning, CustomerBusy, SaleUnsettled,
    WriteKeyMissing, WritePermissionMissing, PaymentRefused: the last when nothing was bought for want of money.
    """
    check(wish)
    contact = _contact(doors, account, ref)
    with doors.engine.connect() as db:
        pausing.refuse(db)
    with (
        doors.engine.connect() as db,
        runs.alone(db, subject(contact), KIND) as alone,
        doors.writing(account) as api,
        doors.stripe(account) as reading,
        ExitStack() as turn,
    ):
        if not alone:
            raise SaleRunning(contact=contact.ref)
        for lane in _making(doors, account, contact):
            turn.enter_context(turns.waited(db, account.name, lane, contact.ref))
        sender = Sender(doors.engine, api, account, contact, by, db)
        settled = [one for one in sender.settle(wish.as_json()) if one.resource == "subscriptions"]
        if settled and dict(settled[-1].wanted) == wish.as_json():
            looked = Looked(_done_before(doors, account, contact, wish))
            return _told(doors, account, contact, wish, looked, settled[-1])
        looked = _look(doors, [api, reading], account, contact, wish, sell_preview.prorated_at(token))
        if looked.step.operation == "nothing":
            said = sell_telling.told(account, contact.ref, wish, looked.step, looked)
            return said | {"state": "nothing", "token": looked.token(contact.ref, wish)}
        if token is not None and token != looked.token(contact.ref, wish):
            raise PreviewStale(problem="what it would do or cost now differs from what was shown.")
        if token is None and not anyway:
            raise SalePreviewNeeded(contact=contact.ref)
        sent = _run(doors, account, contact, wish, sender, looked)
        return _told(doors, account, contact, wish, looked, sent)


def _making(doors: Doors, account: Account, contact: Contact) -> list[str]:
    """The lanes of the customer that may have to be made: a sync may be making the same one just now. In an order that
    all sales take them in, so that no two wait for each other.
    """
    with doors.engine.connect() as db:
        if customers_of(db, account, contact):
            return []
        return sorted(turns.making(*one) for one in known_by(making_of(db, account, contact)))


def _contact(doors: Doors, account: Account, ref: str) -> Contact:
    with doors.engine.connect() as db:
        return directory.find(db, account.livemode, ref)


@contextmanager
def _asking(doors: Doors, account: Account) -> Generator[list[StripeApi]]:
    """Stripe for previews, by the key that may write, if there is one, and by the one that reads: previews are POSTs,
    and which of them may ask for one is for Stripe to say.
    """
    with ExitStack() as stack:
        apis: list[StripeApi] = []
        with suppress(WriteKeyMissing):  # `preview` tells it
            apis.append(stack.enter_context(doors.writing(account)))
        yield [*apis, stack.enter_context(doors.stripe(account))]


def _look(
    doors: Doors, apis: Sequence[StripeApi], account: Account, contact: Contact, wish: Wish, at: int | None
) -> Looked:
    """What the wish comes to by what Stripe shows just now of the contact."""
    contacts_fetch.fetch(doors.engine, doors.stripe, account.livemode, contact.ref)
    _meet(doors, account, contact)
    facts, step = _step(doors, account, contact, wish)
    return sell_preview.look(doors.engine, apis, account, contact, facts, step, wish, at)


def _meet(doors: Doors, account: Account, contact: Contact) -> None:
    """Takes in the customers of a contact's e-mail address that the mirror has not heard of yet, and has those linked
    that a sync made just now, so that matching links the one that it has, and none is made beside it. Only where it has
    none.
    """
    with doors.engine.begin() as db:
        if not customers_of(db, account, contact) and accounts.hold(db, account.name):
            waiting = waiting_for(db, account, known_by(making_of(db, account, contact)))
            if waiting:
                refresh(db, account, waiting)
    with doors.engine.connect() as db:
        if not contact.email or customers_of(db, account, contact):
            return
    with doors.stripe(account) as api:
        found = every_object(api, "/v1/customers", {"email": contact.email, "limit": 100})
        ids = [str(one["id"]) for one in islice(found, MOST_MET)]
    with doors.engine.connect() as db:
        known = lookups.bodies(db, account.name, "customers", ids)
    for id_ in ids:
        if id_ not in known:
            contacts_fetch.fetch(
                doors.engine, doors.stripe, account.livemode, contact.ref, customer=id_, account=account
            )


def _step(doors: Doors, account: Account, contact: Contact, wish: Wish) -> tuple[Facts, Step]:
    with doors.engine.connect() as db:
        facts = facts_of(db, account, contact, wish)
    return facts, steps.step(facts, wish)


def _run(doors: Doors, account: Account, contact: Contact, wish: Wish, sender: Sender, looked: Looked) -> Sent:
    owner = runs.new_owner()
    options = {"connection": account.name, "action": wish.action, "package": wish.package}
    with doors.engine.begin() as db:
        number = runs.begin(db, subject(contact), KIND, options, owner)
    sent: dict[str, int] = {}
    try:
        done = _send(doors, account, contact, wish, sender, looked, number, sent)
    except BaseException as error:
        told = str(error) if isinstance(error, TidegateError) else type(error).__name__
        with doors.engine.begin() as db:
            state = "incomplete" if isinstance(error, TidegateError) else "interrupted"
            runs.end(db, number, state, {"sent": sent, "failed": 1}, owner, told)
        raise
    with doors.engine.begin() as db:
        runs.end(db, number, "done", {"sent": sent, "failed": 0}, owner)
    return done


def _send(
    doors: Doors, account: Account, contact: Contact, wish: Wish, sender: Sender, looked: Looked, run: int,
    sent: dict[str, int],
) -> Sent:  # fmt: skip
    step, said = looked.step, wish.as_json()
    params: dict[str, Any] = dict(step.params)
    customer = step.customer
    if customer is None:
        making = step.making or {}
        made = sender.send(run, wish.package, "create", "post", "/v1/customers", making, said, {}, contact.ref)
        customer = str(made.body["id"])
        sent["create"] = 1
        params = {"customer": customer, **params}
    if looked.prorated_at is not None:
        params["proration_date"] = looked.prorated_at
    before = {"items": [sell_telling.item(one) for one in step.before]} if step.before else {}
    try:
        done = sender.send(run, wish.package, step.operation, step.method, step.path, params, said, before, customer)
    except StripeRefused as error:
        raise _of_payment(error, wish, account) from error
    sent[step.operation] = sent.get(step.operation, 0) + 1
    return done


def _of_payment(error: StripeRefused, wish: Wish, account: Account) -> TidegateError:
    """The error as whoever buys understands it."""
    facts = {name: error.facts.get(name, "") for name in ("message", "request_id")}
    code, status = error.facts.get("code"), error.facts.get("status")
    done = "Nothing was bought" if wish.action == "subscribe" else "Nothing was changed"
    if status == 402:
        return PaymentRefused(
            problem=f"{done}: the payment failed ({code}). Let the customer give another card, or send an invoice "
            "(--collection-method send_invoice --days-until-due 14).",
            **facts,
        )
    if code == "resource_missing" and "payment" in str(facts["message"]):
        return PaymentRefused(
            problem=f"{done}: the customer has no way to pay. Let it give a card (Stripe's Checkout or its customer "
            "portal), sell it with --collection-method send_invoice --days-until-due 14, or begin with a trial "
            "(--trial-days).",
            **facts,
        )
    return error


def _done_before(doors: Doors, account: Account, contact: Contact, wish: Wish) -> Step:
    """The step of a wish that an earlier process had sent: it is done, so only what is there is told."""
    with doors.engine.connect() as db:
        facts = facts_of(db, account, contact, wish)
    held = [one for one in facts.subscriptions for item in one.items if item.package == wish.package]
    items = held[0].items if held else ()
    note = "An earlier command had sent this; its outcome was not known until now."
    return Step("nothing", customer=held[0].customer if held else None, items=items, notes=(note,))


def _told(doors: Doors, account: Account, contact: Contact, wish: Wish, looked: Looked, sent: Sent) -> dict[str, Any]:
    """The answer once it is sent: what Stripe made of it, and what the contact may use by the mirror."""
    said = sell_telling.told(account, contact.ref, wish, looked.step, looked)
    bill, identifier = None, id_of(sent.body.get("latest_invoice"))
    if identifier:
        try:
            with doors.stripe(account) as api:
                bill = sell_telling.read_invoice(doors.engine, api, account, identifier)
        except TidegateError as error:  # what was asked for is done all the same
            said["notes"].append(f"Its invoice {identifier} could not be read: {error}")
    return said | sell_telling.outcome(wish, sent.body, bill) | {"run": sent.run, "token": None}
