"""A database that fails is told on the log at once and then now and then, whatever fails meanwhile."""

import logging

import pytest
from sqlalchemy.exc import OperationalError, ProgrammingError

from tidegate.store.outage import EVERY, Outage

log = logging.getLogger("outage")


def away() -> OperationalError:
    return OperationalError("select 1", {}, Exception("server closed the connection\nunexpectedly"))


def test_the_same_failure_is_told_once_and_then_with_how_often(caplog: pytest.LogCaptureFixture) -> None:
    now = 100.0
    outage = Outage(log, lambda: now)
    for _ in range(1000):
        outage.note("could not store 3 events", away())
    assert [one.message for one in caplog.records] == ["could not store 3 events: server closed the connection"]
    now += EVERY
    outage.note("could not store 2 events", away())
    assert caplog.records[-1].message == (
        "could not store 2 events: server closed the connection (999 more since this was last told)"
    )
    now += EVERY
    outage.note("could not store 1 events", away())
    assert caplog.records[-1].message == "could not store 1 events: server closed the connection"


def test_only_what_is_no_outage_shows_where_it_came_from(caplog: pytest.LogCaptureFixture) -> None:
    outage = Outage(log, lambda: 0.0)
    outage.note("a request failed", away())
    outage.note("a request failed", ProgrammingError("select 1", {}, Exception("no such table")))
    assert [bool(one.exc_info) for one in caplog.records] == [False, True]
