"""Events on their way from the inbox into the mirror: applied once, in any order, and looked at again where needed."""

import json
import threading
from typing import Any

import pytest
from sqlalchemy import text
from tests.support.builders import coupon, customer, event, invoice, item, line, price, subscription
from tests.support.hubs import waits_for_a_row
from tests.support.importing import imported, stripe
from tests.support.live import NOWHERE, Live
from tests.support.waiting import until

from tidegate.mirror import inbox, refetches, settle
from tidegate.stripe_api.client import StripeApi
from tidegate.workflows.mirror import ingest_events
from tidegate.workflows.mirror.ingest_events import MOST_PUT_OFF, Drained, drain, handle_events

OLD = "2020-08-27"


@pytest.fixture
def database_url(fresh_database_url: str) -> str:
    """Every test of this module has a database of its own."""
    return fresh_database_url


def states(live: Live) -> dict[str, str]:
    return {row["event_id"]: row["state"] for row in live.rows("select event_id, state from tidegate.inbox")}


def test_an_event_is_applied_and_marked_handled(live: Live) -> None:
    live.told(event("customer.created", customer(name="Ada"), 100, "evt_1"))
    drained = live.drain()
    assert (drained.handled, drained.failed, drained.customers) == (1, {}, {"cus_1"})
    assert live.one("select name from stripe.customers") == "Ada"
    assert states(live) == {"evt_1": "handled"}
    assert live.drain().handled == 0, "it is handled once"


def test_an_event_that_comes_twice_is_kept_and_handled_once(live: Live) -> None:
    once = event("customer.created", customer(), 100, "evt_1")
    assert [live.told(once), live.told(once, once), live.told(once, source="events")] == [1, 0, 0]
    assert live.drain().handled == 1
    assert live.told(once) == 0, "also after it was handled"


@pytest.mark.parametrize("together", [True, False])
def test_an_older_event_after_a_newer_one_changes_nothing(live: Live, together: bool) -> None:
    newer = event("customer.updated", customer(name="New"), 200)
    older = event("customer.updated", customer(name="Old"), 100)
    live.told(newer)
    if not together:
        live.drain()
    live.told(older)
    live.drain()
    assert live.one("select name from stripe.customers") == "New"


def test_two_events_of_one_second_are_settled_by_a_look_at_stripe(live: Live) -> None:
    live.put(customer("cus_tie", name="True"))
    live.told(event("customer.updated", customer("cus_tie", name="A"), live.now, "evt_a"))
    live.told(event("customer.updated", customer("cus_tie", name="B"), live.now, "evt_b"))
    assert live.drain().refetch_error == ""
    row = live.rows("select name, certainty from stripe.customers")[0]
    assert (row["name"], row["certainty"]) == ("True", 2)
    assert live.one("select count(*) from tidegate.refetches where next_try_at < 'infinity'") == 0


def test_a_change_within_the_second_of_a_settled_doubt_is_seen_too(live: Live) -> None:
    """The clock stands still: every look and every event carries the same second."""
    for name in ("First", "Second", "Third"):
        live.put(customer("cus_tie", name=name))
        live.told(event("customer.updated", customer("cus_tie", name=name), live.now, f"evt_{name}"))
        live.drain()
        assert live.one("select name from stripe.customers") == name


def test_a_slow_look_does_not_put_back_what_a_later_one_brought(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the first look is under way the object changes, is asked for anew and read by another process."""
    retrieve = settle.retrieve
    looks: list[str] = []

    def slow(api: StripeApi, *which: Any) -> Any:
        page = retrieve(api, *which)
        looks.append(page.arrivals[0].reading.id)
        if len(looks) == 1:
            live.put(customer("cus_tie", name="After"))
            live.told(event("customer.updated", customer("cus_tie", name="After"), live.now, "evt_c"))
            live.drain()
            assert live.one("select name from stripe.customers") == "After"
        return page

    live.put(customer("cus_tie", name="Before"))
    live.told(event("customer.updated", customer("cus_tie", name="A"), live.now, "evt_a"))
    live.told(event("customer.updated", customer("cus_tie", name="B"), live.now, "evt_b"))
    monkeypatch.setattr(settle, "retrieve", slow)
    drained = live.drain()
    assert len(looks) == 2
    assert live.one("select name from stripe.customers") == "After"
    assert drained.counts["customers"].skipped == {settle.OVERTAKEN: 1}


@pytest.mark.parametrize("back", ["A", "C"], ids=["back to what it was", "on to something else"])
def test_a_slow_look_does_not_outdo_an_event_of_its_second(
    live: Live, monkeypatch: pytest.MonkeyPatch, back: str
) -> None:
    """A, B and what comes then all in one second, the last while a look that saw B is under way."""
    retrieve = settle.retrieve
    looks: list[str] = []

    def slow(api: StripeApi, *which: Any) -> Any:
        page = retrieve(api, *which)
        looks.append(page.arrivals[0].body)
        if len(looks) == 1:
            live.put(customer("cus_tie", name=back))
            live.told(event("customer.updated", customer("cus_tie", name=back), live.now, "evt_back"))
            handle_events(live.hub.engine, live.name)
        return page

    live.told(event("customer.updated", customer("cus_tie", name="A"), live.now, "evt_a"))
    live.drain()
    live.put(customer("cus_tie", name="B"))
    live.told(event("customer.updated", customer("cus_tie", name="B"), live.now, "evt_b"))
    monkeypatch.setattr(settle, "retrieve", slow)
    assert live.drain().counts["customers"].skipped == {settle.OVERTAKEN: 1}
    assert live.one("select name from stripe.customers where id = 'cus_tie'") == back
    assert live.one("select count(*) from tidegate.refetches where next_try_at < 'infinity'") == 0


def test_two_events_of_one_second_about_the_account_are_settled_by_a_look(live: Live) -> None:
    now = live.full("accounts") | {"business_type": "company"}
    live.put(now)
    live.told(event("account.updated", now, live.now, "evt_2"))
    live.drain()
    live.told(event("account.updated", now | {"business_type": "individual"}, live.now, "evt_1"))
    live.drain()
    assert live.one("select business_type from stripe.accounts") == "company"
    assert live.one("select count(*) from tidegate.refetches where next_try_at < 'infinity'") == 0


def test_an_event_of_2020_counts_at_once_and_asks_once_per_object(live: Live) -> None:
    whole = live.full("subscriptions")
    id_ = whole["id"]
    old = {
        "id": id_, "object": "subscription", "created": whole["created"], "customer": whole["customer"],
        "status": "past_due", "current_period_start": 1_000, "current_period_end": 2_000,
        "items": {"object": "list", "has_more": False, "data": [
            {"id": "si_old", "object": "subscription_item", "quantity": 2, "price": price(), "subscription": id_}]},
    }  # fmt: skip
    live.told(*(event("customer.subscription.updated", old, live.now - n, api_version=OLD) for n in (3, 2, 1)))
    assert live.drain(base=NOWHERE).handled == 3
    row = live.rows("select status, extract(epoch from current_period_end)::int as ends from stripe.subscriptions")[0]
    assert (row["status"], row["ends"]) == ("past_due", 2_000), "applied although Stripe is out of reach"
    asked = live.rows("select object_id, reason from tidegate.refetches where resource = 'subscriptions'")
    assert [dict(one) for one in asked] == [{"object_id": id_, "reason": "other_version"}]
    live.run("update tidegate.refetches set next_try_at = now()")
    live.drain()
    assert live.one("select status from stripe.subscriptions where id = :id", id=id_) == whole["status"]
    assert live.one("select count(*) from tidegate.refetches where next_try_at < 'infinity'") == 0


def test_what_was_read_after_an_event_is_not_fetched_again_for_it(live: Live) -> None:
    """Reading the events of 30 days after an import would else fetch every object once more."""
    known = live.put(price("price_known", product=live.full("products")["id"]))
    live.told(event("price.updated", known, live.now - 100, "evt_1"))
    live.drain()
    before = live.sandbox.stats()["requests"]
    live.told(event("price.updated", known | {"nickname": "late"}, live.now - 70, "evt_2"))
    live.drain()
    assert live.sandbox.stats()["requests"] == before
    assert live.one("select count(*) from tidegate.refetches where next_try_at < 'infinity'") == 0


@pytest.mark.parametrize(
    ("resource", "body", "hidden"),
    [
        ("prices", price("price_t", billing_scheme="tiered"), {"tiers": [{"up_to": None, "unit_amount": 5}]}),
        ("coupons", coupon("TEN"), {"applies_to": {"products": ["prod_1"]}}),
    ],
)
def test_what_events_lack_is_fetched_on_every_event(
    live: Live, resource: str, body: dict[str, Any], hidden: dict[str, Any]
) -> None:
    live.put(body | hidden)
    live.told(event(f"{body['object']}.created", body, live.now - 10, "evt_1"))
    live.drain()
    live.put(body | hidden | {"metadata": {"changed": "yes"}})
    live.told(event(f"{body['object']}.updated", body | {"metadata": {"changed": "yes"}}, live.now, "evt_2"))
    live.drain()
    data = live.one(f"select data from stripe.{resource} where id = :id", id=body["id"])
    assert data["metadata"] == {"changed": "yes"}
    assert {name: data[name] for name in hidden} == hidden


def test_a_subscription_with_20_items_of_which_an_event_tells_10_has_20(live: Live) -> None:
    whole = live.full("subscriptions")
    first = whole["items"]["data"][0]
    whole["items"]["data"] = [first | {"id": f"si_{n:02}"} for n in range(20)]
    live.put(whole)
    shown = whole | {"items": whole["items"] | {"data": whole["items"]["data"][:10], "has_more": True}}
    live.told(event("customer.subscription.updated", shown, live.now - 10, "evt_1"))
    live.drain()
    count = "select count(*) from stripe.subscription_items where subscription = :id"
    assert live.one(count, id=whole["id"]) == 20
    live.told(event("customer.subscription.updated", shown | {"status": "past_due"}, live.now, "evt_2"))
    live.drain(base=NOWHERE)
    assert live.one(count, id=whole["id"]) == 20, "not even while Stripe is out of reach are there 10"


def test_a_deletion_leaves_a_tombstone_and_no_late_event_resurrects(live: Live) -> None:
    live.told(
        event("customer.created", customer(name="Ada"), 100),
        event("customer.deleted", customer(deleted=True), 200),
        event("customer.updated", customer(name="Late"), 150),
        event("invoice.created", invoice(status="draft"), 100),
        event("invoice.deleted", invoice(status="draft"), 200),
    )
    live.drain()
    assert live.one("select extract(epoch from deleted_at)::int from stripe.customers") == 200
    assert live.one("select count(*) from stripe.invoice_lines where deleted_at is null") == 0


def test_a_coupon_id_that_is_used_again_is_another_coupon(live: Live) -> None:
    again = live.put(coupon("AGAIN", created=live.now - 10, percent_off=50.0))
    live.told(
        event("coupon.created", coupon("AGAIN", created=live.now - 90), live.now - 90),
        event("coupon.deleted", coupon("AGAIN", created=live.now - 90), live.now - 50),
        event("coupon.created", again, live.now - 10),
    )
    live.drain()
    row = live.rows("select deleted_at, percent_off from stripe.coupons where id = 'AGAIN'")[0]
    assert (row["deleted_at"], float(row["percent_off"])) == (None, 50.0)


def test_the_end_of_a_subscription_is_no_tombstone(live: Live) -> None:
    live.told(event("customer.subscription.deleted", subscription(status="canceled", ended_at=90), 100))
    live.drain()
    row = live.rows("select status, deleted_at from stripe.subscriptions")[0]
    assert (row["status"], row["deleted_at"]) == ("canceled", None)


def test_what_stripe_does_not_know_any_more_is_buried_with_its_children(live: Live) -> None:
    live.told(event("invoice.created", invoice("in_gone"), 100, api_version=OLD))
    drained = live.drain()
    assert drained.counts["invoices"].deleted == 1
    assert live.one("select count(*) from stripe.invoices where deleted_at is null") == 0
    assert live.one("select count(*) from stripe.invoice_lines where deleted_at is null") == 0
    assert drained.customers >= {"cus_1"}


def test_events_of_what_is_not_mirrored_are_skipped_with_the_reason(live: Live) -> None:
    live.told(event("payout.paid", {"id": "po_1", "object": "payout"}, 100, "evt_1"))
    assert live.drain().skipped == {"not mirrored: payout": 1}
    row = live.rows("select state, error from tidegate.inbox")[0]
    assert (row["state"], row["error"]) == ("skipped", "not mirrored: payout")


def test_an_inline_price_that_an_event_names_is_fetched(live: Live) -> None:
    live.put(price("price_inline", product="prod_inline"))
    live.put({"id": "prod_inline", "object": "product", "created": 10, "active": True, "name": "Inline"})
    live.told(event("customer.subscription.created",
                    subscription(items=[item("si_1", price=price("price_inline"))]), 100))  # fmt: skip
    live.drain()
    assert live.one("select count(*) from stripe.prices where id = 'price_inline'") == 1
    assert live.one("select count(*) from stripe.products where id = 'prod_inline'") == 1, "and what it names"


REFUSE = """
create function refuse() returns trigger language plpgsql as $$
begin if new.id = 'cus_poison' then raise 'no such luck'; end if; return new; end $$;
create trigger refuse before insert or update on stripe.customers for each row execute function refuse()"""


@pytest.mark.wide
def test_a_poison_event_costs_no_other_and_ends_parked(live: Live) -> None:
    live.run(REFUSE)
    live.told(*(event("customer.created", customer(f"cus_{n}"), 100, f"evt_{n:03}") for n in range(199)))
    live.told(event("customer.created", customer("cus_poison"), 100, "evt_poison"))
    drained = live.drain(attempts=3)
    assert (drained.handled, list(drained.failed)) == (199, ["evt_poison"])
    assert "no such luck" in drained.failed["evt_poison"]
    waits: list[int] = []
    for _ in range(2):
        waits.append(live.one(
            "select round(extract(epoch from next_try_at - now()))::int from tidegate.inbox where state = 'waiting'"
        ))  # fmt: skip
        assert live.drain(attempts=3).failed == {}, "not before its time"
        live.run("update tidegate.inbox set next_try_at = now() where state = 'waiting'")
        assert list(live.drain(attempts=3).failed) == ["evt_poison"]
    assert waits[0] in {1, 2}
    assert waits[1] in {3, 4}
    assert states(live)["evt_poison"] == "parked"
    live.run("update tidegate.inbox set next_try_at = now() where state = 'parked'")
    assert live.drain(attempts=3).failed == {}, "a parked event is left alone"


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A drain that waits for locks for a moment only."""
    monkeypatch.setattr(ingest_events, "PATIENCE", text("set local lock_timeout = '50ms'"))


@pytest.mark.usefixtures("hasty")
def test_an_event_is_not_blamed_for_a_lock_that_somebody_holds(live: Live) -> None:
    live.told(event("customer.created", customer("cus_held"), 100), event("customer.created", customer("cus_a"), 100))
    live.drain()
    live.told(
        event("customer.updated", customer("cus_held", name="New"), 200, "evt_held"),
        event("customer.updated", customer("cus_a", name="New"), 200, "evt_a"),
    )
    with live.hub.engine.begin() as other:
        other.execute(text("select from stripe.customers where id = 'cus_held' for update"))
        drained = live.drain(attempts=1)
    assert (drained.handled, drained.failed, list(drained.put_off)) == (1, {}, ["evt_held"])
    assert "lock timeout" in drained.put_off["evt_held"]
    row = live.rows("select state, attempts, error, next_try_at < now() + interval '6 s' as soon from tidegate.inbox "
                    "where event_id = 'evt_held'")[0]  # fmt: skip
    assert (row["state"], row["attempts"], row["soon"]) == ("waiting", 0, True)
    assert "lock timeout" in row["error"]
    live.run("update tidegate.inbox set next_try_at = now() where state = 'waiting'")
    assert live.drain(attempts=1).handled == 1
    assert live.one("select count(*) from stripe.customers where name = 'New'") == 2
    assert live.one("select count(*) from tidegate.inbox where error <> ''") == 0


@pytest.mark.usefixtures("hasty")
def test_many_events_behind_locks_do_not_hold_up_the_drain(live: Live) -> None:
    held = [f"cus_{n}" for n in range(20)]
    live.told(*(event("customer.created", customer(id_), 100) for id_ in held))
    live.drain()
    live.told(*(event("customer.updated", customer(id_, name="New"), 200) for id_ in held))
    with live.hub.engine.begin() as other:
        other.execute(text("select from stripe.customers for update"))
        drained = live.drain(attempts=1)
    assert (len(drained.put_off), drained.more) == (MOST_PUT_OFF, True)
    assert live.one("select sum(attempts) from tidegate.inbox") == 0


def test_two_drains_whose_objects_name_each_other_come_into_no_deadlock(
    live: Live, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One has a price, which is looked at, and a subscription; the other the subscription, which names the price."""
    live.run("""
insert into tidegate.refetches (connection, resource, object_id, reason, next_try_at)
values ('acme', 'prices', 'price_1', 'referenced', now() + interval '1 hour')""")
    bought = event("customer.subscription.created", subscription(), 100, "evt_bought")
    live.told(event("price.created", price(), 90, "evt_price"), bought)
    there, plain = threading.Event(), ingest_events.apply
    first, second = (threading.Thread(target=handle_events, args=(live.hub.engine, live.name)) for _ in range(2))

    def slow(db: Any, account: str, resource: Any, arrivals: Any) -> Any:
        if threading.current_thread() is first and resource.name == "subscriptions":
            there.set()
            with live.hub.engine.connect() as other:
                until(lambda: waits_for_a_row(other) or (second.ident and not second.is_alive()), "the other's end")
        return plain(db, account, resource, arrivals)

    monkeypatch.setattr(ingest_events, "apply", slow)
    first.start()
    assert there.wait(20)
    live.told(event("customer.subscription.updated", subscription(status="past_due"), 101, "evt_late"))
    second.start()
    for one in (first, second):
        one.join(20)
    assert "inbox_batch_failed" not in caplog.messages, "the first order of locks made a deadlock of it"
    assert set(states(live).values()) == {"handled"}
    assert live.one("select status from stripe.subscriptions") == "past_due"


def test_a_deadlock_costs_no_attempt(live: Live) -> None:
    """Another session holds the second customer and then asks for the first, which the drain holds by then."""
    live.told(*(event("customer.created", customer(id_), 100) for id_ in ("cus_1", "cus_2")))
    live.drain()
    live.told(*(event("customer.updated", customer(id_, name="New"), 200) for id_ in ("cus_1", "cus_2")))
    outcome: list[Drained] = []
    with live.hub.engine.connect() as other:
        other.execute(text("set deadlock_timeout = '10s'"))  # so that the drain is the one that finds out
        other.commit()
        other.execute(text("select from stripe.customers where id = 'cus_2' for update"))
        draining = threading.Thread(target=lambda: outcome.append(live.drain(attempts=1)))
        draining.start()
        until(lambda: live.one(WAITS), "the drain waits for the second customer")
        other.execute(text("select from stripe.customers where id = 'cus_1' for update"))
        other.rollback()
        draining.join(30)
    [drained] = outcome
    assert (drained.handled, drained.failed, drained.put_off) == (2, {}, {})
    assert live.one("select sum(attempts) from tidegate.inbox") == 0
    assert live.one("select count(*) from stripe.customers where name = 'New'") == 2


WAITS = "select exists (select from pg_locks where not granted and locktype in ('transactionid', 'tuple'))"


def test_a_database_that_is_not_as_it_should_be_is_no_events_fault(live: Live) -> None:
    live.told(event("customer.created", customer(), 100, "evt_1"))
    live.run("alter table stripe.customers rename to away")
    assert list(live.drain(attempts=1).put_off) == ["evt_1"]
    live.run("alter table stripe.away rename to customers")
    live.run("update tidegate.inbox set next_try_at = now()")
    assert live.drain(attempts=1).handled == 1


def test_a_parked_event_is_listed_shown_replayed_and_discarded(live: Live) -> None:
    live.run(REFUSE)
    poison = event("customer.created", customer("cus_poison"), 100, "evt_poison")
    live.told(poison, event("customer.created", customer(), 100, "evt_fine"))
    live.drain(attempts=1)
    with live.hub.engine.begin() as db:
        listed = inbox.listing(db, "acme", None, 10)
        assert [(one["event_id"], one["state"], one["attempts"]) for one in listed] == [("evt_poison", "parked", 1)]
        shown = inbox.show(db, "acme", "evt_poison")
        assert shown is not None
        assert json.loads(shown["body"]) == poison
        assert "no such luck" in shown["error"]
        assert inbox.replay(db, "acme", None) == 1
    live.drain(attempts=1)
    assert states(live)["evt_poison"] == "parked", "the cause is still there"
    live.run("drop trigger refuse on stripe.customers")
    with live.hub.engine.begin() as db:
        assert inbox.replay(db, "acme", ["evt_poison"]) == 1
    assert live.drain().handled == 1
    assert live.one("select count(*) from stripe.customers where id = 'cus_poison'") == 1


def test_a_discarded_event_is_never_handled(live: Live) -> None:
    live.told(event("customer.created", customer(), 100, "evt_1"))
    with live.hub.engine.begin() as db:
        assert inbox.discard(db, "acme", ["evt_1", "evt_unknown"]) == 1
    assert live.drain().handled == 0
    assert live.one("select error from tidegate.inbox") == "discarded by hand"


def test_what_is_no_event_is_parked_at_once(live: Live) -> None:
    live.run("insert into tidegate.inbox (connection, event_id, type, created, source, body) "
             "values ('acme', 'evt_1', 'x', now(), 'webhook', '{\"id\": 1')")  # fmt: skip
    assert list(live.drain().failed) == ["evt_1"]
    assert states(live) == {"evt_1": "parked"}


def test_an_event_that_mends_what_no_jsonb_holds_is_stored(live: Live) -> None:
    live.told(event("customer.updated", customer(description="\0"), 100))
    live.drain()
    assert live.one("select count(*) from tidegate.unreadable") == 1
    live.told(event("customer.updated", customer(description="fine"), 200, previous={"description": "\0"}))
    live.drain()
    assert live.one("select data ->> 'description' from stripe.customers") == "fine"
    assert live.one("select count(*) from tidegate.unreadable") == 0


def test_two_drains_share_the_work_and_handle_each_event_once(live: Live) -> None:
    live.told(
        *(event("customer.created", customer(f"cus_{n % 400}", name=str(n)), n, f"evt_{n}") for n in range(2_000))
    )
    start, handled = threading.Barrier(2), list[int]()

    def work() -> None:
        start.wait()
        handled.append(live.drain().handled)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(handled) == 2_000
    assert min(handled) > 0, "both worked"
    assert set(states(live).values()) == {"handled"}
    wrong = "select count(*) from stripe.customers where name <> (1600 + substr(id, 5)::int)::text"
    assert live.one(wrong) == 0


def test_a_claimed_event_is_left_to_whoever_claimed_it(live: Live) -> None:
    live.told(event("customer.created", customer(), 100, "evt_1"), event("customer.created", customer(), 100, "evt_2"))
    with live.hub.engine.begin() as db:
        assert [one.event_id for one in inbox.claim(db, "acme", 1)] == ["evt_1"]
        assert live.drain().handled == 1
    assert states(live) == {"evt_1": "waiting", "evt_2": "handled"}


def test_stripe_out_of_reach_keeps_no_event_waiting_and_loses_no_look(live: Live) -> None:
    live.put(price("price_later", nickname="True"))
    live.told(event("price.updated", price("price_later", nickname="Told"), live.now - 10, "evt_1"))
    drained = live.drain(base=NOWHERE)
    assert drained.handled == 1
    assert "could not be reached" in drained.refetch_error
    assert live.one("select nickname from stripe.prices where id = 'price_later'") == "Told"
    waiting = live.rows("select attempts, error, next_try_at > now() as later from tidegate.refetches "
                        "where resource = 'prices'")  # fmt: skip
    assert [(one["attempts"], one["later"]) for one in waiting] == [(1, True)]
    assert "could not be reached" in waiting[0]["error"]
    assert live.one("select code from tidegate.problems") == "unreachable"
    live.run("update tidegate.refetches set next_try_at = now()")
    assert live.drain().refetch_error == ""
    assert live.one("select nickname from stripe.prices where id = 'price_later'") == "True"
    assert live.one("select count(*) from tidegate.refetches where next_try_at < 'infinity'") == 0


def test_an_object_that_cannot_be_fetched_costs_no_other(live: Live) -> None:
    live.put(price("price_fine", nickname="True"))
    live.run(
        "insert into tidegate.refetches (connection, resource, object_id, reason) "
        "values ('acme', 'prices', 'price_fine', 'event'), ('acme', 'disputes', 'dp_1', 'event')"
    )
    from tidegate.sandbox.keys import Key

    assert live.sandbox.server is not None
    ring = live.sandbox.server.keys
    names = {name: "read" for name in live.sandbox.state.collections if name != "disputes"}
    live.sandbox.call(lambda: ring.add(Key(live.sandbox.key, names)))
    drained = live.drain()
    assert "permission" in drained.refetch_error
    assert live.one("select nickname from stripe.prices where id = 'price_fine'") == "True"
    assert live.one("select object_id from tidegate.refetches where next_try_at < 'infinity'") == "dp_1"


def test_nothing_is_written_for_a_connection_that_was_purged_meanwhile(live: Live) -> None:
    live.told(event("customer.created", customer(), 100, "evt_1"))
    live.run("insert into tidegate.refetches (connection, resource, object_id, reason) "
             "values ('acme', 'customers', :id, 'event')", id=live.full("customers")["id"])  # fmt: skip
    live.run("delete from tidegate.connections")
    live.drain()
    assert live.one("select count(*) from stripe.customers") == 0
    with live.hub.engine.connect() as db:
        assert db.scalar(text("select count(*) from tidegate.inbox where state = 'waiting'")) == 1


@pytest.mark.wide
def test_what_is_named_and_gone_is_asked_for_once(live: Live) -> None:
    """Until something else is heard of it, or a sweep."""

    def told(at: int) -> None:
        live.told(event("customer.subscription.updated", subscription(metadata={"n": str(at)}), at))
        live.drain()

    for at in (100, 101, 102):
        told(at)
    assert (live.requests("GET /v1/prices/{id}"), live.requests("GET /v1/products/{id}")) == (1, 1)
    with live.hub.engine.connect() as db:
        assert refetches.summary(db, live.name)["waiting"] == 0, "nothing is to be done"
    back = live.put(price("price_1", created=live.now))
    live.told(event("price.created", back, live.now - 5))
    live.drain()
    assert live.requests("GET /v1/prices/{id}") == 2
    assert live.rows("select resource, object_id from tidegate.refetches") == [
        {"resource": "products", "object_id": "prod_1"}
    ]
    looked = [imported(live.hub, live.account, full=full)["resources"]["products"] for full in (False, True, False)]
    assert [one["skipped"] for one in looked] == [{}, {settle.GONE: 1}, {}]


@pytest.mark.parametrize("first", ["invoice", "item"])
def test_an_item_that_an_invoice_took_up_is_looked_at_again(live: Live, first: str) -> None:
    """Stripe has no event for that, and the invoice may be heard of before or after the item."""
    billed = {"id": "ii_1", "object": "invoiceitem", "created": 10, "date": live.now - 20, "customer": "cus_1",
              "currency": "usd", "amount": 1000, "invoice": "in_1"}  # fmt: skip
    live.put(billed)
    named = {"type": "invoice_item_details", "invoice_item_details": {"invoice_item": "ii_1"}}
    told = {
        "invoice": event("invoice.created", invoice(lines=[line("il_1", parent=named)]), live.now - 10),
        "item": event("invoiceitem.created", billed | {"invoice": None}, live.now - 20),
    }
    for name in sorted(told, key=lambda name: name != first):
        live.told(told[name])
        live.drain()
    assert live.one("select invoice from stripe.invoiceitems") == "in_1"
    assert live.one("select count(*) from tidegate.refetches where next_try_at < 'infinity'") == 0


@pytest.mark.parametrize("status", ["void", "uncollectible", "paid"])
def test_a_payment_that_ended_with_its_invoice_is_looked_at_again(live: Live, status: str) -> None:
    """Stripe has no event for a payment's being canceled (docs.stripe.com/api/events/types)."""
    payment = {"id": "inpay_1", "object": "invoice_payment", "created": 10, "invoice": "in_1", "status": "open",
               "payment": {"type": "payment_intent", "payment_intent": "pi_1"}}  # fmt: skip
    live.told(event("invoice_payment.paid", payment, live.now - 20))
    live.told(event("invoice.updated", invoice(status="open", lines=[]), live.now - 20))
    live.drain()
    live.put(payment | {"status": "canceled"})
    live.told(event("invoice.updated", invoice(status=status, lines=[]), live.now - 10))
    live.drain()
    assert live.one("select status from stripe.invoice_payments") == "canceled"
    assert live.requests("GET /v1/invoice_payments/{id}") == 1, "not while the invoice was open"


def test_a_stop_leaves_the_rest_for_the_next_drain(live: Live) -> None:
    live.told(event("price.updated", live.put(price("price_1")), live.now - 10))
    stop = threading.Event()
    stop.set()
    with stripe(live.sandbox.key, live.sandbox.url) as api:
        assert drain(live.hub.engine, live.account, api, stop=stop).handled == 0
    assert set(states(live).values()) == {"waiting"}
    assert live.drain().handled == 1


def test_a_whole_copy_takes_the_place_of_one_that_came_cut_off(live: Live) -> None:
    whole = event("customer.created", customer(), 100, "evt_1")
    with live.hub.engine.begin() as db:
        cut_off = inbox.Entry("acme", "evt_1", "", 100, "events", json.dumps(whole)[:80])
        assert inbox.keep(db, [cut_off]) == 1
    live.drain()
    assert live.one("select state from tidegate.inbox") == "parked"
    with live.hub.engine.begin() as db:
        assert inbox.keep(db, [cut_off]) == 0
    assert live.one("select state from tidegate.inbox") == "parked", "another cut-off copy is no better"
    assert live.told(whole, whole) == 1
    live.drain()
    assert live.one("select count(*) from stripe.customers") == 1
    assert live.one("select state || ' ' || type || ' ' || source from tidegate.inbox") == (
        "handled customer.created webhook"
    )
    assert live.told(whole) == 0


def test_a_whole_event_that_was_parked_stays_so_when_it_comes_again(live: Live) -> None:
    whole = event("customer.created", customer(), 100, "evt_1")
    live.told(whole)
    live.run("update tidegate.inbox set state = 'parked'")
    assert live.told(whole) == 0
    assert live.one("select state from tidegate.inbox") == "parked"
