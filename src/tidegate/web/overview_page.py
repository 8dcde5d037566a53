"""The first page: what MRR is and what moved it, who needs you, what renews, and whether everything works."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from starlette.responses import Response

from tidegate.connections.accounts import Account
from tidegate.errors import LedgerMissing
from tidegate.lifecycle import listing, outlook
from tidegate.revenue.bridge import KINDS
from tidegate.web import wording
from tidegate.web.chosen import Chosen, chosen
from tidegate.web.mirror.status_page import StatusReading
from tidegate.web.pages import Page, Visit
from tidegate.web.wording import count
from tidegate.wiring import Hub
from tidegate.workflows import report_readers
from tidegate.workflows.report_readers import RENEWING

SPANS = (30, 90, 365)
"""Days within which MRR moved, of which one may choose."""
SPAN = 30
SHOWN = 6
"""Alerts that are named."""
NAMED = 5
"""Connections that have a line of their own."""


class Line(NamedTuple):
    """One line on whether something works: its dot's colour, what it is, how it stands, and where more is told."""

    colour: str
    what: str
    how: str
    path: str


def pages(hub: Hub, reading: StatusReading) -> tuple[Page, ...]:
    """The page of a hub. `reading`: how every connection stands."""

    def overview(visit: Visit) -> Response:
        found = chosen(visit)
        if found.account is None:
            return visit.render("first_run.html")
        facts = reading.facts()
        seen = {"health": list(_health(facts["status"])), "as_of": facts["as_of"], "chosen": found}
        seen["days"] = RENEWING.days
        with hub.engine.connect() as db:
            mode = found.account.livemode
            seen["open"] = outlook.open_alerts(db, mode)
            seen["alerts"] = listing.alerts(db, states=["open"], livemode=mode, limit=SHOWN) if seen["open"] else []
        seen["contacts"] = visit.report("outlook", {"livemode": mode})
        return visit.render("overview.html", **seen, **_revenue(visit, found))

    return (Page("/", overview),)


def _revenue(visit: Visit, found: Chosen) -> dict[str, Any]:
    """MRR in one currency with what moved it; nothing for who may not see it."""
    if visit.who is None or not visit.who.may("revenue") or found.account is None:
        return {"may_see_revenue": False, "row": None, "drawn": {}, "currencies": [], "why": ""}
    account = found.account
    days = visit.request.query_params.get("days", "")
    span = next((one for one in SPANS if days == str(one)), SPAN)
    rows, why = _figures(visit, account, span)
    by_currency = {row["currency"]: row for row in rows}
    row = by_currency.get(visit.request.query_params.get("currency", "")) or (rows[0] if rows else None)
    facts: dict[str, Any] = {"row": row, "drawn": _drawn(row) if row else {}, "kinds": KINDS, "why": why}
    return facts | {"may_see_revenue": True, "currencies": [*by_currency], "span": span, "spans": SPANS}


def _figures(visit: Visit, account: Account, days: int) -> tuple[list[dict[str, Any]], str]:
    """The metrics of the last days by currency, the one with the most contacts first; or why there are none."""
    try:
        with visit.hub.engine.connect() as db:
            asked = report_readers.about(db, account.name, "metrics", {"days": days})
        rows = visit.report("metrics", asked)
    except LedgerMissing as error:
        return [], str(error)
    return sorted(rows, key=lambda row: (-row["contacts"]["closing"], row["currency"])), ""


def _drawn(row: dict[str, Any]) -> dict[str, Any]:
    """The waterfall from the MRR before to the MRR now, in minor units; nothing where nothing moved."""
    moved = [{"name": kind, "value": row[kind]} for kind in (*KINDS, "fx") if row[kind]]
    if row["opening"] is None or row["mrr"] is None or not moved:
        return {}
    steps = [{"name": row["from"], "value": row["opening"]}, *moved, {"name": row["to"], "value": row["mrr"]}]
    return {"shape": "waterfall", "currency": row["currency"], "steps": steps}


def _health(status: dict[str, Any]) -> Iterator[Line]:
    connections: list[dict[str, Any]] = status["connections"]
    yield from _of_connections(connections)
    common = [one for one in status["problems"] if not one["connection"]]
    if common:
        yield Line("orange", "Installation", _plural(len(common), "problem"), "/status")
    yield _imports(connections)
    waiting = sum(one["inbox"]["waiting"] for one in connections)
    parked = sum(one["inbox"]["parked"] for one in connections)
    said = f"{count(parked)} parked, {count(waiting)} waiting" if parked else f"{count(waiting)} waiting"
    yield Line(
        "orange" if parked else "green", "Inbox", said if waiting or parked else "everything is handled", "/inbox"
    )
    yield _syncs(status)


def _of_connections(connections: list[dict[str, Any]]) -> Iterator[Line]:
    for one in sorted(connections, key=lambda one: not one["problems"])[:NAMED]:
        wrong = _plural(len(one["problems"]), "problem") if one["problems"] else one["freshness"]
        current = one["last_webhook_at"] or one["caught_up_at"]
        colour = "orange" if one["problems"] else "green" if current else "secondary"
        yield Line(colour, one["display_name"] or one["name"], wrong, f"/status#connection-{one['name']}")
    if len(connections) > NAMED:
        others = connections[NAMED:]
        yield Line("secondary", f"{count(len(others))} more connections", "", "/status")


def _imports(connections: list[dict[str, Any]]) -> Line:
    running = [one for one in connections if one["run"] and one["run"]["state"] == "running"]
    if running:
        progress = running[0]["progress"]
        how = f"{progress['done']} of {progress['total']} resources are complete" if progress else "begun"
        return Line("azure", "Import", how, "/status")
    missing = [one["name"] for one in connections if one["run"] is None and one["connected"]]
    if missing:
        return Line("orange", "Import", f"still to be made: {', '.join(missing[:NAMED])}", "/status")
    broken = [one["name"] for one in connections if one["run"] and one["run"]["state"] != "done"]
    if broken:
        return Line("orange", "Import", f"not complete: {', '.join(broken[:NAMED])}", "/status")
    return Line("green", "Import", "complete", "/status")


def _syncs(status: dict[str, Any]) -> Line:
    syncs = [one for one in status["schedules"] if one["what"] == "sync"]
    wrong = [one for one in status["problems"] if one["code"].startswith("sync_")]
    if not syncs:
        return Line("secondary", "Syncs", "none is defined", "/syncs")
    if wrong:
        return Line("orange", "Syncs", _plural(len(wrong), "problem"), "/syncs")
    ran = [datetime.fromisoformat(one["last_at"]) for one in syncs if one["last_at"]]
    last = f", the last one {wording.span((datetime.now(UTC) - max(ran)).total_seconds())} ago" if ran else ""
    return Line("green", "Syncs", f"{_plural(len(syncs), 'sync')}{last}", "/syncs")


def _plural(number: int, noun: str) -> str:
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"
