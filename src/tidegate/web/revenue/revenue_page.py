"""The pages of revenue: MRR by month and what moved it, drawn and as numbers, and every movement behind a number."""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import Connection
from starlette.responses import Response

from tidegate.errors import ConnectionMissing, LedgerMissing, ReportInvalid
from tidegate.revenue import listing, reports
from tidegate.revenue.bridge import KINDS
from tidegate.revenue.editions import Ledger
from tidegate.revenue.periods import within
from tidegate.revenue.source import group
from tidegate.web.choosing import account
from tidegate.web.chosen import chosen
from tidegate.web.pages import Page, Texts, Visit
from tidegate.web.revenue.asked import as_csv, told, with_ledger
from tidegate.workflows.contacts.contact_customers import customers_of

MOVEMENTS = 100
"""Movements of a page."""
TOGETHER = 1_000
"""Movements that are read at once for a file."""
EXPORTED = ("at", "day", "contact", "name", "customers", "kind", "currency", "opening", "amount", "closing")
NARROWED_BY = ("from", "to", "kind", "currency", "connection", "contact", "by", "group")


def months(visit: Visit) -> Response:
    """A year of MRR, month by month, in one currency at a time."""
    asked = visit.request.query_params
    try:
        found = told(visit, "metrics", months=reports.SHOWN)
    except (LedgerMissing, ConnectionMissing) as error:
        return visit.render("revenue/revenue.html", why=str(error), currencies=[], rows=[], drawn={}, connection="")
    currencies = _currencies(found)
    currency = asked.get("currency", "") or (currencies[0] if currencies else "")
    rows = [row for row in found if row["currency"] == currency]
    facts: dict[str, Any] = {"currency": currency, "currencies": currencies, "rows": rows, "drawn": _drawn(rows)}
    facts["whose"] = f"&connection={account(visit).name}" if len(chosen(visit).every) > 1 else ""
    return visit.render("revenue/revenue.html", why="", connection=asked.get("connection", ""), kinds=KINDS, **facts)


def movements(visit: Visit) -> Response:
    """Every change of MRR, the newest first: of a month, a kind, a currency."""
    said = _said(visit)
    with visit.hub.engine.connect() as db:
        ledger, wanted = _asked(visit, db, said)
        after = visit.request.query_params.get("after") or None
        rows, following = listing.movements(db, ledger, wanted, limit=MOVEMENTS, after=after)
    more = f"/revenue/movements?{urlencode(said | {'after': following})}" if following else ""
    named = said.get("connection", "")
    return visit.render("revenue/movements.html", rows=rows, more=more, said=Texts(said), kinds=KINDS, connection=named)


def movements_exported(visit: Visit) -> Response:
    """All of them as CSV, narrowed down as the page was."""

    def rows() -> Iterator[dict[str, Any]]:
        with visit.hub.engine.connect() as db:
            ledger, wanted = _asked(visit, db, _said(visit))
            following: str | None = ""
            while following is not None:
                found, following = listing.movements(db, ledger, wanted, limit=TOGETHER, after=following)
                yield from found

    return as_csv("movements", EXPORTED, rows(), ("opening", "amount", "closing"))


PAGES = (
    Page("/revenue", months, "revenue"),
    Page("/revenue/movements", with_ledger("Movements", movements), "revenue"),
    Page("/revenue/movements.csv", movements_exported, "revenue"),
)


def _said(visit: Visit) -> dict[str, str]:
    """By what movements are narrowed down; a group that is empty is one, too."""
    asked = visit.request.query_params
    return {name: asked[name] for name in NARROWED_BY if asked.get(name) or (name == "group" and "group" in asked)}


def _asked(visit: Visit, db: Connection, said: Mapping[str, str]) -> tuple[Ledger, listing.Wanted]:
    """Which movements are asked for, of which ledger. Raises ReportInvalid, and as `reports.opened`."""
    kind, currency = said.get("kind", ""), said.get("currency", "")
    if kind and kind not in KINDS:
        raise ReportInvalid(problem=f"There are no movements of the kind {kind!r}, but of {', '.join(KINDS)}.")
    of, here = group(said.get("by")), account(visit)
    report = reports.opened(db, here.name, datetime.now(UTC), currency=reports.NATIVE)
    whose = customers_of(db, here, said["contact"]) if "contact" in said else None
    days, kinds = (_day(said, "from"), _day(said, "to")), [kind] if kind else KINDS
    return report.ledger, listing.Wanted(*days, whose, kinds, currency or None, of, said.get("group", ""))


def _currencies(rows: list[dict[str, Any]]) -> list[str]:
    """Those that there are, the one with the most contacts first."""
    newest = {row["currency"]: row["contacts"]["closing"] for row in rows}
    return sorted(newest, key=lambda currency: (-newest[currency], currency))


def _day(said: Mapping[str, str], name: str) -> date | None:
    """A day of the address. Raises ReportInvalid."""
    if name not in said:
        return None
    try:
        return within(date.fromisoformat(said[name]))
    except ValueError as error:
        raise ReportInvalid(problem=f"`{name}` is a day such as 2026-03-01, not {said[name][:40]!r}.") from error


def _drawn(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What the chart shows: MRR as a line, what moved it as bars, in minor units."""
    return {
        "periods": [row["period"] for row in rows],
        "currency": rows[0]["currency"] if rows else "",
        "mrr": [row["mrr"] for row in rows],
        "kinds": [{"kind": kind, "values": [row[kind] for row in rows]} for kind in KINDS],
    }
