"""Which connection a page is about, of those that there are: the one that is named, else the first."""

from typing import NamedTuple

from tidegate.connections import accounts
from tidegate.connections.accounts import Account
from tidegate.errors import ConnectionMissing
from tidegate.web.pages import Visit


class Chosen(NamedTuple):
    """The connection that is shown, None where there is none, and all among which one may choose."""

    account: Account | None
    every: list[Account]


def chosen(visit: Visit, name: str = "") -> Chosen:
    """The connection of that name, else the one that the address or form names (`connection`), else the first one
    (`accounts.first`): of every page the same. Raises ConnectionUnknown.
    """
    wanted = name or visit.connection
    with visit.hub.engine.connect() as db:
        every = accounts.every(db)
        if wanted:
            return Chosen(accounts.named(db, wanted), every)
    return Chosen(accounts.first(every), every)


def shown(visit: Visit, name: str = "") -> Account:
    """The connection that is shown, where there has to be one. Raises ConnectionMissing, ConnectionUnknown."""
    account = chosen(visit, name).account
    if account is None:
        raise ConnectionMissing
    return account
