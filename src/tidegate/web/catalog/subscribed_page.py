"""The page of the subscriptions that a number of mappings counts: those that wait, have a price, keep a meaning."""

from collections.abc import Sequence
from typing import Any, cast
from urllib.parse import urlencode

from sqlalchemy import Connection
from starlette.responses import Response

from tidegate.catalog import names, subscribed
from tidegate.catalog.subscribed import After, Of, What
from tidegate.errors import CatalogInvalid
from tidegate.web import csv_answers
from tidegate.web.choosing import account
from tidegate.web.pages import Page, Visit
from tidegate.workflows.catalog import catalog_suggest

ROWS = 50
SAID = {
    "waiting": "Waiting for a mapping of {}",
    "price": "With the price {}",
    "product": "With the product {}",
    "kept": "Keeping what {} meant",
}
EXPORTED = ("of", "subscription", "status", "customer", "contact", "name")


def listing(visit: Visit) -> Response:
    """The subscriptions, page by page."""
    connection, asked = account(visit).name, visit.request.query_params
    with visit.hub.engine.connect() as db:
        wanted, title = _wanted(visit, db, connection)
        rows = subscribed.subscriptions(db, connection, wanted, _after(asked.get("after", "")), ROWS + 1)
    said = {"connection": connection, "of": asked["of"]}
    last = rows[ROWS - 1] if len(rows) > ROWS else None
    more = urlencode(said | {"after": f"{last['place']}:{last['subscription']}"}) if last else ""
    facts: dict[str, Any] = {"rows": rows[:ROWS], "more": more, "title": title, "several": len(wanted) > 1}
    return visit.render("catalog/subscribed.html", **facts, query=urlencode(said), connection=connection)


def exported(visit: Visit) -> list[dict[str, Any]]:
    """All of them."""
    connection = account(visit).name
    with visit.hub.engine.connect() as db:
        return subscribed.subscriptions(db, connection, _wanted(visit, db, connection)[0])


PAGES = (
    Page("/mappings/subscriptions", listing),
    Page("/mappings/subscriptions.csv", csv_answers.of("subscriptions", EXPORTED, exported)),
)


def _wanted(visit: Visit, db: Connection, connection: str) -> tuple[Sequence[Of], str]:
    """Of what subscriptions are asked for, and what they are called: `waiting:price_1`, `price:price_1`,
    `product:prod_1`, `kept:12:price_1` (by this mapping), `suggestion:package:pro`. Raises CatalogInvalid,
    CatalogUnknown.
    """
    said = visit.request.query_params.get("of", "")
    what, _, id_ = said.partition(":")
    if what == "suggestion":
        told = visit.report("seen", {"connection": connection})
        [one] = catalog_suggest.chosen(catalog_suggest.found_of(db, connection, told)[0], [id_])
        return [_source(row) for row in one.mappings], f"Taken for the {one.kind} {one.key}"
    number, _, price = id_.partition(":") if what == "kept" else ("0", "", id_)
    if what not in SAID or not price or not (number.isdecimal() and len(number) < 19):
        raise CatalogInvalid(problem=f"`of` says what of, as in waiting:price_1; {said[:60]!r} does not.")
    of = connection, price
    named = names.product(db, *of) if what == "product" else names.prices(db, {of}).get(of, "")
    return [Of(cast("What", what), price, int(number))], SAID[what].format(f"{named} ({price})" if named else price)


def _source(mapping: dict[str, Any]) -> Of:
    return Of("price", mapping["price"]) if "price" in mapping else Of("product", mapping["product"])


def _after(said: str) -> After:
    place, _, subscription = said.partition(":")
    return After(int(place), subscription) if place.isdecimal() and len(place) < 9 else After()
