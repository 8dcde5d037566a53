"""Which connection a page is about, and whether live or test data: as its address or its form says, else the first."""

from typing import Any

from sqlalchemy import Connection

from tidegate.connections.accounts import Account
from tidegate.contacts import directory
from tidegate.contacts.directory import Contact
from tidegate.errors import ConnectionMissing, ContactUnknown
from tidegate.web.pages import Visit

MOST_OFFERED = 50
"""Connections that a page lets choose from; of more, a name in its address."""


def asked_for(visit: Visit) -> str | None:
    """The connection that the address or the form names."""
    return visit.connection or None


def livemode(visit: Visit) -> bool:
    """Whether contacts of live data are meant: of the connection that is named, else of live data where there is any.
    Raises ConnectionUnknown, ConnectionMissing.
    """
    named = asked_for(visit)
    if named is None and any(one.livemode for one in visit.hub.accounts()):
        return True
    return visit.hub.livemode(named)


def livemode_if_any(visit: Visit) -> bool | None:
    """The same; None where nothing is connected. Raises ConnectionUnknown."""
    return livemode(visit) if visit.connection or visit.hub.accounts() else visit.hub.livemode_if_any()


def named_contact(visit: Visit, db: Connection, ref: str) -> Contact:
    """The contact of that id: where no connection is named, of live data before test data. Raises ContactUnknown,
    ContactAmbiguous.
    """
    mode = livemode(visit)
    try:
        return directory.find(db, mode, ref)
    except ContactUnknown:
        if visit.connection or not mode:
            raise
    return directory.find(db, False, ref)


def account(visit: Visit) -> Account:
    """The connection that is named, else the first. Raises ConnectionUnknown, ConnectionMissing."""
    named = asked_for(visit)
    if named is not None:
        return visit.hub.account(named)
    found = visit.hub.accounts()
    if not found:
        raise ConnectionMissing()
    return found[0]


def offered(visit: Visit) -> dict[str, Any]:
    """What a template lets choose from: `connection`, the name, and `connections`, all where there are several."""
    found = visit.hub.accounts()
    names = [one.name for one in found] if 1 < len(found) <= MOST_OFFERED else []
    return {"connection": account(visit).name if found else "", "connections": names}
