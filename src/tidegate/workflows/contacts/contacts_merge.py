"""Merges contacts and parts them again, with what that does to entitlements shown first."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

from tidegate.catalog import snapshot
from tidegate.connections import accounts
from tidegate.contacts import changes, directory, following, linking, merging
from tidegate.contacts.directory import Contact
from tidegate.delivery import contacts_due, suppressing
from tidegate.delivery.outbox import Told, tell
from tidegate.entitlements import holders
from tidegate.entitlements import merging as usage_merging
from tidegate.entitlements.grants import derive_grants
from tidegate.entitlements.telling import standing_of
from tidegate.errors import ChangeUnknown
from tidegate.lifecycle import alert_merging, notes, rulebook
from tidegate.workflows.contacts.contacts import now_of
from tidegate.workflows.lifecycle import lifecycle
from tidegate.workflows.previewing import Change, Preview

COUNTED = ("ids", "emails", "domains", "members", "accounts", "links")


def merged(livemode: bool, kept: str, other: str, by: str) -> Change:
    """Makes the second contact (a ref) part of the first: its ids lead there, its customers, members, overrides and
    usage are the first's. `result`: {merge, kept, other, moved, differences, matched}.

    The effect tells of both contacts what they had, and what the one that stays has then. Raises ContactUnknown,
    ContactInvalid.
    """
    keys: list[int] = []

    def touched(db: Connection) -> Sequence[int]:
        if not keys:
            keys.extend(directory.find(db, livemode, one).key for one in (kept, other))
        alive = text("select key from tidegate.contacts where key = any(:keys) and merged_into is null")
        return list(db.scalars(alive, {"keys": keys}))

    def do(db: Connection) -> dict[str, Any]:
        return _merge(db, directory.find(db, livemode, kept), directory.find(db, livemode, other), by)

    what = {"do": "merge", "kept": kept, "other": other, "livemode": livemode}
    # Or somebody who is looked at just now would be told of what becomes another's.
    return Change(what, touched, do, correct=_as_the_one_that_stays, silent=True, turn=rulebook.lock)


def _as_the_one_that_stays(found: Preview) -> None:
    """What is told of the contact that goes: it has what the other has then."""
    now = found.result.pop("now")
    gone = found.result["other"]
    for feature, told in list(found.features.items()):
        for one in told:
            if one["contact"] == gone:
                one["now"] = now.get(feature)
        found.features[feature] = [one for one in told if one["before"] != one["now"]]
        if not found.features[feature]:
            del found.features[feature]


def _merge(db: Connection, kept: Contact, other: Contact, by: str) -> dict[str, Any]:
    merging.require_mergeable(kept, other)
    usage_merging.hold(db, kept.key, other.key)
    number = changes.note(db, "merge", by, contact=kept.key, what={"into": kept.key, "from": other.key})
    waiting = _waiting(db, (kept.key, other.key))
    before = merging.merge(db, kept, other) | {"reviews": waiting}
    before["usage"] = usage_merging.merge(db, kept.key, other.key)
    before["notes"] = notes.move(db, kept.key, other.key)
    before["alerts"] = alert_merging.move(db, kept.key, other.key)
    db.execute(text("delete from tidegate.entitlements_told where contact = :key"), {"key": other.key})
    before["suppression"] = suppressing.merge(db, kept.key, other.key)
    before["deliveries"] = contacts_due.merge(db, kept.key, other.key)
    tell(db, [Told("contact.merged", {"into": kept.ref, "from": other.ref}, kept.key)])
    before["matched"] = matched = _match_waiting(db, kept.livemode, waiting)
    changes.complete(db, number, before)
    following.follow(db, [kept.key])
    derive_grants(db, [kept.key])
    return {
        "merge": number,
        "kept": kept.ref,
        "other": other.ref,
        "moved": _counted(before),
        "differences": merging.differences(kept, other),
        "matched": [one["customer"] for one in matched],
        "now": _standing(db, kept.key),
    }


def _counted(before: dict[str, Any]) -> dict[str, int]:
    usage: dict[str, list[Any]] = before["usage"]
    written = {name.removeprefix("contact_"): len(rows) for name, rows in before["notes"].items()}
    alerts = {"alerts": len(before["alerts"]["moved"])}
    counted = {name: len(before[name]) for name in COUNTED}
    return counted | {name: len(rows) for name, rows in usage.items()} | written | alerts


def _standing(db: Connection, contact: int) -> dict[str, Any]:
    as_of = now_of(db)
    holder = holders.load(db, [contact], as_of, features=())[contact]
    return standing_of(holder, snapshot.load(db), as_of)[0]


def _waiting(db: Connection, contacts: Sequence[int]) -> list[dict[str, Any]]:
    """Rows of the review queue that have one of these among their candidates: they may be no conflict any more."""
    return list(db.scalars(_WAITING, {"keys": json.dumps(list(contacts))}))


def _match_waiting(db: Connection, livemode: bool, waiting: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Matches these customers anew; returns {connection, customer} of those that are linked now."""
    found: list[dict[str, Any]] = []
    for connection in sorted({row["connection"] for row in waiting}):
        if accounts.named(db, connection).livemode != livemode:
            continue
        customers = [row["customer"] for row in waiting if row["connection"] == connection]
        matched = linking.link(db, connection, livemode, customers)
        tell(db, matched.told)
        linked = [one.data["customer"] for one in matched.told if one.type == "contact.linked"]
        found += [{"connection": connection, "customer": customer} for customer in linked]
    return found


def unmerged(number: int, by: str, of: int | None = None) -> Change:
    """Parts what a merge joined: everything that the second contact had is its own again, what came since stays with
    the first. `result`: {merge, kept, other, stayed}: what was changed since and is not given back. `of`: the contact
    (internal key) that it has to be a merge of.

    Raises ChangeUnknown, ContactInvalid.
    """

    def touched(db: Connection) -> Sequence[int]:
        if not keys:
            before = changes.to_undo(db, number, "merge")["before"]
            if of not in (None, before["kept"]):
                raise ChangeUnknown(action="merge", number=number, problem="it was another contact's.")
            keys.extend((before["kept"], before["other"]))
        return sorted(keys)

    def do(db: Connection) -> dict[str, Any]:
        row = changes.to_undo(db, number, "merge")
        before = row["before"]
        usage_merging.hold(db, before["kept"], before["other"])
        for one in before["matched"]:
            if db.execute(_UNMATCH, one | {"kept": before["kept"]}).rowcount:
                gone = {"customer": one["customer"], "by": by}
                tell(db, [Told("contact.unlinked", gone, before["kept"], one["connection"])])
                db.execute(_HOLD_NOTHING, one)
        stayed = merging.part(db, before)
        usage_merging.part(db, before["kept"], before["other"], before["usage"])
        notes.give_back(db, before["kept"], before["other"], before["notes"])
        alert_merging.give_back(db, before["kept"], before["other"], before["alerts"])
        contacts_due.part(db, before["kept"], before["other"], before.get("deliveries", ()))
        db.execute(_QUEUE_AGAIN, {"rows": json.dumps(before["reviews"])})
        changes.undone(db, number)
        following.follow(db, keys)
        merging.give_emails_back(db, before)
        kept, other = (directory.of_key(db, before[name]) for name in ("kept", "other"))
        what = {"merge": number, "from": kept.key, "contact": other.key}
        changes.note(db, "unmerge", by, contact=kept.key, what=what)
        tell(db, [Told("contact.unmerged", {"from": kept.ref, "contact": other.ref}, other.key)])
        if (again := suppressing.part(db, before["suppression"])) is not None:
            contacts_due.note_contacts(db, [again])
        return {"merge": number, "kept": kept.ref, "other": other.ref, "stayed": stayed}

    keys: list[int] = []
    what = {"do": "unmerge", "merge": number}
    return Change(
        what, touched, do, silent=True, turn=rulebook.lock, afterwards=lambda db: lifecycle.part(db, *keys)
    )  # fmt: skip


def number_of(db: Connection, livemode: bool, said: str) -> int:
    """The number of a merge, given itself or as the id of the contact that was merged. Raises ChangeUnknown."""
    if said.isdecimal():
        return int(said)
    found = db.execute(_MERGE_OF, {"said": said, "livemode": livemode}).scalars().all()
    if len(found) != 1:
        many = "several are; give the number" if found else "no contact of that id was merged"
        raise ChangeUnknown(action="merge of", number=said, problem=f"{many}. `tidegate contacts show` tells them.")
    return int(found[0])


_WAITING = text("""
select to_jsonb(r) from tidegate.reviews r
where exists (select from jsonb_array_elements(r.candidates) one
              where cast(:keys as jsonb) @> jsonb_build_array(one))
order by r.connection, r.customer""")

_UNMATCH = text("""
delete from tidegate.links
where connection = :connection and customer = :customer and contact = :kept
  and method not in ('manual', 'billing_id')""")

_HOLD_NOTHING = text("""
delete from tidegate.holdings h using stripe.subscriptions s
where s.connection = :connection and s.customer = :customer
  and h.connection = s.connection and h.subscription = s.id""")

_QUEUE_AGAIN = text("""
insert into tidegate.reviews select * from jsonb_populate_recordset(null::tidegate.reviews, cast(:rows as jsonb)) q
where not exists (select from tidegate.links l where l.connection = q.connection and l.customer = q.customer)
on conflict (connection, customer) do update set reason = excluded.reason, candidates = excluded.candidates,
  evidence = excluded.evidence, since = excluded.since""")

_MERGE_OF = text("""
select h.id from tidegate.contact_changes h join tidegate.contacts o on o.key = (h.before ->> 'other')::bigint
where h.action = 'merge' and h.undone_at is null and o.livemode = :livemode and o.merged_into is not null
  and (o.external_id = :said or o.kind || ':' || o.external_id = :said)""")
