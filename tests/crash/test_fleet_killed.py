"""Two web processes and three workers on one PostgreSQL, any of them killed at any time: users notice nothing but a
retry.

The short form is part of every run; the soak kills for ten minutes.
"""

import hashlib
import hmac
import json
import random
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from httpx import Client, Response
from tests.support.fleet import Asking, Fleet, all_at_once
from tests.support.hubs import unlike_stripe
from tests.support.importing import connected, imported
from tests.support.killed_syncs import MARK, Warehouse
from tests.support.live import Live
from tests.support.waiting import until

from tidegate.catalog import features
from tidegate.connections import runs
from tidegate.contacts import policy
from tidegate.mirror.event_list import read_events
from tidegate.security import tokens
from tidegate.wiring import Hub
from tidegate.workflows.operation import users
from tidegate.workflows.refresh import refresh_changed

if TYPE_CHECKING:
    from tidegate.sandbox.server import Sandbox

HOOK = "whsec_fleet"
PASSWORD = "correct horse battery staple"
HOURS_6 = 21_600
ROWS = 40
SYNC = "people"
PAGES = ("/", "/contacts", "/revenue", "/alerts", "/status", "/mirror", "/syncs", "/contacts?q=ada")
READS = ("/api/contacts?limit=5", "/api/revenue/mrr", "/api/syncs", "/api/integrations/stripe/status", "/api/features")
LEASES_END = "update tidegate.refetches set next_try_at = now() where next_try_at < 'infinity'"
CLOCK = """
insert into procrastinate_jobs (queue_name, task_name, queueing_lock, args)
select 'prompt', task, task, jsonb_build_object('timestamp', cast(extract(epoch from now()) as bigint))
from unnest(array['tick', 'keep_lifecycle']) task
where not exists (select from procrastinate_jobs j where j.task_name = task and j.status in ('todo', 'doing'))
on conflict do nothing"""
LEFT = {
    "events": "select count(*) from tidegate.inbox where state in ('waiting', 'parked')",
    "customers": "select count(*) from tidegate.changed_customers",
    "contacts": "select count(*) from tidegate.lifecycle_due",
    "objects": "select count(*) from tidegate.refetches where next_try_at < 'infinity'",
    "runs": f"select count(*) from ({runs.AS_IT_STANDS}) r where state = 'running'",
    "syncs": "select count(*) from tidegate.syncs where due_at is not null",
}
"""What is to be done, by what."""


class Company:
    """A company, the people who look at it, product code that writes, and Stripe that tells what happens."""

    def __init__(self, live: Live, fleet: Fleet, warehouse: Warehouse, seed: int) -> None:
        self.live, self.fleet, self.warehouse = live, fleet, warehouse
        self.chance = random.Random(seed)
        self.all_asking: list[Asking] = []
        with live.hub.engine.begin() as db:
            _, token = tokens.create(db, "product", ["admin", "entitlements"])
            features.define(db, "calls", "metered", unit="call")
            features.define(db, "sso", "boolean")
        bearer = {"Authorization": f"Bearer {token}"}
        self.reader, self.writer, self.counter = (self.asking(bearer) for _ in range(3))
        self.stripe = self.asking({})
        self.visitor = self.stripe  # until somebody is signed in
        self.contacts = 0
        self.units = 0
        self.sent: set[str] = set()
        self.told_until = datetime.fromtimestamp(live.now, UTC)

    @contextmanager
    def open(self) -> Generator[None]:
        """Closes what asks at the end."""
        try:
            yield
        finally:
            for one in self.all_asking:
                one.close()

    def asking(self, headers: dict[str, str]) -> Asking:
        self.all_asking.append(Asking(self.fleet, headers, random.Random(self.chance.random())))
        return self.all_asking[-1]

    def sign_in(self) -> None:
        """At one web process, for both."""
        _, secret = users.invite(self.live.hub.engine, "ada@acme.example", "Ada", "admin", "cli:test")
        users.set_password(self.live.hub.engine, secret, PASSWORD)
        with Client(base_url=self.fleet.urls[0], headers={"Sec-Fetch-Site": "same-origin"}, timeout=20) as client:
            answer = client.post("/login", data={"email": "ada@acme.example", "password": PASSWORD})
        assert answer.status_code == 303, answer.text
        self.visitor = self.asking({"Cookie": answer.headers["set-cookie"].partition(";")[0]})

    def write(self, path: str, body: dict[str, Any], asking: Asking, key: str) -> Response | None:
        answer = asking("POST", path, json=body, headers={"Idempotency-Key": key})
        assert answer is None or answer.is_success, f"{path}: {answer.status_code} {answer.text}"
        return answer

    def look(self) -> None:
        """Somebody who is signed in looks at a page; the session is known to both web processes."""
        answer = self.visitor("GET", self.chance.choice(PAGES))
        assert answer is not None
        assert answer.status_code == 200, f"{answer.url}: {answer.status_code} {answer.headers.get('location')}"
        assert "ada@acme.example" in answer.text or "Ada" in answer.text, f"{answer.url} is not of who is signed in"

    def read(self) -> None:
        """Product code reads."""
        answer = self.reader("GET", self.chance.choice(READS))
        assert answer is not None
        assert answer.status_code == 200, answer.text

    def add(self) -> None:
        """Product code makes a contact with a note and something given, and reads what it wrote."""
        n = self.contacts
        self.write("/api/contacts", {"id": f"w{n}", "kind": "account", "name": f"Writer {n}"}, self.writer, f"c{n}")
        self.contacts += 1
        self.write(f"/api/contacts/w{n}/notes", {"text": f"note of {n}"}, self.writer, f"n{n}")
        self.write(f"/api/contacts/w{n}/overrides", {"feature": "sso", "terms": True}, self.writer, f"o{n}")
        seen = self.writer("GET", f"/api/contacts/w{n}/entitlements/sso")
        assert seen is not None
        assert seen.json()["granted"], f"what was given to w{n} is lost: {seen.text}"

    def consume(self) -> None:
        """Product code counts what is used; the key is the header's alone."""
        path = "/api/contacts/heavy/entitlements/calls/consume"
        answer = self.write(path, {"amount": 3}, self.counter, f"u{self.units}")
        assert answer is not None, "usage is counted in its own transaction: it is never in doubt"
        assert answer.json()["allowed"], answer.text
        self.units += 3

    def live_on(self) -> None:
        """Some hours pass at Stripe, which tells what happened, and again until it is answered."""
        self.live.sandbox.advance(HOURS_6)
        with self.live.hub.stripe(self.live.account) as api:
            events = [one for page in read_events(api, self.told_until) for one in page.events]
        for event, body in reversed(events):
            if event.id in self.sent:
                continue
            stamp = int(time.time())
            digest = hmac.new(HOOK.encode(), f"{stamp}.{body}".encode(), hashlib.sha256).hexdigest()
            signed = {"Stripe-Signature": f"t={stamp},v1={digest}", "Content-Type": "application/json"}
            answer = self.stripe("POST", "/api/webhooks/stripe/acme", content=body.encode(), headers=signed)
            assert answer is not None
            assert answer.status_code == 200, answer.text
            self.sent.add(event.id)
        self.told_until = datetime.fromtimestamp(self.live.now, UTC)

    def ask_for_work(self) -> None:
        """A sync, and an import of everything, each by a worker."""
        self.write(f"/api/syncs/{SYNC}/run", {}, self.writer, "sync")
        self.write("/api/integrations/stripe/sync", {"full": True}, self.writer, "import")


@pytest.mark.further
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("seconds", [8, pytest.param(600, marks=pytest.mark.soak)])
def test_users_notice_nothing_but_a_retry(
    hub: Hub, make_sandbox: Callable[..., "Sandbox"], tmp_path: Path, seconds: int
) -> None:
    sandbox = make_sandbox(customers=20, months=1)
    account = connected(hub, sandbox, webhook_secrets=(HOOK,), write_key=sandbox.key)
    with hub.engine.begin() as db:
        policy.store(db, "acme", policy.checked({"create_missing": True}))
    imported(hub, account)
    refresh_changed(hub.engine, account)
    warehouse = Warehouse(hub, sandbox, account, tmp_path / "warehouse.duckdb")
    columns = "n as id, 'row-' || n as mark, 'Ada' as name"
    warehouse.write(f"create table people as select {columns} from range({ROWS}) t(n)")
    warehouse.define(SYNC, "people", "customers", {"name": "name"})
    warehouse.approve(SYNC)

    fleet = Fleet(hub)
    live = Live(hub, sandbox, account=account)
    company = Company(live, fleet, warehouse, seconds)
    with fleet.running(), company.open():
        company.sign_in()
        heavy = {"id": "heavy", "kind": "account"}
        company.write("/api/contacts", heavy, company.counter, "heavy")
        given = {"feature": "calls", "terms": {"unlimited": True}}
        company.write("/api/contacts/heavy/overrides", given, company.counter, "given")
        company.ask_for_work()
        works = (company.look, company.read, company.add, company.consume, company.live_on)
        with all_at_once(*works):
            fleet.kill_at_random(random.Random(seconds), seconds)
        fleet.all_serve()
        live.catch_up()
        try:
            until(lambda: left(live) == {}, "everything is done", seconds=150, pause=0.2)
        except AssertionError as error:
            raise AssertionError(f"left to be done: {left(live)}") from error
    hold(company, seconds)


def left(live: Live) -> dict[str, Any]:
    """What is still to be done. A killed worker holds what it was fetching for two minutes, and the clock looks once a
    minute at what is due: neither is waited for.
    """
    live.run(LEASES_END)
    live.run(CLOCK)
    found = {what: count for what, query in LEFT.items() if (count := live.one(query))}
    jobs = live.rows("""
select task_name, status, attempts, scheduled_at from procrastinate_jobs
where status in ('todo', 'doing') and args ? 'connection'""")
    return found | ({"jobs": [tuple(row.values()) for row in jobs]} if jobs else {})


def hold(company: Company, seconds: int) -> None:
    """Everything was done, and once."""
    live, killed = company.live, company.fleet.killed
    assert killed["web"] >= seconds / 12, killed
    assert killed["worker"] >= seconds / 12, killed
    assert all(one.asked for one in company.all_asking), "everybody asked"
    assert any(one.retried for one in company.all_asking), "somebody had to ask again"

    contacts = {f"w{n}": 1 for n in range(company.contacts)}
    for what in ("contact_notes", "overrides"):
        written = live.rows(f"""
select c.external_id as id, count(w.contact) as n from tidegate.contacts c
left join tidegate.{what} w on w.contact = c.key where c.external_id ~ '^w[0-9]+$' group by 1""")
        assert {row.id: row.n for row in written} == contacts, f"{what}: each once, of contacts that were made once"
    assert live.one("select coalesce(sum(used), 0)::bigint from tidegate.usage") == company.units

    events = live.rows("select event_id, state, attempts from tidegate.inbox")
    assert company.sent
    assert company.sent <= {row.event_id for row in events}
    assert {row.state for row in events} <= {"handled", "skipped"}
    assert unlike_stripe(live.hub) == {}
    assert live.one("select count(*) from tidegate.unreadable") == 0

    objects = company.warehouse.objects("customers", "row-")
    assert sorted(one["metadata"][MARK] for one in objects) == sorted(f"row-{n}" for n in range(ROWS))
    assert company.warehouse.open() == 0
    states = live.rows(f"""
select kind, state, error from ({runs.AS_IT_STANDS}) r where state not in ('done', 'interrupted')""")
    assert states == [], json.dumps([dict(row) for row in states])
