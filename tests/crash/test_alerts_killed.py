"""A process killed while it opens alerts or makes digests: each is there with what is due of it, once or not at all."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Connection, text
from tests.support import databases, killing
from tests.support.hubs import copied, opened
from tests.support.post import SECRET
from tests.support.queue import connect
from tests.support.receiver import Receiver, receiving
from tests.support.told import Told

from tidegate.workflows.delivery import deliver
from tidegate.workflows.lifecycle import lifecycle
from tidegate.workflows.operation import watch

KEY = Fernet.generate_key().decode()
CONTACTS = 5
MINUTE = 1_767_225_660
LEASES_END = "update tidegate.deliveries set next_try_at = now() where state = 'waiting'"
PARKED = """
insert into tidegate.inbox (connection, event_id, type, created, source, body, state, next_try_at)
values ('acme', 'evt_1', 'x', now(), 'webhook', '{}', 'parked', now())"""


class Ready(NamedTuple):
    """A database, to be copied, in which alerts are to be opened and a digest is due."""

    server_url: str
    database: str
    receiver: Receiver


@pytest.fixture(scope="module")
def ready(server_url: str) -> Iterator[Ready]:
    with ExitStack() as stack:
        receiver = stack.enter_context(receiving())
        database = stack.enter_context(databases.scratch(server_url))
        with opened(database, KEY) as hub:
            told = Told(hub, receiver)
            told.destination("ops")
            told.route("ops", digest="daily")
            told.people.now = datetime.now(UTC) - timedelta(minutes=30)
            keys = [told.people.add(f"c{number}") for number in range(CONTACTS)]
            told.people.pass_()
            for key in keys:
                told.people.set(key, failed_attempts=1, failing_invoice="in_1")
            told.asked_long_ago()
            connect(hub.engine, "acme")
            with hub.engine.begin() as db:
                db.execute(text(PARKED))
        yield Ready(server_url, databases.named(database), receiver)


def hold(db: Connection, receiver: Receiver) -> None:
    """Every alert is told once, by its row and by what came; and the digest."""
    alerts = db.scalar(text("select count(*) from tidegate.alerts where rule = 'payment_failed' and state = 'open'"))
    opened = db.scalar(text("select count(distinct data ->> 'alert') from tidegate.outbox where type = 'alert.opened'"))
    told = db.scalar(text("select count(*) from tidegate.outbox where type = 'alert.opened'"))
    assert (alerts, opened, told) == (CONTACTS, CONTACTS, CONTACTS)
    hub = db.execute(text("select rule from tidegate.alerts where contact is null order by rule")).scalars().all()
    system = db.scalar(text("select count(*) from tidegate.outbox where type = 'system_alert.opened'"))
    assert "inbox_parked" in hub
    assert system == len(hub)
    digests = db.scalar(text("select count(*) from tidegate.digests"))
    made = db.scalar(text("select count(*) from tidegate.outbox where type = 'digest.made'"))
    assert (digests, made) == (1, 1)
    assert db.scalar(text("select count(*) from tidegate.deliveries where state <> 'delivered'")) == 0
    came = [one["type"] for one in receiver.events(SECRET)]
    assert (came.count("alert.opened"), came.count("system_alert.opened")) == (CONTACTS, len(hub))
    assert came.count("digest.made") == 1


@pytest.mark.timeout(400)
@pytest.mark.parametrize("number", [5, pytest.param(40, marks=pytest.mark.wide)])
@pytest.mark.parametrize("task", ["keep_lifecycle", pytest.param("watch", marks=pytest.mark.wide)])
def test_killed_at_any_step_each_alert_and_digest_is_told_once(
    ready: Ready, run: killing.Run, task: str, number: int
) -> None:
    arguments = {"secret_key": KEY, "name": task, "arguments": {"timestamp": MINUTE}}
    with copied(ready.server_url, ready.database) as url:
        steps = run("task", database_url=url, **arguments).steps
    for place in killing.points(steps, number, seed=number):
        ready.receiver.received.clear()
        with copied(ready.server_url, ready.database) as url:
            run("task", place, database_url=url, **arguments)
            with opened(url, KEY) as hub:
                for _ in range(2):
                    lifecycle.keep(hub.engine)
                    watch.watch(hub.engine)
                    with hub.engine.begin() as db:
                        db.execute(text(LEASES_END))
                    deliver.deliver(hub.engine, hub.destination)
                with hub.engine.connect() as db:
                    hold(db, ready.receiver)
