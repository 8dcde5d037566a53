"""Whether a page is about live or test data, and of which connection: as its address or its form says, else the first
connection's (`chosen`).
"""

from typing import Any

from sqlalchemy import Connection

from tidegate.connections import accounts
from tidegate.connections.accounts import Account
from tidegate.contacts import directory
from tidegate.contacts.directory import Contact
from tidegate.errors import ContactUnknown
from tidegate.web.chosen import chosen, shown
from tidegate.web.pages import Visit

MOST_OFFERED = 50
"""Connections that a page lets choose from; of more, a name in its address."""


def livemode(visit: Visit) -> bool:
    """Whether contacts of live data are meant, or those of test data. Raises ConnectionUnknown, ConnectionMissing."""
    return account(visit).livemode


def livemode_if_any(visit: Visit) -> bool | None:
    """The same; None where nothing was ever connected. Raises ConnectionUnknown."""
    found = chosen(visit).account
    return found.livemode if found else None


def named_contact(visit: Visit, db: Connection, ref: str) -> Contact:
    """The contact of that id: where no connection is named, of the other data as well (live or test), after those that
    pages are about. Raises ContactUnknown, ContactAmbiguous, ConnectionMissing.
    """
    mode = livemode(visit)
    try:
        return directory.find(db, mode, ref)
    except ContactUnknown:
        if visit.connection:
            raise
    return directory.find(db, not mode, ref)


def account(visit: Visit) -> Account:
    """The connection that is named, else the first. Raises ConnectionUnknown, ConnectionMissing."""
    return shown(visit)


def offered(visit: Visit) -> dict[str, Any]:
    """What a template lets choose from: `connection`, the name, and `connections`, all where there are several."""
    found = chosen(visit)
    names = [one.name for one in found.every] if 1 < len(found.every) <= MOST_OFFERED else []
    return {"connection": found.account.name if found.account else "", "connections": names}


def modes(visit: Visit) -> list[tuple[str, str, bool]]:
    """Between which data a page about contacts lets choose: (connection whose name says it, `Live` or `Test`, whether
    it is shown); none where all connections are of the same.
    """
    found = chosen(visit)
    each = {mode: accounts.first(one for one in found.every if one.livemode is mode) for mode in (True, False)}
    if found.account is None or not all(each.values()):
        return []
    each[found.account.livemode] = found.account
    names = {mode: one.name for mode, one in each.items() if one}
    return [(names[mode], "Live" if mode else "Test", mode is found.account.livemode) for mode in names]
