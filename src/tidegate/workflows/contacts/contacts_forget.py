"""Forgets a person: personal data goes from mirror, versions, inbox, outbox, syncs and contact; amounts, ids stay."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, text

from tidegate.connections.accounts import Account
from tidegate.contacts import changes, directory, forgetting, linking, matched_by
from tidegate.contacts.directory import Contact
from tidegate.delivery import contacts_due, outbox
from tidegate.delivery.forgetting import forget as forget_answers
from tidegate.delivery.outbox import Told, tell
from tidegate.entitlements import forwards, overrides
from tidegate.errors import ContactInvalid, PreviewStale
from tidegate.lifecycle import notes, placing, system_alerts
from tidegate.lifecycle.actions import stored as actions
from tidegate.mirror.forgetting import forget as redact_mirror
from tidegate.outbound import forgetting as forget_outbound
from tidegate.revenue import events, kept
from tidegate.workflows.contacts.contacts_edit import rematch
from tidegate.workflows.revenue import exclusions


@dataclass(slots=True)
class Forgotten:
    """What is redacted: rows by table, of these customers ({connection, customer}). `contact`: what it is called
    afterwards; None: the customers are nobody's.
    """

    token: str
    contact: str | None
    customers: list[dict[str, str]]
    rows: dict[str, int] = field(default_factory=dict[str, int])
    done: bool = False

    def as_json(self) -> dict[str, Any]:
        """As the API and `--json` answer it."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def forget(
    engine: Engine,
    livemode: bool,
    ref: str | None,
    by: str,
    *,
    customer: str | None = None,
    account: Account | None = None,
    only_preview: bool,
    token: str | None = None,
) -> Forgotten:
    """Forgets a contact (a ref) with all its customers, or one `customer` of `account` that is nobody's.

    Whatever Stripe tells of them later is redacted as it comes in, so it does not matter whether they are deleted
    there, before or after. It cannot be undone. Raises ContactUnknown, ContactInvalid, PreviewStale, and SyncRunning
    where a sync of their connection is at work.
    """
    if (ref is None) == (customer is None) or (customer is not None and account is None):
        raise ContactInvalid(problem="name a contact, or one customer and its connection")
    with engine.connect() as db, db.begin() as doing:
        found = _forget(db, livemode, ref, account, customer, by, only_preview=only_preview)
        if token is not None and token != found.token:
            raise PreviewStale(problem="more or other rows would be redacted now than were shown.")
        if only_preview:
            doing.rollback()
            return found
    found.done = True
    return found


def _forget(
    db: Connection,
    livemode: bool,
    ref: str | None,
    account: Account | None,
    customer: str | None,
    by: str,
    *,
    only_preview: bool,
) -> Forgotten:
    _lock(db, livemode)
    contact = directory.find(db, livemode, ref) if ref is not None else None
    if contact is None and account is not None and customer is not None:
        _require_nobody(db, account, customer)
        theirs = [(account.name, customer)]
    else:
        assert contact is not None
        theirs = forgetting.customers_of(db, [contact.key])
    by_connection = {name: [id_ for one, id_ in theirs if one == name] for name in sorted({one for one, _ in theirs})}
    keys = [contact.key] if contact is not None else []
    for connection, customers in by_connection.items():
        keys += forgetting.left_behind(db, connection, livemode, customers)
    marks = matched_by.of_contacts(db, keys)
    words = forgetting.words_of(db, _with_merged(db, keys), theirs)
    rows: Counter[str] = Counter()
    if not only_preview:
        forget_outbound.refuse_while_describing(db, livemode)
    for connection, customers in by_connection.items():
        forgetting.unfollow(db, connection, livemode, customers)
        if not only_preview:
            forget_outbound.refuse_while_running(db, connection)
        rows += forget_outbound.forget(db, connection, customers)
        rows += redact_mirror(db, connection, customers)
        rows += events.forget(db, connection, customers)
        rows["tidegate.outbox"] += outbox.redact_customers(db, connection, customers)
        rows += exclusions.forget_reasons(db, connection, customers)
        forgetting.erase_customers(db, connection, customers)
    refs = [_erase(db, directory.of_key(db, key), rows, by) for key in dict.fromkeys(keys)]
    rows += forget_answers(db, _with_merged(db, keys), words)
    rows += system_alerts.forget(db, words)
    if not only_preview:
        kept.drop(db)
    rematch(db, livemode, marks)  # who waited for it, too, may be certain now
    told = [{"connection": connection, "customer": id_} for connection, id_ in theirs]
    counted = {table: count for table, count in sorted(rows.items()) if count}
    digest = hashlib.sha256(json.dumps([told, list(counted.items())]).encode()).hexdigest()
    return Forgotten(digest[:32], refs[0] if contact is not None else None, told, counted)


def _with_merged(db: Connection, keys: Sequence[int]) -> list[int]:
    return sorted({one for key in keys for one in forgetting.with_merged(db, key)})


def _erase(db: Connection, contact: Contact, rows: Counter[str], by: str) -> str:
    """Erases the contact and tells so; a person is named by what is no e-mail address, or by nothing."""
    keys = forgetting.with_merged(db, contact.key)
    rows["tidegate.outbox"] += outbox.redact(db, keys, forgetting.refs_of(db, keys))
    rows["tidegate.deliveries"] += contacts_due.forget_due(db, keys)
    rows["tidegate.destination_contacts"] += contacts_due.forget_sent(db, keys)
    rows["tidegate.overrides"] += overrides.forget_reasons(db, keys)
    rows["tidegate.meter_forwards"] += forwards.forget_errors(db, keys)
    rows["tidegate.requests"] += forget_outbound.forget_contacts(db, keys)
    refs = forgetting.refs_of(db, keys)
    rows["tidegate.sync_rows"] += forget_outbound.forget_described(db, contact.livemode, refs)
    rows["tidegate.action_occurrences"] += actions.forget(db, keys)
    rows.update(notes.forget(db, keys))
    placing.forget(db, keys)
    own = forgetting.erase(db, contact, keys)
    rows["tidegate.contacts"] += len(keys)
    changes.note(db, "forget", by, contact=contact.key, what={"contact": contact.key})
    tell(db, [Told("contact.forgotten", {"kind": contact.kind, "external_id": own}, contact.key)])
    return f"{contact.kind}:{own}"


def _lock(db: Connection, livemode: bool) -> None:
    """Waits for whoever applies what Stripe says to the connections of this mode, and lets nobody begin: who began
    before would store what this has not seen.
    """
    lock = text("select name from tidegate.connections where livemode = :livemode order by name for update")
    db.execute(lock, {"livemode": livemode})
    linking.lock(db)


def _require_nobody(db: Connection, account: Account, customer: str) -> None:
    """Raises ContactInvalid for a customer that is a contact's: the contact is to be forgotten then."""
    statement = text("""
select c.kind || ':' || c.external_id from tidegate.links l join tidegate.contacts c on c.key = l.contact
where l.connection = :connection and l.customer = :customer""")
    ref = db.scalar(statement, {"connection": account.name, "customer": customer})
    if ref is not None:
        raise ContactInvalid(problem=f"the customer {customer} is {ref}'s; forget the contact")
