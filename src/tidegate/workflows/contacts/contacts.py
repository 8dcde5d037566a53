"""Contacts as people see and link them: listed, shown whole, linked and unlinked by hand, which has a preview."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, text

from tidegate.catalog import snapshot
from tidegate.connections.accounts import Account
from tidegate.contacts import by_hand, directory, following, linking, listing
from tidegate.contacts.directory import Contact
from tidegate.contacts.listing import Filter
from tidegate.delivery.outbox import tell
from tidegate.entitlements.answers import answer
from tidegate.errors import ContactInvalid, CustomerUnknown
from tidegate.mirror import changed
from tidegate.workflows.previewing import Change, Prepared


def page(db: Connection, wanted: Filter, after: str = "", limit: int = 50) -> dict[str, Any]:
    """One page of contacts: {contacts, next}; `next` is what the next page comes after (None: there is none).

    Raises ContactInvalid for an `after` that is none.
    """
    if after and not after.isdecimal():
        raise ContactInvalid(problem=f"{after[:40]!r} is no place in the list; take `next` of the page before")
    rows = listing.listing(db, wanted, after=int(after or 0), limit=limit + 1)
    more = len(rows) > limit
    return {"contacts": rows[:limit], "next": str(rows[limit - 1]["key"]) if more else None}


def shown(db: Connection, contact: Contact) -> dict[str, Any]:
    """Everything of a contact: `listing.described`, and what it may use: `packages`, `features`, `usage`.

    `usage` has of each metered feature that is given or used {used, limit, unlimited, remaining, resets_at}.
    """
    said = answer(db, contact, snapshot.load(db), now_of(db))
    return listing.described(db, contact) | {
        "packages": said["packages"],
        "features": [key for key, one in said["features"].items() if one["granted"]],
        "usage": usage_of(said["features"]),
    }


def usage_of(features: dict[str, Any]) -> dict[str, Any]:
    """The metered ones of an answer, those that are given or were used: how much of them is left."""
    names = ("used", "limit", "unlimited", "remaining", "resets_at")
    return {
        key: {name: one[name] for name in names}
        for key, one in features.items()
        if one["type"] == "metered" and (one["granted"] or one["used"] or one["reason"] != "feature_unavailable")
    }


def linked(account: Account, customer: str, ref: str, by: str) -> Change:
    """Makes a customer (Stripe id) of the connection a contact's by hand, whoever's it was.

    Raises ContactUnknown, CustomerUnknown, ContactInvalid.
    """

    def do(db: Connection) -> dict[str, Any]:
        contact = directory.find(db, account.livemode, ref)
        before = by_hand.holder(db, account.name, customer)
        by_hand.link(db, account.name, account.livemode, customer, contact, by=by)
        changed.note(db, account.name, [customer])
        following.follow(db, _keys(before, contact.key))
        return {"connection": account.name, "customer": customer, "contact": directory.of_key(db, contact.key).ref}

    def touched(db: Connection) -> list[int]:
        contact = directory.find(db, account.livemode, ref)
        return _keys(by_hand.holder(db, account.name, customer), contact.key)

    return _remembering({"do": "link", "connection": account.name, "customer": customer, "contact": ref}, touched, do)


def unlinked(account: Account, customer: str, by: str, *, rematch: bool = False, ref: str | None = None) -> Change:
    """Takes a customer from its contact for good; with `rematch` lets matching decide anew instead.

    `ref`: it must be this contact's. Raises ContactUnknown, CustomerUnknown.
    """

    def do(db: Connection) -> dict[str, Any]:
        before = by_hand.holder(db, account.name, customer)
        if ref is not None and directory.find(db, account.livemode, ref).key != before:
            raise CustomerUnknown(connection=f"{account.name} that belongs to {ref}", customer=customer)
        contact = None
        if rematch:
            by_hand.let_go(db, account.name, customer, by=by)
            matched = linking.link(db, account.name, account.livemode, [customer])
            tell(db, matched.told)
            contact = by_hand.holder(db, account.name, customer)
        else:
            by_hand.keep_apart(db, account.name, customer, by=by)
        changed.note(db, account.name, [customer])
        following.follow(db, _keys(before, contact))
        said = directory.of_key(db, contact).ref if contact is not None else None
        return {"connection": account.name, "customer": customer, "contact": said}

    def touched(db: Connection) -> list[int]:
        return _keys(by_hand.holder(db, account.name, customer))

    what = {"do": "unlink", "connection": account.name, "customer": customer, "rematch": rematch}
    return _remembering(what, touched, do)


def now_of(db: Connection) -> datetime:
    """The database's time, UTC."""
    return db.execute(text("select clock_timestamp()")).scalar_one().astimezone(UTC)


def _keys(*keys: int | None) -> list[int]:
    return sorted({key for key in keys if key is not None})


def _remembering(
    what: dict[str, Any], touched: Callable[[Connection], Sequence[int]], do: Callable[[Connection], Any]
) -> Change:
    """A change whose contacts are those that it touches before it is done and those that it touches afterwards."""
    seen: set[int] = set()

    def begin(_db: Connection) -> Prepared:
        seen.clear()  # of a try before
        return Prepared()

    def all_touched(db: Connection) -> list[int]:
        seen.update(touched(db))
        return sorted(seen)

    return Change(what, all_touched, do, begin)
