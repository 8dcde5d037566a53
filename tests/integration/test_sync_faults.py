"""Syncs while something goes wrong: nothing is made twice, nothing is lost, and no row fails for what passes."""

from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import stripe
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from tests.support.importing import connected, imported
from tests.support.killed_syncs import MARK, Warehouse, url_of

from tidegate.connections import runs
from tidegate.connections.accounts import Account
from tidegate.errors import (
    StripeKeyInvalid,
    StripeRateLimited,
    StripeUnreachable,
    SyncRunning,
    SyncStopped,
    SyncTakenOver,
    TidegateError,
)
from tidegate.sandbox import Sandbox
from tidegate.sandbox.answers import Refusal
from tidegate.sandbox.keys import Key
from tidegate.stripe_api.calls import Patience
from tidegate.stripe_api.client import StripeApi
from tidegate.stripe_api.limits import LocalBudget
from tidegate.wiring import Hub
from tidegate.workflows.outbound import run_sync, sync_sending
from tidegate.workflows.outbound.run_sync import Wanted
from tidegate.workflows.outbound.sync_plan import Part

pytestmark = pytest.mark.wide

DAY = 86_400
ONCE = Patience(tries=1)
AT_ONCE = Patience(chance=lambda: 0.0)
"""Tries again without waiting longer than Stripe asks for."""
MANY = 10


class Customers:
    """A sync of customers over a table that tests write into."""

    def __init__(self, warehouse: Warehouse, **said: Any) -> None:
        self.warehouse, self.sandbox = warehouse, warehouse.sandbox
        warehouse.write("create table people (id int, mark varchar, name varchar)")
        self.define(**said)
        warehouse.approve("people")

    def define(self, **said: Any) -> None:
        whole: dict[str, Any] = {"fields": {"name": "name", "metadata": {"kind": {"value": "x"}}}} | said
        self.warehouse.define("people", "people", "customers", **whole)

    def write(self, *statements: str) -> None:
        self.warehouse.write(*statements)

    def add(self, *ids: int, name: str = "Ada") -> None:
        self.write("insert into people values " + ", ".join(f"({one}, 'p-{one}', '{name}')" for one in ids))

    def run(
        self, patience: Patience = AT_ONCE, stop: Event | None = None, rate: float = 0, **wanted: Any
    ) -> dict[str, Any]:
        def writing(_: Account) -> AbstractContextManager[StripeApi]:
            key, base = self.sandbox.key, self.sandbox.url
            return closing(StripeApi(key, base=base, budget=LocalBudget(rate, 0), patience=patience))

        hub = self.warehouse.hub
        how: dict[str, Any] = {"despite_stops": True} | wanted
        return run_sync.run(hub.engine, "people", url_of, writing, Wanted(**how), stop=stop)

    def names(self) -> dict[str, str]:
        """What the sandbox has, by mark; the same mark twice would show."""
        found = self.warehouse.objects("customers", "p-")
        assert len({one["metadata"][MARK] for one in found}) == len(found), "made twice"
        return {one["metadata"][MARK]: one["name"] for one in found}

    def keys(self) -> list[str | None]:
        """The idempotency keys of all requests to make a customer, each once, in their order."""
        asked = (one.key for one in self.sandbox.written() if one.path == "/v1/customers")
        return list(dict.fromkeys(asked))

    def states(self) -> dict[str, int]:
        """How many requests came to what."""
        with self.warehouse.hub.engine.connect() as db:
            rows = db.execute(text("select state, count(*) as n from tidegate.requests group by 1"))
            return {row.state: row.n for row in rows}

    def rows(self) -> dict[str, int]:
        """How many rows are in which state."""
        states = [state for key, (state, _) in self.warehouse.remembered("people").items() if key != "no row"]
        return {state: states.count(state) for state in sorted(set(states))}

    def on_write(self, hook: Callable[[int], str | None]) -> None:
        """Asks the hook, with the number of the request (from 1), which fault a request to make a customer gets."""
        server = self.sandbox.server
        assert server is not None
        count = 0

        def draw(path: str = "") -> str | None:
            nonlocal count
            if path != "/v1/customers":
                return None
            count += 1
            return hook(count)

        server.faults.draw = draw  # type: ignore[method-assign]

    def healed(self) -> None:
        """Nothing goes wrong any more."""
        self.on_write(lambda _: None)


@pytest.fixture
def people(hub: Hub, make_sandbox: Callable[..., Sandbox], tmp_path: Path) -> Customers:
    with hub.engine.begin() as db:
        tables = "connections, tidegate.syncs, tidegate.sync_rows, tidegate.requests, tidegate.runs, stripe.customers"
        db.execute(text(f"truncate tidegate.{tables} cascade"))
    sandbox = make_sandbox(customers=3, months=1)
    account = connected(hub, sandbox, write_key=sandbox.key)
    imported(hub, account)
    return Customers(Warehouse(hub, sandbox, account, tmp_path / "warehouse.duckdb"))


def all_made_once(people: Customers, count: int = MANY) -> None:
    assert people.names() == {f"p-{n}": "Ada" for n in range(count)}
    assert len(people.keys()) == count
    assert people.rows() == {"sent": count}
    assert people.warehouse.open() == 0


def test_no_row_fails_for_a_storm_of_429(people: Customers) -> None:
    people.add(*range(MANY))
    people.on_write(lambda n: "429" if n <= 2 * MANY else None)
    done = people.run(Patience(tries=1, chance=lambda: 0.0))
    assert (done["state"], done["sent"], done["failed"]) == ("done", {"create": MANY}, 0)
    all_made_once(people)


def test_where_stripe_takes_nothing_for_long_the_run_ends_and_the_rows_are_as_they_were(
    people: Customers, monkeypatch: pytest.MonkeyPatch
) -> None:
    people.add(*range(MANY))
    people.on_write(lambda _: "429")
    monkeypatch.setattr(sync_sending, "STORM_SECONDS", 0.0)
    with pytest.raises(StripeRateLimited):
        people.run(ONCE)
    assert (people.rows(), people.states(), people.names()) == ({}, {"unsent": MANY}, {})
    people.healed()
    people.run()
    all_made_once(people)


@pytest.mark.parametrize("done_all_the_same", [True, False])
def test_after_an_error_of_stripes_it_is_looked_first(people: Customers, done_all_the_same: bool) -> None:
    people.add(*range(MANY))
    server = people.sandbox.server
    assert server is not None
    server.faults.late = lambda: done_all_the_same  # type: ignore[method-assign]
    people.on_write(lambda _: "500")
    done = people.run(Patience(tries=2, chance=lambda: 0.0))
    assert (done["state"], done["sent"], done["failed"]) == ("incomplete", {}, MANY)
    assert people.states() == {"unknown": MANY}
    assert len(people.names()) == (MANY if done_all_the_same else 0)
    people.healed()
    keys = people.keys()
    again = people.run()
    assert (again["state"], again["failed"]) == ("done", 0)
    if done_all_the_same:
        all_made_once(people)
        assert people.keys() == keys, "nothing was asked for a second time"
    else:
        assert people.names() == {f"p-{n}": "Ada" for n in range(MANY)}
        assert len({*people.keys()} - {*keys}) == MANY, "the key of a request that failed for good is not used again"


def unanswered(people: Customers) -> stripe.StripeClient:
    """One row whose customer was made, and Stripe said 500; what changes the customer since."""
    server = people.sandbox.server
    assert server is not None
    server.faults.late = lambda: True  # type: ignore[method-assign]
    people.on_write(lambda _: "500")
    assert people.run(ONCE)["failed"] == 1
    people.healed()
    base: Any = {"api": people.sandbox.url}
    return stripe.StripeClient(people.sandbox.key, base_addresses=base, max_network_retries=0)


def test_what_a_look_finds_otherwise_than_its_row_is_put_right(people: Customers) -> None:
    people.add(1)
    client = unanswered(people)
    [customer] = people.warehouse.objects("customers", "p-")
    client.v1.customers.update(customer["id"], {"name": "Somebody"})
    before = len(people.sandbox.written())
    assert people.run()["sent"] == {"update": 1}
    [sent] = people.sandbox.written()[before:]
    assert (sent.path, dict(sent.params)) == (f"/v1/customers/{customer['id']}", {"name": "Ada"})
    assert (people.names(), people.rows()) == ({"p-1": "Ada"}, {"sent": 1})
    assert people.run()["sent"] == {}


def test_a_customer_on_a_test_clock_is_found_by_looking(people: Customers) -> None:
    base: Any = {"api": people.sandbox.url}
    client = stripe.StripeClient(people.sandbox.key, base_addresses=base, max_network_retries=0)
    clock = client.v1.test_helpers.test_clocks.create({"frozen_time": 1_700_000_000})
    people.define(fields={"name": "name", "test_clock": {"value": clock.id}})
    people.add(1)
    unanswered(people)
    keys = people.keys()
    assert people.run()["failed"] == 0
    assert (people.names(), people.keys()) == ({"p-1": "Ada"}, keys)


def test_looking_goes_back_no_further_than_the_request(people: Customers) -> None:
    base: Any = {"api": people.sandbox.url}
    client = stripe.StripeClient(people.sandbox.key, base_addresses=base, max_network_retries=0)
    for n in range(101):
        client.v1.customers.create({"name": str(n)})
    people.sandbox.advance(3 * DAY)
    people.add(1)
    unanswered(people)
    [customer] = people.warehouse.objects("customers", "p-")
    client.v1.customers.update(customer["id"], {"metadata": {MARK: "other"}})
    lists = people.sandbox.stats()["requests"].get("GET /v1/customers", 0)
    assert people.run()["sent"] == {"create": 1}
    assert people.sandbox.stats()["requests"]["GET /v1/customers"] - lists == 1, "not the page of those from before"


def test_a_change_that_failed_at_stripe_and_was_done_is_seen(people: Customers) -> None:
    people.add(1)
    people.run()
    people.write("update people set name = 'Ada L.'")
    server = people.sandbox.server
    assert server is not None
    server.faults.late = lambda: True  # type: ignore[method-assign]
    [customer] = people.warehouse.objects("customers", "p-")
    path = f"/v1/customers/{customer['id']}"
    server.faults.draw = lambda given="": "500" if given == path else None  # type: ignore[method-assign]
    assert people.run(ONCE)["failed"] == 1
    people.healed()
    before = len(people.sandbox.written())
    assert people.run()["failed"] == 0
    assert people.sandbox.written()[before:] == []
    assert people.names() == {"p-1": "Ada L."}
    assert people.warehouse.mirrored("customers", customer["id"])["name"] == "Ada L."


def test_what_cannot_be_settled_now_is_left_alone(people: Customers) -> None:
    people.add(*range(MANY))
    server = people.sandbox.server
    assert server is not None
    server.faults.late = lambda: True  # type: ignore[method-assign]
    people.on_write(lambda _: "500")  # lists fail, too
    people.run(ONCE)
    keys = people.keys()
    again = people.run(ONCE)
    assert (again["state"], again["sent"], again["failed"]) == ("incomplete", {}, MANY)
    assert (people.keys(), people.warehouse.open()) == (keys, MANY)
    people.healed()
    people.run()
    all_made_once(people)
    assert people.keys() == keys


@pytest.mark.parametrize("fault", ["reset", "truncate"])
def test_an_answer_that_breaks_off_is_asked_for_again_under_the_same_key(people: Customers, fault: str) -> None:
    people.add(*range(MANY))
    people.on_write(lambda n: fault if n <= 3 else None)
    done = people.run()
    assert (done["state"], done["sent"], done["failed"]) == ("done", {"create": MANY}, 0)
    all_made_once(people)


@pytest.mark.parametrize("fault", ["reset", "truncate"])
def test_an_answer_that_never_comes_is_asked_for_by_the_next_run(people: Customers, fault: str) -> None:
    people.add(*range(MANY))
    people.on_write(lambda n: fault if n % 2 else None)
    try:
        assert people.run(ONCE)["failed"] == MANY // 2
    except StripeUnreachable:
        assert fault == "reset"
    people.healed()
    people.run()
    all_made_once(people)


def test_a_key_that_stripe_has_forgotten_is_not_relied_on(people: Customers) -> None:
    people.add(*range(MANY))
    people.on_write(lambda _: "truncate")
    assert people.run(ONCE)["failed"] == MANY
    people.healed()
    people.sandbox.advance(25 * 3600)
    with people.warehouse.hub.engine.begin() as db:
        db.execute(text("update tidegate.requests set intended_at = intended_at - interval '25 hours'"))
    before = len(people.sandbox.written())
    assert people.run()["failed"] == 0
    assert people.sandbox.written()[before:] == []
    all_made_once(people)


def test_a_customer_that_others_write_just_now_is_waited_for(people: Customers) -> None:
    people.add(*range(MANY))
    server = people.sandbox.server
    assert server is not None
    left = [5]  # all of them may meet one request, which is tried eight times

    def refuse(_: str | None) -> None:
        if left[0]:
            left[0] -= 1
            raise Refusal(429, "This object cannot be accessed right now.", "lock_timeout")

    server.faults.refuse = refuse  # type: ignore[method-assign]
    done = people.run()
    assert (done["state"], done["failed"]) == ("done", 0)
    all_made_once(people)


def test_a_key_that_is_revoked_in_the_middle(people: Customers) -> None:
    people.add(*range(MANY))
    server = people.sandbox.server
    assert server is not None

    def revoke(n: int) -> None:
        server.keys.add(Key(people.sandbox.key, revoked=n > 3))

    people.on_write(revoke)
    with pytest.raises(StripeKeyInvalid):
        people.run()
    assert len(people.names()) == 3
    assert (people.rows(), people.warehouse.open()) == ({"sent": 3}, 0), "no row failed for it"
    people.on_write(lambda _: server.keys.add(Key(people.sandbox.key)))
    server.keys.add(Key(people.sandbox.key))
    assert people.run()["sent"] == {"create": MANY - 3}
    all_made_once(people)


def test_the_database_goes_away_in_the_middle(people: Customers) -> None:
    people.add(*range(MANY))
    engine = people.warehouse.hub.engine

    def cut(n: int) -> None:
        if n == 4:
            with engine.connect() as db:
                db.execute(
                    text("""
select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
  and application_name not like '%budget%'""")
                )

    people.on_write(cut)
    try:
        people.run()
    except (OperationalError, TidegateError):
        assert len(people.names()) >= 4
    people.healed()
    people.run()
    all_made_once(people)


def test_a_run_that_was_taken_for_dead_writes_nothing_more(people: Customers) -> None:
    people.add(*range(MANY))
    engine = people.warehouse.hub.engine

    def take_over(n: int) -> None:
        if n == 1:
            with engine.begin() as db:
                runs.begin(db, "sync:people", "sync", {}, "another")

    people.on_write(take_over)
    with pytest.raises(SyncTakenOver, match="another"):
        people.run()
    assert people.rows() == {}
    people.healed()
    people.run()
    all_made_once(people)


def test_of_two_that_run_a_sync_one_says_that_the_other_does(people: Customers) -> None:
    people.add(*range(MANY))
    told: list[str] = []

    def second(n: int) -> None:
        if n == 2:
            with pytest.raises(SyncRunning) as caught:
                people.run()
            told.append(str(caught.value))

    people.on_write(second)
    assert people.run()["state"] == "done"
    assert "runs already" in told[0]
    all_made_once(people)


def test_stopped_nothing_else_begins_and_the_next_run_goes_on(people: Customers) -> None:
    many = 1_000
    people.add(*range(many))
    stop = Event()
    people.on_write(lambda n: stop.set() if n == 5 else None)
    done = people.run(stop=stop)
    made = len(people.names())
    assert done["state"] == "interrupted"
    assert done["sent"] == {"create": made}
    assert 5 <= made < many
    states = people.states()
    assert (states["done"], people.warehouse.open()) == (made, 0)
    assert people.rows() == {"sent": made}
    people.healed()
    assert people.run()["sent"] == {"create": many - made}
    all_made_once(people, many)


def test_stopped_while_requests_wait_for_the_rate_none_of_them_is_sent(people: Customers) -> None:
    people.add(*range(MANY))
    stop = Event()
    people.on_write(lambda n: stop.set() if n == 2 else None)
    done = people.run(stop=stop, rate=1.0)
    made = len(people.names())
    assert (done["state"], done["sent"], done["failed"]) == ("interrupted", {"create": made}, 0)
    assert people.states() == {"done": made, "unsent": MANY - made}
    people.healed()
    people.run()
    all_made_once(people)


def test_there_and_back_within_a_minute_is_three_requests_with_three_keys(people: Customers) -> None:
    people.add(1, name="A")
    people.run()
    for name in "BAB":
        people.write(f"update people set name = '{name}'")
        assert people.run()["sent"] == {"update": 1}
        assert people.names() == {"p-1": name}
    keys = [one.key for one in people.sandbox.written() if one.path.startswith("/v1/customers/")]
    assert len(set(keys)) == len(keys) == 3


def test_a_row_that_goes_and_comes_back_within_the_day_is_made_anew(people: Customers) -> None:
    people.define(delete={"how": "remove"})
    people.add(1)
    people.run()
    people.write("delete from people")
    assert people.run()["sent"] == {"delete": 1}
    assert people.names() == {}
    people.add(1)
    assert people.run()["sent"] == {"create": 1}
    assert people.names() == {"p-1": "Ada"}
    assert not any(one.replayed for one in people.sandbox.written())


def test_what_somebody_deleted_before_us_is_deleted(people: Customers) -> None:
    people.define(delete={"how": "remove"})
    people.add(1)
    people.run()
    [customer] = people.warehouse.objects("customers", "p-")
    people.sandbox.call(lambda: people.sandbox.state.delete("customers", customer["id"], None))
    people.write("delete from people")
    done = people.run()
    assert (done["sent"], done["failed"]) == ({"delete": 1}, 0)
    assert people.run()["failed"] == 0


def test_an_empty_source_and_one_that_lost_many_rows_stop_the_run(people: Customers) -> None:
    people.define(delete={"how": "remove"})
    people.add(*range(MANY))
    people.run()
    people.write("delete from people where id < 3")
    with pytest.raises(SyncStopped, match="3 of 10 rows would be deleted"):
        people.run(despite_stops=False)
    people.write("delete from people")
    with pytest.raises(SyncStopped, match="no rows any more"):
        people.run(despite_stops=False)
    all_made_once(people)


def test_a_source_that_vanished_sends_nothing(people: Customers) -> None:
    people.add(*range(MANY))
    people.run()
    people.warehouse.path.unlink()
    before = len(people.sandbox.written())
    with pytest.raises(TidegateError):
        people.run()
    assert people.sandbox.written()[before:] == []
    all_made_once(people)


def test_of_another_field_map_only_what_differs_in_effect_is_sent(people: Customers) -> None:
    people.add(*range(MANY))
    people.run()
    people.define(fields={"name": {"template": "{{ name }}"}, "metadata": {"kind": {"value": "x"}}})
    done = people.run()
    assert (done["counts"]["nothing"], done["sent"]) == (MANY, {})
    people.define(fields={"name": {"template": "{{ name }}{% if id == 3 %}!{% endif %}"}})
    done = people.run()
    assert (done["counts"]["nothing"], done["sent"]) == (MANY - 1, {"update": 1})
    assert people.names()["p-3"] == "Ada!"


def test_rows_that_would_be_one_object_are_refused_and_what_was_sent_stays(people: Customers) -> None:
    people.add(1, 2)
    people.run()
    people.write("insert into people values (3, 'p-2', 'Another'), (4, 'p-4', 'Bo'), (5, ' p-4', 'Cy')")
    done = people.run()
    assert (done["counts"]["invalid"], done["sent"]) == (3, {})
    assert people.names() == {"p-1": "Ada", "p-2": "Ada"}
    people.write("update people set name = 'Ada L.' where id = 2", "delete from people where id = 5")
    assert people.run()["sent"] == {"create": 1, "update": 1}
    assert people.names() == {"p-1": "Ada", "p-2": "Ada L.", "p-4": "Bo"}


def test_a_row_that_gets_another_key_keeps_its_object_under_the_new_one(people: Customers) -> None:
    people.define(delete={"how": "remove"})
    people.add(1)
    people.run()
    people.write("update people set id = 2")
    done = people.run()
    assert (done["counts"]["nothing"], done["counts"]["gone"], done["sent"]) == (1, 1, {})
    people.write("update people set name = 'Ada L.'")
    assert people.run()["sent"] == {"update": 1}
    assert people.names() == {"p-1": "Ada L."}


def test_a_part_that_was_asked_for_is_all_that_is_sent(people: Customers) -> None:
    people.add(*range(MANY))
    assert people.run(part=Part(keys=("2", "3")))["sent"] == {"create": 2}
    assert people.run(part=Part(limit=1))["sent"] == {"create": 1}
    assert people.run()["sent"] == {"create": MANY - 3}
    all_made_once(people)
