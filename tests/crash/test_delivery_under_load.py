"""Workers that are killed at random under load lose nothing that was to be told, and nothing comes twice by its id.

The short form is part of every run; the soak kills for ten minutes.
"""

import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import httpx
import pytest
from sqlalchemy import text
from tests.support.importing import connected, imported
from tests.support.live import Live
from tests.support.post import SECRET
from tests.support.receiver import Received, Receiver, Reply, receiving
from tests.support.serving import serving
from tests.support.told import Told as Routed
from tests.support.waiting import until
from tests.support.working import worker

from tidegate.api.app import create_app
from tidegate.contacts import directory
from tidegate.contacts.directory import Making
from tidegate.delivery.outbox import Told, tell
from tidegate.wiring import Hub
from tidegate.workflows.doorbell import Doorbell
from tidegate.workflows.refresh import refresh_changed

if TYPE_CHECKING:
    from tidegate.sandbox.server import Sandbox

HOURS_6 = 21_600
ACCOUNTS = 30
HOOK = "whsec_load"
LEASES_END = "update tidegate.deliveries set next_try_at = now() where state = 'waiting'"
ALL_IS_TOLD = """
select (select count(*) from tidegate.inbox where state in ('waiting', 'parked'))
  + (select count(*) from tidegate.changed_customers) + (select count(*) from tidegate.lifecycle_due)
  + (select count(*) from tidegate.deliveries where state = 'waiting')"""
BILLED = "select id from tidegate.billing_events where told order by id"
BILLED_AS_TOLD = """
select data ->> 'id' as id from tidegate.outbox where type = 'billing_event.recorded' and not history order by 1"""


@pytest.fixture
def database_url(fresh_database_url: str) -> str:
    """A database of its own: the workers take every job there is."""
    return fresh_database_url


class Load:
    """A company that lives on, and a product that tells of its accounts: what was to come, by contact."""

    def __init__(self, live: Live, chance: random.Random) -> None:
        self.live, self.chance = live, chance
        with live.hub.engine.begin() as db:
            self.contacts = [directory.make(db, False, Making("account", f"c{n}")) for n in range(ACCOUNTS)]
        self.told: dict[int, int] = defaultdict(int)
        self.taken_back = 0

    def tell(self) -> None:
        """Tells of ten accounts, each with a change of it, in one transaction; every fifth is taken back."""
        some = self.chance.sample(self.contacts, 10)
        with self.live.hub.engine.connect() as db, db.begin() as doing:
            for contact in some:
                number = self.told[contact]
                tell(db, [Told("entitlement.changed", {"number": number, "of": contact}, contact)])
                db.execute(
                    text("update tidegate.contacts set name = :name where key = :key"),
                    {"name": f"{contact} at {number}", "key": contact},
                )
            if self.chance.random() < 0.2:
                doing.rollback()
                self.taken_back += 1
                return
        for contact in some:
            self.told[contact] += 1

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Both live until the block ends."""
        over = threading.Event()
        troubles: list[BaseException] = []

        def live() -> None:
            rounds = 0
            try:
                while not over.wait(0.05):
                    self.tell()
                    rounds += 1
                    if rounds % 20 == 0:
                        self.live.sandbox.advance(HOURS_6)
                    Doorbell(self.live.hub.engine).ring("deliver", connection="acme")
            except BaseException as trouble:
                troubles.append(trouble)

        thread = threading.Thread(target=live)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
        assert not troubles, troubles


def unsteady(chance: random.Random) -> Callable[[Received], Reply]:
    """A receiver as receivers are: most is taken, some after a while; some is refused for now, or the line is cut after
    it was read.
    """

    def answer(_: Received) -> Reply:
        what = chance.random()
        if what < 0.05:
            return Reply(status=503)
        return Reply(hang_up=what < 0.1, delay=0.05 if what < 0.2 else 0.0)

    return answer


def end_leases(hub: Hub) -> None:
    """As if two minutes had gone by: nobody is alive who holds one."""
    with hub.engine.begin() as db:
        db.execute(text(LEASES_END))


def kill_at_random(hub: Hub, chance: random.Random, seconds: float) -> int:
    """Two workers at a time, each killed within seconds; returns how many were."""
    killed, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        with ExitStack() as alive:
            workers = [alive.enter_context(worker(hub)) for _ in range(2)]
            for one in workers:
                time.sleep(chance.uniform(0.5, 6))
                one.kill()
                killed += 1
        end_leases(hub)
    return killed


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("seconds", [8, pytest.param(600, marks=pytest.mark.soak)])
def test_workers_killed_at_random_lose_nothing_and_double_nothing(
    hub: Hub, make_sandbox: Callable[..., "Sandbox"], seconds: int
) -> None:
    chance = random.Random(seconds)
    with ExitStack() as around:
        receiver = around.enter_context(receiving())
        sandbox = make_sandbox(customers=30, months=2)
        live = Live(hub, sandbox, account=connected(hub, sandbox, webhook_secrets=(HOOK,)))
        live.run(
            "insert into tidegate.contact_settings (connection, settings) values (:c, cast(:s as jsonb))",
            c=live.name, s='{"create_missing": true}',
        )  # fmt: skip
        imported(hub, live.account)
        refresh_changed(hub.engine, live.account)
        url = around.enter_context(serving(create_app(hub)))
        hook = {"url": f"{url}/api/webhooks/stripe/acme", "secret": HOOK}
        assert httpx.post(f"{live.sandbox.url}/__webhooks", json=hook).status_code == 200
        Routed(hub, receiver).destination("app", events=("*",), properties=("name",))
        receiver.answer = unsteady(chance)
        load = Load(live, chance)
        with load.going_on():
            killed = kill_at_random(hub, chance, seconds)
        receiver.answer = lambda _: Reply()
        end_leases(hub)
        with worker(hub), worker(hub):
            Doorbell(hub.engine).ring("deliver", connection="acme")
            until(lambda: not live.one(ALL_IS_TOLD), "everything is told", seconds=120)
    assert killed >= seconds / 8
    hold(live, load, receiver)


def hold(live: Live, load: Load, receiver: Receiver) -> None:
    """Whatever was committed has come, in order and once by its id; whatever was taken back has not."""
    events = receiver.events(SECRET)
    assert load.taken_back
    numbers: dict[int, list[int]] = defaultdict(list)
    for one in events:
        if one["type"] == "entitlement.changed" and "number" in one["data"]:
            numbers[one["data"]["of"]].append(one["data"]["number"])
    assert {contact: len(found) for contact, found in numbers.items()} == dict(load.told)
    assert all(found == list(range(len(found))) for found in numbers.values())

    rows = live.rows("select d.outbox, o.type from tidegate.deliveries d join tidegate.outbox o on o.id = d.outbox")
    assert live.one("select count(*) from tidegate.deliveries where state <> 'delivered'") == 0
    assert Counter(one["type"] for one in events if one["type"] != "contact.updated") == Counter(
        row.type for row in rows
    )
    billed = [row.id for row in live.rows(BILLED)]
    assert billed
    assert [row.id for row in live.rows(BILLED_AS_TOLD)] == billed
    named = live.rows("select kind || ':' || external_id as ref, name from tidegate.contacts where name like '% at %'")
    last = {
        one["data"]["contact"]: one["data"]["changed"]["name"]
        for one in events
        if one["type"] == "contact.updated" and "name" in one["data"]["changed"]
    }
    assert len(named) == len(load.told)
    assert {row.ref: last.get(row.ref) for row in named} == {row.ref: row.name for row in named}
