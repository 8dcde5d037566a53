"""The menu: which pages there are, by section, in the order of a day's work, and where in it a visitor is (pure)."""

from typing import NamedTuple

from tidegate.web.visitors import Who


class Entry(NamedTuple):
    """A page in the menu, or a section by its first page; `scope`: who sees it there."""

    path: str
    title: str
    scope: str = "read"
    current: bool = False


class Menu(NamedTuple):
    """What a visitor may go to: sections, and the pages of the section that is shown, where it has several."""

    sections: list[Entry]
    pages: list[Entry]


SECTIONS: tuple[tuple[str, tuple[Entry, ...]], ...] = (
    ("Overview", (Entry("/", "Overview"),)),
    ("Contacts", (Entry("/contacts", "Contacts"), Entry("/contacts/review", "Review"))),
    ("Catalog", (Entry("/packages", "Packages"), Entry("/features", "Features"), Entry("/mappings", "Mappings"))),
    (
        "Revenue",
        (
            Entry("/revenue", "MRR", "revenue"),
            Entry("/revenue/retention", "Retention", "revenue"),
            Entry("/revenue/cohorts", "Cohorts", "revenue"),
            Entry("/revenue/trials", "Trials", "revenue"),
            Entry("/revenue/groups", "Groups", "revenue"),
            Entry("/revenue/renewals", "Renewals", "revenue"),
            Entry("/revenue/quality", "Quality", "revenue"),
            Entry("/revenue/reconcile", "Reconcile", "revenue"),
            Entry("/revenue/policy", "Policy", "revenue"),
        ),
    ),
    (
        "Lifecycle",
        (
            Entry("/stages", "Stages"),
            Entry("/stages/report", "Report"),
            Entry("/segments", "Segments"),
            Entry("/alerts", "Alerts"),
            Entry("/alerts/rules", "Alert rules"),
            Entry("/actions", "Actions"),
            Entry("/health", "Health"),
            Entry("/calendar", "Calendar", "revenue"),
        ),
    ),
    ("Outbound", (Entry("/syncs", "Syncs"), Entry("/models", "Models"), Entry("/sources", "Sources"))),
    (
        "Destinations",
        (Entry("/destinations", "Destinations"), Entry("/suppressed-properties", "Suppressed properties")),
    ),
    (
        "Mirror",
        (
            Entry("/status", "Status"),
            Entry("/mirror", "Resources"),
            Entry("/inbox", "Inbox"),
            Entry("/audits", "Audit"),
            Entry("/sql", "SQL", "revenue"),
            Entry("/export", "Export", "revenue"),
        ),
    ),
    (
        "Settings",
        (
            Entry("/connections", "Connections"),
            Entry("/connect", "Connect", "admin"),
            Entry("/users", "Users", "admin"),
            Entry("/tokens", "Tokens", "admin"),
            Entry("/audit-log", "Audit log", "admin"),
            Entry("/schedules", "Schedules"),
            Entry("/retention", "Retention"),
            Entry("/digests", "Digests"),
        ),
    ),
)
"""Sections with their pages. A page that is not in it belongs to the one whose path it begins with."""


def menu(who: Who | None, path: str) -> Menu:
    """What a visitor may go to; the section and the page that are shown are marked."""
    sections: list[Entry] = []
    shown: list[Entry] = []
    here = _current(path)
    for title, entries in SECTIONS:
        seen = [one for one in entries if who is not None and who.may(one.scope)]
        if not seen:
            continue
        current = here in seen
        sections.append(seen[0]._replace(title=title, current=current))
        if current and len(seen) > 1:
            shown = [one._replace(current=one is here) for one in seen]
    return Menu(sections, shown)


def _current(path: str) -> Entry | None:
    """The page whose path is the longest beginning of `path`."""
    found = [one for _, entries in SECTIONS for one in entries if _within(path, one.path)]
    return max(found, key=lambda one: len(one.path), default=None)


def _within(path: str, entry: str) -> bool:
    return path == entry or (entry != "/" and path.startswith(f"{entry}/"))
