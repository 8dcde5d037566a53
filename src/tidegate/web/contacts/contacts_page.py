"""The table of contacts: searched, narrowed down, sorted, page by page, and exported."""

from typing import Any
from urllib.parse import urlencode

from sqlalchemy import Connection
from starlette.responses import Response

from tidegate.catalog import mappings
from tidegate.lifecycle import roster
from tidegate.revenue import editions
from tidegate.web import csv_answers
from tidegate.web.choosing import account, livemode, modes
from tidegate.web.chosen import chosen
from tidegate.web.pages import Page, Texts, Visit
from tidegate.web.wording import mrr

ROWS = 50
CHOSEN_BY = ("search", "stage", "segment", "package", "health", "owner")
LED_BY = ("version", "mapping", "feature", "risk", "renews", "paying")
"""What numbers of other pages narrow the table down by; there are no fields for it."""
NARROWED_BY = (*CHOSEN_BY, *LED_BY)
EXPORTED = (
    "contact", "name", "email", "owner", "stage", "segments", "packages", "status", "mrr", "health",
    "renews_at", "ends_at", "open_alerts",
)  # fmt: skip


def table(visit: Visit) -> Response:
    """A page of contacts; htmx, which asks while one types, gets the table alone."""
    asked = _asked(visit)
    number = max(1, int(asked["page"])) if asked["page"].isdecimal() else 1
    sort = asked["sort"] or "mrr"
    part = visit.request.headers.get("hx-target") == "contacts"
    with visit.hub.engine.connect() as db:
        wanted = _wanted(visit)
        rows, found = roster.page_and_total(db, wanted, sort=sort, skip=(number - 1) * ROWS, limit=ROWS)
        choices = {} if part else roster.choices(db, wanted.livemode)
        led = _led(visit, db)
    said = {name: asked[name] for name in (*NARROWED_BY, "connection") if asked[name]}
    facts: dict[str, Any] = {
        "rows": rows,
        "total": found,
        "page": number,
        "pages": max(1, -(-found // ROWS)),
        "sort": sort,
    }
    facts |= {"query": urlencode(said), "narrowed": Texts(said), "choices": choices, "sorts": tuple(roster.SORTS)}
    facts |= {"led": led, "led_by": [name for name in LED_BY if name in said]}
    facts |= {"modes": [] if part else modes(visit), "connection": account(visit).name}
    answer = visit.render("parts/contacts.html" if part else "contacts/contacts.html", **facts)
    if part and "version" not in said and visit.request.query_params.get("version"):
        answer.headers["HX-Push-Url"] = f"/contacts?{urlencode(said | {'sort': sort})}"
    return answer


def exported(visit: Visit) -> Response:
    """The whole table, narrowed down as the page was, as CSV."""
    wanted, sort = _wanted(visit), roster.known(visit.request.query_params.get("sort", "") or "mrr")
    return csv_answers.answer("contacts", EXPORTED, _exported(visit, wanted, sort))


PAGES = (Page("/contacts", table), Page("/contacts.csv", exported))


def _asked(visit: Visit) -> Texts:
    """What the address asks for. A version goes with the package that it is of (`version_of`), when another one is
    chosen.
    """
    asked = Texts(visit.request.query_params)
    if asked["version_of"] and asked["version_of"] != asked["package"]:
        asked["version"] = ""
    return asked


def _wanted(visit: Visit) -> roster.Wanted:
    asked, mode = _asked(visit), livemode(visit)
    by = {name: asked[name] for name in NARROWED_BY}
    if by["paying"] and visit.connection and sum(one.livemode is mode for one in chosen(visit).every) > 1:
        by["paid_by"] = visit.connection
    return roster.Wanted(mode, **by)


def _led(visit: Visit, db: Connection) -> list[str]:
    """What of it only the address says, in words. Raises CatalogUnknown for a mapping that there is not."""
    asked = _asked(visit)
    found = [f"with version {asked['version']} of it"] if asked["version"] and asked["package"] else []
    if number := asked["mapping"]:
        mapping = mappings.one(db, int(number) if number.isdecimal() and len(number) < 10 else 0)
        found.append(f"to whom {mappings.shown(mapping)} gives it")
    if asked["feature"]:
        found.append(f"to whom something is granted now of the feature {asked['feature']}")
    if risk := asked["risk"]:
        found.append(f"at risk{'' if risk == roster.ANY else f': {risk}'.replace('_', ' ')}")
    if days := asked["renews"]:
        found.append(f"of which something renews within {days} days")
    if currency := asked["paying"]:
        by = f", by {visit.connection}" if visit.connection else ""
        found.append(
            f"that pay now{by}" if currency == editions.base(db) else f"that pay in {currency.upper()} now{by}"
        )
    return found


def _exported(visit: Visit, wanted: roster.Wanted, sort: str) -> csv_answers.Rows:
    with visit.hub.engine.connect() as db:
        for row in roster.every(db, wanted, sort=sort):
            yield row | {"mrr": mrr(row["mrr"])}
