"""Reports of pages: read when asked while they are small, else kept as of when they were read, and read anew beside.

A page asks for a report by its name and what it is about. Where there is little it is read at once, always. Where
there is much, one that took long is kept (`revenue.kept`): pages show it with its time, and a worker reads it anew
within a minute or two of somebody's looking at it, and every hour else. Where the ledger is kept by other terms since,
or where what was told had to go, a worker reads what was looked at of late, so that nobody has to wait for it. Commands
and the API read when they are asked.
"""

import json
import logging
import threading
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from tidegate.errors import ReportUnread
from tidegate.revenue import kept
from tidegate.store.trouble import took_too_long
from tidegate.workflows import report_readers

log = logging.getLogger(__name__)

LONG = 0.1
"""Seconds from which on a report is kept."""
MUCH = 20_000
"""Customers' items, or contacts, up to which nothing is kept."""


class Shown(NamedTuple):
    """What a report tells, as JSON has it; `kept`: it was read before, as of then."""

    told: Any
    as_of: datetime
    kept: bool


def shown(engine: Engine, name: str, asked: Mapping[str, Any]) -> Shown:
    """A report of `report_readers.READERS`. Raises as its reader does, and ReportUnread where that takes longer than
    statements may here: then a worker reads it.
    """
    with engine.connect() as db:
        found = kept.find(db, name, asked)
    if found is not None:
        with engine.begin() as db:
            kept.want(db, name, asked)
        return _kept(found)
    try:
        with engine.begin() as db:
            kept.alone(db, name, asked, wait=True)
            found = kept.find(db, name, asked)  # whoever was waited for may have kept it
            return _kept(found) if found else _read(db, name, asked)
    except DBAPIError as error:
        if not took_too_long(error):
            raise
    with engine.begin() as db:
        kept.leave(db, name, asked)
    raise ReportUnread()


def _kept(found: kept.Kept) -> Shown:
    if not found.read:
        raise ReportUnread()
    return Shown(found.told, found.as_of, True)


def renew(engine: Engine, *, seconds: float, stop: threading.Event | None = None) -> list[str]:
    """Reads anew what is due, for a while; returns the names. What others read is left to them."""
    began, renewed = time.monotonic(), list[str]()
    with engine.begin() as db:
        _follow(db)
        due = kept.due(db)
    for one in due:
        if time.monotonic() - began > seconds or (stop and stop.is_set()):
            break
        with engine.begin() as db:
            if one.name not in report_readers.READERS:  # of another release
                kept.let_go(db, one.name, one.asked)
            elif kept.alone(db, one.name, one.asked, wait=False) and kept.exists(db, one.name, one.asked):
                _renewed(db, one)
                renewed.append(one.name)
    return renewed


def _follow(db: Connection) -> None:
    """What is about a ledger by terms that are not in force any more is asked for by those that are."""
    for one in kept.of_ledgers(db):
        try:
            asked = report_readers.in_force(db, one.name, one.asked)
        except report_readers.GONE:
            kept.let_go(db, one.name, one.asked)
        else:
            if asked != one.asked:
                kept.follow(db, one, asked)


def _renewed(db: Connection, one: kept.Due) -> None:
    """What cannot be read any more, of a ledger that was retired, is nothing to be kept."""
    try:
        with db.begin_nested():
            found = _read(db, one.name, one.asked)
    except report_readers.GONE:
        kept.let_go(db, one.name, one.asked)
        return
    log.info("report_renewed", extra={"report": one.name, "as_of": found.as_of.isoformat()})


def _read(db: Connection, name: str, asked: Mapping[str, Any]) -> Shown:
    as_of = db.execute(text("select clock_timestamp()")).scalar_one()
    began = time.monotonic()
    told = json.loads(json.dumps(report_readers.READERS[name](db, asked, as_of)))
    took = time.monotonic() - began
    if took >= LONG and (db.scalar(_MOST) or 0) >= MUCH:
        kept.keep(db, name, asked, told, as_of, took)
    else:
        kept.let_go(db, name, asked)
    return Shown(told, as_of, False)


# Estimates, which ANALYZE keeps: no row is counted.
_MOST = text("""
select max(reltuples)::bigint from pg_class
where oid in ('tidegate.spans'::regclass, 'tidegate.contacts'::regclass, 'stripe.subscription_items'::regclass)""")
