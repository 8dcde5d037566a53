"""`tidegate events`: what happened to money and to subscriptions."""

import csv
import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.options import AsJson, ConnectionName, one_form
from tidegate.store.values import plain

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from tidegate.revenue.events import Filter

FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]
COLUMNS = (
    "at", "name", "amount", "currency", "customer", "contact", "identity", "subscription", "invoice", "id", "reverses",
    "data",
)  # fmt: skip
PAGE = 1000


def events(
    contact: Annotated[
        str | None, typer.Option("--contact", metavar="CONTACT", help="Of this contact: an id, present or former.")
    ] = None,
    customer: Annotated[str | None, typer.Option("--customer", metavar="CUSTOMER", help="Of this one, cus_….")] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="N", help="Only these: 'Subscription Billed', ….")
    ] = None,
    begin: Annotated[
        datetime | None, typer.Option("--from", formats=FORMATS, metavar="TIME", help="Dated then or later; UTC.")
    ] = None,
    end: Annotated[
        datetime | None, typer.Option("--to", formats=FORMATS, metavar="TIME", help="Dated before; UTC.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=PAGE, help="So many; --csv gives all.")] = 50,
    after: Annotated[str, typer.Option(metavar="PLACE", help="`next` of the page before.")] = "",
    as_csv: Annotated[bool, typer.Option("--csv", help="Answer as CSV with a header, amounts in minor units.")] = False,
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """List billing events, the newest first: billed, refunded, upgraded, canceled, in trial, failed, bought once."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.contacts import directory
    from tidegate.revenue.events import Filter, page

    one_form(as_csv=as_csv, as_json=as_json)
    with opened() as hub:
        account = hub.account(connection)
        with hub.engine.connect() as db:
            key = None if contact is None else directory.find(db, account.livemode, contact).key
            wanted = Filter(account.name, key, customer, name, _utc(begin), _utc(end))
            found = page(db, wanted, after=after, limit=limit)
        if as_csv:
            _write(_every(hub.engine, wanted, after))
            return
    if as_json:
        show.document(found)
    else:
        _table(found)


def _utc(at: datetime | None) -> datetime | None:
    return None if at is None else at.replace(tzinfo=UTC)


def _every(engine: "Engine", wanted: "Filter", after: str) -> Iterator[dict[str, Any]]:
    """The events of all pages."""
    from tidegate.revenue.events import page

    place: str | None = after
    while place is not None:
        with engine.connect() as db:
            found = page(db, wanted, after=place, limit=PAGE)
        yield from found["events"]
        place = found["next"]


def _write(rows: Iterator[dict[str, Any]]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(COLUMNS)
    made: dict[str, Callable[[Any], Any]] = {"at": plain, "data": json.dumps}
    for row in rows:
        writer.writerow([made[name](row[name]) if name in made else row[name] for name in COLUMNS])


def _table(found: dict[str, Any]) -> None:
    from tidegate.cli import show
    from tidegate.money import shown

    head = ("at", "event", "amount", "plan", "who", "subscription", "invoice")
    rows = [
        (
            row["at"],
            f"{row['name']}{' (taken back)' if row['reverses'] else ''}",
            "" if row["amount"] is None else shown(row["amount"], row["currency"] or ""),
            row["data"]["properties"].get("Subscription Plan Level"),
            row["contact"] or row["customer"],
            row["subscription"],
            row["invoice"],
        )
        for row in found["events"]
    ]
    show.table(head, rows)
    more = f"; more with --after {found['next']}" if found["next"] else ""
    show.line(f"{len(rows):,} events{more}")
