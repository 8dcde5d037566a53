"""What is logged has ids, and names nobody: whatever is done, and whatever goes wrong."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from httpx import Client
from tests.support.builders import customer, event
from tests.support.importing import connected, imported
from tests.support.live import Live
from tests.support.serving import serving
from tests.support.warehouse import ACCOUNTS, Warehouse

from tidegate.api.app import create_app
from tidegate.cli import log
from tidegate.cli.log import Line
from tidegate.cli.worker import task_context
from tidegate.security import tokens
from tidegate.web.app import create_pages
from tidegate.web.site import beside
from tidegate.wiring import Hub
from tidegate.workflows import tasks
from tidegate.workflows.operation import users
from tidegate.workflows.refresh import refresh_changed

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidegate.sandbox.server import Sandbox

HOOK = "whsec_geheim0123456789"
PASSWORD = "correct horse battery staple"
PERSON = {"id": "cus_grace", "email": "grace.hopper@navy.example", "name": "Grace Brewster Hopper"}
ADMIN = "ada.lovelace@acme.example"
OURS = ("tidegate", "procrastinate", "sqlalchemy", "psycopg", "uvicorn", "urllib3", "stripe")
"""Whose lines the product's log has; those of the test's own client are not of it."""


class Kept(logging.Handler):
    """Every line as the product writes it."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(Line("%(levelname)s %(name)s %(message)s"))
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.split(".")[0] in OURS:
            self.lines.append(self.format(record))

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


@contextmanager
def logged() -> "Iterator[Kept]":
    """What is logged at any level."""
    kept, root = Kept(), logging.getLogger()
    before = root.level
    levels = {name: logging.getLogger(name).level for name in log.OTHERS}
    log.quiet(logging.DEBUG)
    root.addHandler(kept)
    root.setLevel(logging.DEBUG)
    try:
        yield kept
    finally:
        root.removeHandler(kept)
        root.setLevel(before)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


class World:
    """A hub with its site, a company at Stripe, and what no line may tell."""

    def __init__(self, hub: Hub, sandbox: "Sandbox", client: Client) -> None:
        self.hub, self.sandbox, self.client = hub, sandbox, client
        self.live = Live(hub, sandbox, account=connected(hub, sandbox, webhook_secrets=(HOOK,), write_key=sandbox.key))
        self.context = task_context(hub)
        self.secrets = {HOOK, PASSWORD, sandbox.key, hub.settings.secret_key.get_secret_value(), ADMIN}
        self.secrets |= {PERSON["email"], PERSON["name"]}

    def work(self, *names: str) -> None:
        for name in names:
            tasks.TASKS[name](self.context, connection="acme")

    def webhook(self, body: dict[str, Any], *, secret: str = HOOK) -> int:
        from tests.integration.test_webhook_endpoint import signed

        raw = json.dumps(body).encode()
        headers = {"Stripe-Signature": signed(raw, secret)}
        return self.client.post("/api/webhooks/stripe/acme", content=raw, headers=headers).status_code

    def told_of(self) -> set[str]:
        """What must stay unsaid: besides secrets the names and addresses of all customers."""
        rows = self.live.rows("select data ->> 'email' as email, data ->> 'name' as name from stripe.customers")
        return self.secrets | {said for row in rows for said in (row.email, row.name) if said and len(said) > 5}


@pytest.fixture
def world(fresh_database_url: str, tmp_path: Path, make_sandbox: "Callable[..., Sandbox]") -> Iterator[World]:
    from cryptography.fernet import Fernet

    from tidegate.settings import Settings
    from tidegate.store.engine import open_engine

    engine = open_engine(fresh_database_url)
    secret = Fernet.generate_key().decode()
    config = Settings(home=tmp_path, database_url=fresh_database_url, secret_key=secret)  # pyright: ignore[reportArgumentType]
    hub = Hub(config, engine)
    try:
        with (
            serving(beside(create_app(hub), create_pages(hub, "127.0.0.1"))) as url,
            Client(base_url=url, headers={"Sec-Fetch-Site": "same-origin"}, timeout=60) as client,
        ):
            yield World(hub, make_sandbox(customers=5, months=1), client)
    finally:
        hub.close()
        engine.dispose()


def test_no_line_has_a_name_an_address_a_key_or_a_token(world: World, tmp_path: Path) -> None:
    live, client, hub = world.live, world.client, world.hub
    with logged() as kept:
        live.run("""insert into tidegate.contact_settings (connection, settings)
          values ('acme', '{"create_missing": true}')""")
        imported(hub, live.account)
        _webhooks(world)
        refresh_changed(hub.engine, live.account)
        _signing_in(world)
        _syncing(world, tmp_path)
        with hub.engine.begin() as db:
            _, token = tokens.create(db, "product", ["admin"])
        world.secrets.add(token)
        headers = {"Authorization": f"Bearer {token}"}
        path = f"/api/contacts/{PERSON['email']}"
        made = {
            "id": PERSON["email"],
            "name": PERSON["name"],
            "emails": [PERSON["email"]],
            "billing_ids": ["cus_grace"],
        }
        assert client.post("/api/contacts", json=made, headers=headers).status_code == 201
        client.get(f"{path}/entitlements/none", headers=headers)
        client.post(f"{path}/notes", json={"text": "Called Grace Brewster Hopper"}, headers=headers)
        told = world.told_of()
        seen = client.post(f"{path}/forget?preview=true", headers=headers).json()
        gone = client.post(f"{path}/forget?token={seen['token']}", headers=headers)
        assert gone.status_code == 200, gone.text
        _failing(world, headers)
        world.work("drain", "refetch", "refresh", "catch_up")
    lines = kept.lines
    assert any("acme" in line for line in lines), "lines have ids"
    assert any("inbox_batch_failed connection=acme" in line for line in lines), kept.text[-2000:]
    wrong = {said: line for said in told for line in lines if said.casefold() in line.casefold()}
    assert wrong == {}


def _webhooks(world: World) -> None:
    """One that is taken, and those that are refused."""
    now = world.live.now
    taken = event("customer.created", customer(created=now, **PERSON), now)
    assert world.webhook(taken) == 200
    assert world.webhook(taken, secret="whsec_other") == 400
    assert world.webhook({**taken, "livemode": True}) >= 400
    assert world.webhook({"email": PERSON["email"]}) >= 400
    world.work("drain", "refetch", "refresh")


def _signing_in(world: World) -> None:
    engine, client = world.hub.engine, world.client
    _, secret = users.invite(engine, ADMIN, "Ada Lovelace", "admin", "cli:test")
    users.set_password(engine, secret, PASSWORD)
    world.secrets |= {secret, "wrong horse battery"}
    assert client.post("/login", data={"email": ADMIN, "password": "wrong horse battery"}).status_code == 401
    answer = client.post("/login", data={"email": ADMIN, "password": PASSWORD})
    cookie = answer.headers["set-cookie"].partition(";")[0]
    world.secrets.add(cookie.partition("=")[2])
    assert client.get(f"/contacts?search={PERSON['email']}", headers={"Cookie": cookie}).status_code == 200


def _syncing(world: World, folder: Path) -> None:
    """A run with a row that Stripe refuses."""
    warehouse = Warehouse(world.hub, world.live.account, folder)
    warehouse.write(ACCOUNTS)
    warehouse.write("update accounts set email = 'no address' where id = 3")
    warehouse.define()
    world.secrets |= {"pat@new.example", "uni@new.example"}
    assert warehouse.run(plan=warehouse.plan()["plan"])["state"] == "incomplete"


def _failing(world: World, headers: dict[str, str]) -> None:
    """The database refuses a row, and says what is in it."""
    live = world.live
    live.run("alter table stripe.customers add constraint no_more check (created < '2000-01-01') not valid")
    other = {"id": "cus_alan", "email": "alan.turing@bletchley.example", "name": "Alan Mathison Turing"}
    world.secrets |= {other["email"], other["name"]}
    assert world.webhook(event("customer.created", customer(created=live.now, **other), live.now)) == 200
    world.work("drain")
    live.run("alter table tidegate.contact_notes add constraint no_more check (text = '') not valid")
    path = f"/api/contacts/{live.one('select min(external_id) from tidegate.contacts')}/notes"
    said = {"text": "What Grace Brewster Hopper said"}
    assert world.client.post(path, json=said, headers=headers).status_code == 503
    live.run("alter table tidegate.contact_notes drop constraint no_more")
    live.run("alter table stripe.customers drop constraint no_more")
