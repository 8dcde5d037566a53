"""A process killed while it delivers loses no message, and none comes twice to who knows them by their ids."""

import random
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from typing import NamedTuple

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Engine, text
from tests.support import databases, killing
from tests.support.hubs import copied, opened
from tests.support.post import SECRET, Post
from tests.support.receiver import Receiver, receiving

from tidegate.delivery.outbox import Told, tell
from tidegate.secrets import Vault
from tidegate.store.engine import open_engine
from tidegate.wiring import Hub
from tidegate.workflows.delivery.deliver import deliver

KEY = Fernet.generate_key().decode()
CONTACTS, EVENTS = 6, 5
LEASES_END = "update tidegate.deliveries set next_try_at = now() where state = 'waiting'"


class Ready(NamedTuple):
    """A database, to be copied, with what is due to a receiver."""

    server_url: str
    database: str
    receiver: Receiver


@pytest.fixture(scope="module")
def ready(server_url: str) -> Iterator[Ready]:
    with ExitStack() as stack:
        receiver = stack.enter_context(receiving())
        database = stack.enter_context(databases.scratch(server_url))
        engine = open_engine(database)
        post = Post(engine)
        post.vault = Vault([KEY], "the test")
        post.webhook(receiver.url, properties=["name"], in_flight=3)
        contacts = [post.contact(f"c{number}", name=f"C {number}") for number in range(CONTACTS)]
        with engine.begin() as db:
            tell(db, [Told("entitlement.changed", {"number": n, "of": c}, c) for n in range(EVENTS) for c in contacts])
        engine.dispose()
        yield Ready(server_url, databases.named(database), receiver)


def hold(receiver: Receiver, engine: Engine) -> None:
    """Everything has come, in order for each contact, and once by its id."""
    by_contact: dict[int, list[int]] = defaultdict(list)
    told = receiver.events(SECRET)
    for one in told:
        if one["type"] == "entitlement.changed":
            by_contact[one["data"]["of"]].append(one["data"]["number"])
    assert len(by_contact) == CONTACTS
    assert all(numbers == list(range(EVENTS)) for numbers in by_contact.values())
    updated = [one["data"]["changed"]["name"] for one in told if one["type"] == "contact.updated"]
    assert sorted(updated) == [f"C {number}" for number in range(CONTACTS)]
    with engine.connect() as db:
        left = db.scalar(text("select count(*) from tidegate.deliveries where state <> 'delivered'"))
        events = db.scalar(text("select count(*) from tidegate.deliveries where state = 'delivered'"))
        sent = db.scalar(text("select count(*) from tidegate.destination_contacts where number = 1"))
    assert (left, events, sent) == (0, CONTACTS * EVENTS, CONTACTS)


def finish(hub: Hub) -> None:
    """What another worker does once the claims of the killed one have ended."""
    for _ in range(5):
        with hub.engine.begin() as db:
            db.execute(text(LEASES_END))
        if not deliver(hub.engine, hub.destination).delivered:
            return


@pytest.mark.timeout(400)
@pytest.mark.parametrize("number", [12, pytest.param(80, marks=pytest.mark.wide)])
def test_killed_at_any_step_everything_comes_and_nothing_twice(ready: Ready, run: killing.Run, number: int) -> None:
    with copied(ready.server_url, ready.database) as url:
        ready.receiver.received.clear()
        steps = run("deliver", database_url=url, secret_key=KEY).steps
        assert steps > 2 * CONTACTS * EVENTS, "each request is two steps"
        with opened(url, KEY) as hub:
            hold(ready.receiver, hub.engine)
    for place in killing.points(steps, number, seed=number):
        with copied(ready.server_url, ready.database) as url:
            ready.receiver.received.clear()
            run("deliver", place, database_url=url, secret_key=KEY)
            with opened(url, KEY) as hub:
                finish(hub)
                hold(ready.receiver, hub.engine)


@pytest.mark.timeout(200)
def test_killed_again_and_again_it_comes_to_its_end(ready: Ready, run: killing.Run) -> None:
    chance = random.Random(7)
    ready.receiver.received.clear()
    with copied(ready.server_url, ready.database) as url:
        for _ in range(8):
            run("deliver", chance.randint(5, 60), database_url=url, secret_key=KEY)
            with opened(url, KEY) as hub, hub.engine.begin() as db:
                db.execute(text(LEASES_END))
        with opened(url, KEY) as hub:
            finish(hub)
            hold(ready.receiver, hub.engine)
