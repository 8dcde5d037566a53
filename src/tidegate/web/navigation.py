"""The menu: which pages there are, in the order of a day's work, and which of them a visitor is on (pure)."""

from typing import NamedTuple

from tidegate.web.visitors import Who


class Entry(NamedTuple):
    """A page in the menu; `scope`: who sees it there."""

    path: str
    title: str
    scope: str = "read"
    current: bool = False


ENTRIES = (
    Entry("/", "Status"),
    Entry("/contacts", "Contacts"),
    Entry("/revenue", "Revenue", "revenue"),
    Entry("/stages", "Stages"),
    Entry("/alerts", "Alerts"),
    Entry("/users", "Users", "admin"),
)


def menu(who: Who | None, path: str) -> list[Entry]:
    """What a visitor may go to; the entry of the page that is shown is marked."""
    seen = (one for one in ENTRIES if who is not None and who.may(one.scope))
    return [one._replace(current=_within(path, one.path)) for one in seen]


def _within(path: str, entry: str) -> bool:
    return path == entry or (entry != "/" and path.startswith(f"{entry}/"))
