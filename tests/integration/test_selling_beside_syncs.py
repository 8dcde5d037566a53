"""A sale and a sync of one connection: of a customer one request is under way at a time, whoever's process dies."""

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text
from tests.support.killed_syncs import MARK, Warehouse, send, url_of
from tests.support.selling import Till, opened
from tests.support.waiting import until

from tidegate.errors import CustomerBusy
from tidegate.outbound.push import turns
from tidegate.outbound.push.turns import Turns
from tidegate.workflows.outbound import run_sync
from tidegate.workflows.outbound.run_sync import Wanted

pytestmark = pytest.mark.further

SENT: dict[str, Any] = {"interval": "month", "collection_method": "send_invoice", "days_until_due": 14}
WHO = ("held", "free")


@pytest.fixture(scope="module")
def shop(database_url: str, secret_key: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Till]:
    with opened(database_url, secret_key, tmp_path_factory.mktemp("till")) as found:
        yield found


@pytest.fixture(scope="module")
def customers(shop: Till) -> dict[str, str]:
    """Two customers that a sync knows and a contact has, by name."""
    for name in WHO:
        shop.contact(name)
    return {name: shop.customer(name, card=None, metadata={"workspace_id": name, MARK: name}) for name in WHO}


@pytest.fixture(scope="module")
def warehouse(shop: Till, customers: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """Rows of both customers, as they were sent."""
    folder: Path = tmp_path_factory.mktemp("warehouse")
    made = Warehouse(shop.hub, shop.sandbox, shop.account, folder / "warehouse.duckdb")
    values = ", ".join(f"('{name}', '{name}', 'Ada')" for name in customers)
    made.write(f"create table people as select * from (values {values}) t(id, mark, name)")
    made.define("people", "people", "customers", {"name": "name"})
    made.first("people")
    return made


def say(warehouse: Warehouse, name: str) -> None:
    warehouse.write(f"update people set name = '{name}'")


def named(shop: Till, customer: str) -> str:
    return next(one["name"] for one in shop.all("customers") if one["id"] == customer)


def stoppable(shop: Till, stop: threading.Event) -> dict[str, Any]:
    wanted = Wanted(despite_stops=True)
    return run_sync.run(shop.hub.engine, "people", url_of, shop.hub.stripe_writing, wanted, stop=stop)


@contextmanager
def beside(work: Callable[[], Any]) -> Generator[list[Any]]:
    """Does something on a thread of its own; what came of it stands in the list once the block has ended."""
    came: list[Any] = []
    thread = threading.Thread(target=lambda: came.append(work()))
    thread.start()
    try:
        yield came
    finally:
        thread.join(60)
    assert not thread.is_alive()


def is_free(db: Connection, shop: Till, customer: str) -> bool:
    """Whether nobody has the customer's turn."""
    with Turns(db, shop.account.name).of(customer, lambda: True) as mine:
        return mine


def test_a_sync_goes_on_with_others_until_a_sale_or_its_process_has_ended(
    shop: Till, warehouse: Warehouse, customers: dict[str, str]
) -> None:
    say(warehouse, "Grace")
    with shop.hub.engine.connect() as sale, shop.hub.engine.connect() as db:
        session = sale.scalar(text("select pg_backend_pid()"))
        with turns.waited(sale, shop.account.name, customers["held"]):
            with beside(lambda: send(shop.hub, "people")) as came:
                until(lambda: named(shop, customers["free"]) == "Grace", "the other customer is written")
                assert (named(shop, customers["held"]), came) == ("Ada", [])
                db.execute(text("select pg_terminate_backend(:pid)"), {"pid": session})  # as a killed process's is
            [done] = came
    assert (done["state"], done["sent"]) == ("done", {"update": 2})
    assert named(shop, customers["held"]) == "Grace"


def test_a_sync_that_is_stopped_waits_no_longer(shop: Till, warehouse: Warehouse, customers: dict[str, str]) -> None:
    say(warehouse, "Mary")
    stop = threading.Event()
    with (
        shop.hub.engine.connect() as sale,
        turns.waited(sale, shop.account.name, customers["held"]),
        beside(lambda: stoppable(shop, stop)) as came,
    ):
        until(lambda: named(shop, customers["free"]) == "Mary", "the other customer is written")
        stop.set()
    assert (came[0]["state"], named(shop, customers["held"]), warehouse.open()) == ("interrupted", "Grace", 0)
    assert send(shop.hub, "people")["sent"] == {"update": 1}


def test_a_sale_waits_for_a_syncs_request_and_sends_nothing_when_that_lasts(
    shop: Till, warehouse: Warehouse, customers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def sell() -> Any:
        return shop.do("subscribe", "pro", "held", **SENT)

    with shop.hub.engine.connect() as db, Turns(db, shop.account.name).of(customers["held"], lambda: False) as mine:
        assert mine
        with monkeypatch.context() as short:
            short.setattr(turns, "WAIT_SECONDS", 0.2)
            with pytest.raises(CustomerBusy, match=f"writes to {customers['held']} just now"):
                sell()
        assert (shop.sold("held"), shop.requests("held"), warehouse.open()) == ([], [], 0)
    assert sell()["state"] == "done"


def test_each_holds_the_turn_while_its_request_is_under_way(
    shop: Till, warehouse: Warehouse, customers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, bool]] = []
    server = shop.sandbox.server
    assert server is not None
    with shop.hub.engine.connect() as db:

        def draw(path: str = "") -> None:
            seen.append((path, is_free(db, shop, customers["free"])))

        say(warehouse, "Joan")
        monkeypatch.setattr(server.faults, "draw", draw)
        send(shop.hub, "people")
        assert (f"/v1/customers/{customers['free']}", False) in seen
        shop.do("subscribe", "basic", "free", **SENT)
        assert ("/v1/subscriptions", False) in seen
        assert is_free(db, shop, customers["free"])


@pytest.fixture
def meanwhile(shop: Till) -> Iterator[Callable[[Callable[[], None]], None]]:
    """Does something once, while the next request about customers is under way."""
    server = shop.sandbox.server
    assert server is not None
    left: list[Callable[[], None]] = []

    def draw(path: str = "") -> None:
        if path == "/v1/customers" and left:
            left.pop()()

    server.faults.draw = draw
    yield left.append
    del server.faults.draw


MATCHES: dict[str, dict[str, Any]] = {"email": {"email": "email"}, "metadata": {"metadata": {"workspace_id": "mark"}}}


@pytest.fixture(params=MATCHES)
def both(
    request: pytest.FixtureRequest, shop: Till, warehouse: Warehouse
) -> tuple[str, Callable[[], Any], Callable[[], Any]]:
    """A contact that is nobody in Stripe yet, a sale to it, and a run of a sync with a row that is the same person, by
    what rows are matched by.
    """
    way, who = str(request.param), f"{request.node.originalname.split('_')[1]}-{request.param}"  # pyright: ignore[reportUnknownMemberType]
    said = {"email": f"Ada@{who}.example"} if way == "email" else {"email": None}
    shop.contact(who, **said)
    table = who.replace("-", "_")
    row = f"select 1 as id, '{who}' as mark, 'Ada' as name, 'ada@{who}.example' as email"
    warehouse.write(f"create table {table} as {row}")
    fields = {"name": "name"} | ({"email": "email"} if way == "email" else {})
    warehouse.define(table, table, "customers", fields, match=MATCHES[way])
    warehouse.approve(table)
    return who, lambda: shop.do("subscribe", "pro", who, **SENT), lambda: send(shop.hub, table)


def people(shop: Till, who: str) -> list[str]:
    """The customers in Stripe that are this person."""
    return [
        one["id"]
        for one in shop.all("customers")
        if who in one["metadata"].values() or (one["email"] or "").lower() == f"ada@{who}.example"
    ]


def waits(shop: Till) -> bool:
    """Whether somebody waits for a turn."""
    with shop.hub.engine.connect() as db:
        return bool(db.scalar(text("select exists (select from pg_locks where locktype = 'advisory' and not granted)")))


def test_selling_to_whom_a_sync_makes_at_the_same_time_makes_one_customer(
    shop: Till, warehouse: Warehouse, both: tuple[str, Callable[[], Any], Callable[[], Any]], meanwhile: Any
) -> None:
    who, sell, run = both
    sold: list[Any] = []
    thread = threading.Thread(target=lambda: sold.append(sell()))

    def sale() -> None:
        thread.start()
        until(lambda: waits(shop), "the sale waits for the sync's customer")

    meanwhile(sale)
    assert run()["sent"] == {"create": 1}
    thread.join(60)
    [customer] = people(shop, who)
    assert [one["state"] for one in sold] == ["done"]
    assert [one["customer"] for one in shop.all("subscriptions") if one["customer"] == customer] == [customer]


def test_syncing_whom_a_sale_makes_at_the_same_time_makes_one_customer(
    shop: Till, warehouse: Warehouse, both: tuple[str, Callable[[], Any], Callable[[], Any]], meanwhile: Any
) -> None:
    who, sell, run = both
    ran: list[Any] = []
    thread = threading.Thread(target=lambda: ran.append(run()))

    def sync() -> None:
        before = warehouse.open()
        thread.start()
        until(lambda: warehouse.open() > before, "the sync is about to make the customer")

    meanwhile(sync)
    assert sell()["state"] == "done"
    thread.join(60)
    [customer] = people(shop, who)
    assert (ran[0]["sent"], ran[0]["failed"]) == ({}, 1)
    table = who.replace("-", "_")
    assert warehouse.remembered(table)["1"] == ("failed", None)
    assert "was made since the plan" in warehouse.refused()[-1][2]
    assert (run()["failed"], warehouse.remembered(table)["1"]) == (0, ("sent", customer))
    assert people(shop, who) == [customer]
