"""What is consumed is told to Stripe's meters: each debit once, by a task, whatever happens."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from tests.support.desk import Desk, opened
from tests.support.forwarding import Counting
from tests.support.usage import counted, identifiers, now

from tidegate.catalog import features
from tidegate.errors import CatalogInvalid
from tidegate.outbound import pausing
from tidegate.workflows.contacts.contacts_forget import forget
from tidegate.workflows.contacts.contacts_merge import merged, unmerged
from tidegate.workflows.entitlements.entitlements import settle
from tidegate.workflows.operation import retention
from tidegate.workflows.previewing import commit

pytestmark = pytest.mark.further

WIDE = pytest.mark.wide


@pytest.fixture
def desk(fresh_database_url: str, secret_key: str, tmp_path: Path) -> Iterator[Desk]:
    with opened(fresh_database_url, secret_key, tmp_path, as_of=now()) as desk:
        yield desk


@pytest.fixture
def counting(desk: Desk) -> Counting:
    return Counting(desk)


def test_each_debit_is_told_once(counting: Counting) -> None:
    counting.consume(3, "one")
    counting.consume(3, "one")  # the same order again
    counting.consume(4)
    assert counted(counting.sandbox) == {}, "nothing is told in the request"
    assert counting.tick() == ["forward_usage:acme"]
    assert counting.forward() == {"connection": "acme", "state": "done", "sent": 2}
    assert counted(counting.sandbox) == {counting.ada: 7}
    assert counting.tick() == []
    assert counting.forward()["state"] == "done"
    assert len(identifiers(counting.sandbox)) == 2
    assert counting.states() == {"sent": 2}


def test_what_was_consumed_before_the_meter_was_named_is_not_told(counting: Counting) -> None:
    counting.meter("")
    counting.consume(5)
    counting.meter("calls")
    counting.consume(2)
    counting.meter("")
    counting.consume(1)
    counting.meter("calls")
    counting.forward()
    assert counted(counting.sandbox) == {counting.ada: 2}


def test_what_is_refused_or_only_reserved_is_not_told_and_what_it_took_is(counting: Counting) -> None:
    assert counting.consume(10_000)["allowed"] is False
    reserved = counting.use("reserve", 100)
    counting.forward()
    assert counted(counting.sandbox) == {}
    settle(counting.engine, False, counting.who, "calls", reserved["reservation"], 62)
    settle(counting.engine, False, counting.who, "calls", reserved["reservation"], 62)
    let_go = counting.use("reserve", 50)
    settle(counting.engine, False, counting.who, "calls", let_go["reservation"], 0)
    counting.forward()
    assert counted(counting.sandbox) == {counting.ada: 62}


@pytest.mark.wide
def test_what_is_given_back_takes_its_event_back_or_counts_below_0(counting: Counting) -> None:
    counting.consume(5)
    counting.consume(3)
    counting.forward()
    counting.use("release", 3)
    counting.forward()
    assert counted(counting.sandbox) == {counting.ada: 5}
    assert counting.states() == {"sent": 2, "taken_back": 1}
    counting.use("release", 2)  # no event is of this size
    counting.forward()
    assert counted(counting.sandbox) == {counting.ada: 3}
    assert len(identifiers(counting.sandbox)) == 3
    counting.use("set", 9)
    counting.use("set", 1)
    counting.forward()
    assert counted(counting.sandbox) == {counting.ada: 1}


@pytest.mark.wide
def test_an_event_of_yesterday_is_not_taken_back_but_made_up_for(counting: Counting) -> None:
    counting.consume(5)
    counting.forward()
    counting.a_day_later()
    counting.use("release", 5)
    counting.forward()
    assert counted(counting.sandbox) == {}
    assert len(identifiers(counting.sandbox)) == 2
    assert counting.states() == {"sent": 2}


# Who pays.


@pytest.mark.wide
def test_of_several_customers_the_one_pays_whose_subscription_gives_it(counting: Counting) -> None:
    other = counting.customer("two@count.example")
    counting.link(other)
    counting.consume(4)
    counting.forward()
    assert counted(counting.sandbox) == {counting.ada: 4}


@pytest.mark.wide
def test_who_has_no_customer_waits_and_is_told_when_there_is_one(counting: Counting) -> None:
    counting.contact("free", calls=100)
    counting.consume(6, who="free")
    assert counting.tick() == []
    assert counting.states() == {"waiting": 1}
    assert counting.said() == ["the contact has no customer in Stripe"]
    [one] = [counting.customer(f"{name}@count.example") for name in ("late",)]
    counting.link(one, "free")
    counting.again()
    assert counting.tick() == ["forward_usage:acme"]
    counting.forward()
    assert counted(counting.sandbox) == {one: 6}


@pytest.mark.wide
def test_of_several_customers_none_of_whom_gives_it_none_pays(counting: Counting) -> None:
    counting.contact("both", calls=100)
    for name in ("x", "y"):
        counting.link(counting.customer(f"{name}@count.example"), "both")
    counting.consume(1, who="both")
    counting.tick()
    [why] = counting.said()
    assert "the contact has several customers" in why
    assert "no subscription of theirs gives the feature" in why
    with counting.engine.begin() as db:
        db.execute(text("update tidegate.meter_forwards set at = at - interval '36 days'"))
    counting.tick()
    assert counting.states() == {"discarded": 1}
    assert counted(counting.sandbox) == {}


@pytest.mark.wide
def test_a_merge_takes_along_what_waits_and_an_unmerge_gives_it_back(counting: Counting) -> None:
    counting.contact("free", calls=100)
    counting.consume(6, who="free")
    with counting.engine.connect() as db:
        before = db.execute(text("select contact from tidegate.meter_forwards")).scalar_one()
    done = commit(counting.engine, merged(False, counting.who, "free", "me"), None)
    with counting.engine.connect() as db:
        assert db.execute(text("select contact from tidegate.meter_forwards")).scalar_one() != before
    commit(counting.engine, unmerged(int(done.result["merge"]), "me"), None)
    with counting.engine.connect() as db:
        assert db.execute(text("select contact from tidegate.meter_forwards")).scalar_one() == before


# Troubles.


@pytest.mark.parametrize("fault", ["reset", pytest.param("truncate", marks=WIDE), pytest.param("500", marks=WIDE)])
@pytest.mark.wide
def test_an_answer_that_is_lost_counts_once(counting: Counting, fault: str) -> None:
    for n in range(1, 5):
        counting.consume(n)
    counting.on_events(lambda n: fault if n == 2 else None)
    counting.forward()
    counting.healed()
    counting.again()
    counting.forward()
    assert counting.states() == {"sent": 4}
    assert counted(counting.sandbox) == {counting.ada: 10}
    assert len(identifiers(counting.sandbox)) == 4


@pytest.mark.parametrize("counts", [True, False])
@pytest.mark.wide
def test_after_a_day_the_summary_tells_whether_it_was_counted(counting: Counting, counts: bool) -> None:
    counting.consume(5)
    counting.on_events(lambda _: "500", late=counts)
    counting.forward()
    counting.healed()
    assert counted(counting.sandbox) == ({counting.ada: 5} if counts else {})
    assert counting.states() == {"intended": 1}
    counting.a_day_later()
    counting.forward()
    counting.again()
    counting.forward()
    assert counting.states() == {"sent": 1}
    assert counted(counting.sandbox) == {counting.ada: 5}
    assert len(identifiers(counting.sandbox)) == 1


@pytest.mark.wide
def test_what_nobody_knows_is_said_and_not_told_again_but_by_a_person(counting: Counting) -> None:
    counting.consume(5)
    counting.on_events(lambda _: "500")
    counting.forward()
    counting.healed()
    of_first = counting.sandbox.call(lambda: next(iter(counting.sandbox.state.metering.known.values())))
    counting.sandbox.call(lambda: setattr(of_first, "value", 4))  # somebody else told of that minute, too
    counting.a_day_later()
    counting.forward()
    assert counting.states() == {"unknown": 1}
    [why] = counting.said()
    assert "nobody knows whether Stripe counted it" in why
    assert counting.problems() == ["usage_failed"]
    counting.forward()
    assert len(identifiers(counting.sandbox)) == 1
    assert counting.retry([counting.numbers()[0]]) == 1
    counting.forward()
    assert len(identifiers(counting.sandbox)) == 2


@pytest.mark.wide
def test_what_stripe_refuses_is_in_status_and_can_be_tried_again(counting: Counting) -> None:
    counting.consume(5)
    with counting.engine.begin() as db:  # the mirror knows a customer that Stripe does not
        db.execute(text("update tidegate.meter_forwards set customer = 'cus_gone'"))
        db.execute(
            text("""
insert into stripe.customers (connection, id, updated_at, certainty, data)
values ('acme', 'cus_gone', now(), 1, '{"id": "cus_gone", "object": "customer"}')""")
        )
    assert counting.forward() == {"connection": "acme", "state": "done", "failed": 1}
    assert "No such customer" in counting.said()[0]
    assert counting.problems() == ["usage_failed"]
    with counting.engine.begin() as db:
        db.execute(text("update tidegate.meter_forwards set customer = :ada"), {"ada": counting.ada})
    assert counting.retry() == 1
    counting.forward()
    assert (counting.problems(), counted(counting.sandbox)) == ([], {counting.ada: 5})


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda counting: counting.meter("none"), "no meter of this event name"),
        pytest.param(lambda one: one.other_meter("count"), "takes the count of its events", marks=WIDE),
        pytest.param(lambda one: one.other_meter("sum", active=False), "deactivated", marks=WIDE),
    ],
)
@pytest.mark.wide
def test_a_meter_that_takes_nothing_is_named_and_what_was_used_waits(
    counting: Counting, make: Callable[[Counting], Any], why: str
) -> None:
    make(counting)
    counting.consume(5)
    counting.forward()
    assert counting.states() == {"waiting": 1}
    assert why in counting.said()[0]
    with counting.engine.begin() as db:
        db.execute(text("update tidegate.meter_forwards set at = at - interval '20 minutes'"))
    assert counting.problems() == ["usage_late"]
    with counting.engine.begin() as db:
        db.execute(text("update tidegate.meter_forwards set at = at - interval '36 days'"))
    counting.again()
    counting.forward()
    assert counting.states() == {"failed": 1}
    assert "35 days" in counting.said()[0]


@pytest.mark.wide
def test_a_pause_holds_it(counting: Counting) -> None:
    counting.consume(5)
    with counting.engine.begin() as db:
        pausing.pause(db, "me")
    assert counting.tick() == []
    assert counting.forward() == {"connection": "acme", "state": "paused"}
    assert counting.problems() == ["outbound_paused"]
    with counting.engine.begin() as db:
        pausing.resume(db)
    counting.forward()
    assert counted(counting.sandbox) == {counting.ada: 5}


@pytest.mark.wide
def test_without_a_key_that_may_write_it_waits_and_says_so(counting: Counting) -> None:
    with counting.engine.begin() as db:
        db.execute(text("update tidegate.connections set write_key = null"))
    counting.consume(5)
    done = counting.forward()
    assert done["state"] == "put_off"
    assert "write" in done["error"]
    assert counting.states() == {"waiting": 1}


@pytest.mark.wide
def test_a_storm_of_429_fails_nothing(counting: Counting) -> None:
    for _ in range(5):
        counting.consume(1)
    counting.on_events(lambda n: "429" if n < 4 else None)
    counting.forward()
    counting.again()
    counting.forward()
    assert counting.states() == {"sent": 5}
    assert counted(counting.sandbox) == {counting.ada: 5}


@pytest.mark.wide
def test_what_was_told_goes_when_stripe_would_take_it_no_more(counting: Counting) -> None:
    counting.consume(1)
    counting.forward()
    counting.consume(1)
    with counting.engine.begin() as db:
        db.execute(text("update tidegate.meter_forwards set settled_at = settled_at - interval '35 days'"))
    assert retention.forget_old(counting.engine, {**retention.DAYS, "usage": 1})["meter_forwards"] == 0
    with counting.engine.begin() as db:
        db.execute(text("update tidegate.meter_forwards set settled_at = settled_at - interval '2 days'"))
    assert retention.forget_old(counting.engine, {**retention.DAYS, "usage": 1})["meter_forwards"] == 1
    assert counting.states() == {"waiting": 1}


@pytest.mark.wide
def test_only_what_is_metered_names_a_meter(counting: Counting) -> None:
    with counting.engine.begin() as db, pytest.raises(CatalogInvalid, match="only what is metered can name a meter"):
        features.define(db, "sso", "boolean", meter="calls")
    with counting.engine.begin() as db, pytest.raises(CatalogInvalid, match="at most 100"):
        features.define(db, "calls", "metered", meter="x" * 101)


@pytest.mark.wide
def test_of_a_person_who_is_forgotten_nothing_is_told_any_more(counting: Counting) -> None:
    counting.consume(3)
    forget(counting.engine, False, counting.who, "me", only_preview=False)
    counting.forward()
    assert counting.states() == {"discarded": 1}
    assert counting.said() == ["the person was forgotten"]
    assert counted(counting.sandbox) == {}
