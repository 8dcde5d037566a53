"""A worker killed while actions fire: each occurrence is acted on once; what is due exists with what is decided."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import text
from tests.support import databases, killing
from tests.support.acting import Acting
from tests.support.hubs import ALONE, copied, opened
from tests.support.placed import NOW
from tests.support.waiting import until

from tidegate.wiring import Hub
from tidegate.workflows.lifecycle import lifecycle

KEY = Fernet.generate_key().decode()
CONTACTS = 24
AT = NOW + timedelta(days=1)
GOAL = {"reach": "property_set", "property": "seen", "within_days": 30}
BOTH = [{"destination": "log", "event": "Moved"}, {"destination": "other", "template": "{{ contact.id }}"}]


class Ready(NamedTuple):
    """A database, to be copied: contacts that became customers, renew soon and are late, and actions for all of it."""

    server_url: str
    database: str


@pytest.fixture(scope="module")
def ready(server_url: str) -> Iterator[Ready]:
    with ExitStack() as stack:
        database = stack.enter_context(databases.scratch(server_url))
        with opened(database, KEY) as hub:
            people = Acting(hub)
            keys = [people.add(f"c{number}", status="trialing") for number in range(CONTACTS)]
            people.pass_()
            people.act({"enters_stage": "customer"}, "stage", do=BOTH, goal=GOAL, hold_out=0.3)
            people.act({"renewal_in_days": 30}, "renewal", cooldown_days=5)
            people.act({"alert_opened": "payment_failed"}, "alert", when={"field": "mrr", "at_least": 100})
            for number, key in enumerate(keys):
                people.set(key, status="active", renews_at=NOW + timedelta(days=20), mrr_total=number * 10)
                people.set(key, failed_attempts=1, failing_invoice=f"in_{number}")
        yield Ready(server_url, databases.named(database))


def counted(hub: Hub) -> tuple[Any, ...]:
    with hub.engine.connect() as db:
        return tuple(db.execute(text(COUNTS)).one())


COUNTS = """
select count(*) filter (where action = 'stage'), count(*) filter (where action = 'renewal' and state = 'fired'),
  count(*) filter (where action = 'alert' and state = 'fired'), count(*) filter (where action = 'alert'),
  count(*) filter (where goal = 'open')
from tidegate.action_occurrences"""

LOST = """
select o.action, o.contact, o.state, count(d.id), case when o.action = 'stage' then 2 else 1 end as expected
from tidegate.action_occurrences o
left join tidegate.outbox b on b.type = 'action.fired' and b.contact = o.contact and b.data ->> 'action' = o.action
  and b.data ->> 'occurrence' = o.occurrence
left join tidegate.deliveries d on d.outbox = b.id
group by o.id, o.action, o.contact, o.state
having count(d.id) <> case when o.state <> 'fired' then 0 when o.action = 'stage' then 2 else 1 end"""


def hold(hub: Hub) -> None:
    """What is due is what was decided, no more and no less."""
    with hub.engine.connect() as db:
        assert db.execute(text(LOST)).all() == []
        told = db.scalar(text("select count(*) from tidegate.outbox where type = 'action.fired'"))
        due = db.scalar(text("select count(*) from tidegate.deliveries"))
    assert told == due


@pytest.mark.timeout(400)
@pytest.mark.parametrize("number", [8, pytest.param(60, marks=pytest.mark.wide)])
def test_killed_at_any_step_each_occurrence_is_acted_on_once(ready: Ready, run: killing.Run, number: int) -> None:
    expected = (CONTACTS, CONTACTS, CONTACTS - 10, CONTACTS, CONTACTS)
    with copied(ready.server_url, ready.database) as url:
        steps = run("act", database_url=url, secret_key=KEY, as_of=AT.isoformat()).steps
        with opened(url, KEY) as hub:
            assert counted(hub) == expected
            hold(hub)
    for place in killing.points(steps, number, seed=number):
        with copied(ready.server_url, ready.database) as url:
            ended = run("act", place, database_url=url, secret_key=KEY, as_of=AT.isoformat())
            assert ended.killed
            with opened(url, KEY) as hub:
                until(lambda hub=hub: one(hub, ALONE), "the killed process's transactions are ended")
                hold(hub)
                for hours in (1, 2):
                    lifecycle.keep(hub.engine, as_of=AT + timedelta(hours=hours))
                assert counted(hub) == expected, f"killed at step {place} of {steps}: {ended.last}"
                hold(hub)


@pytest.mark.timeout(200)
def test_two_workers_at_once_act_once(ready: Ready) -> None:
    with copied(ready.server_url, ready.database) as url, opened(url, KEY) as hub:
        ended: list[lifecycle.Kept] = []
        workers = [
            threading.Thread(target=lambda: ended.append(lifecycle.keep(hub.engine, as_of=AT))) for _ in range(3)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert len(ended) == 3
        assert sum(kept.fired + kept.held_out for kept in ended) == 3 * CONTACTS - 10
        hold(hub)


def one(hub: Hub, sql: str) -> Any:
    with hub.engine.connect() as db:
        return db.scalar(text(sql))
