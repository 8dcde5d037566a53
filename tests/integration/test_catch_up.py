"""Reading Stripe's events again: from where it stopped, nothing twice, nothing missed, and said when it is too late."""

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.support.builders import customer, event
from tests.support.importing import differences, imported, stripe
from tests.support.live import Live
from tests.support.queue import jobs

from tidegate.connections import runs
from tidegate.errors import CatchUpRunning, StripeBodyUnreadable, StripeKeyInvalid, StripePermissionMissing
from tidegate.mirror.event_list import read_events
from tidegate.sandbox.keys import Key
from tidegate.stripe_api.calls import Answer
from tidegate.stripe_api.client import StripeApi
from tidegate.wiring import Hub
from tidegate.workflows import clock_tasks, connection_tasks
from tidegate.workflows.mirror.catch_up import catch_up
from tidegate.workflows.refresh import refresh_changed
from tidegate.workflows.task_context import TaskContext

if TYPE_CHECKING:
    from tidegate.sandbox.server import Sandbox

DAY = 86_400


@pytest.fixture
def database_url(fresh_database_url: str) -> str:
    """Every test of this module has a database of its own."""
    return fresh_database_url


@pytest.fixture
def live(hub: Hub, make_sandbox: Callable[..., "Sandbox"]) -> Live:
    """A connection to a small company with more than a page of events, and nothing imported."""
    live = Live(hub, make_sandbox(customers=15, months=2))
    live.sandbox.advance(20 * DAY)
    return live


def held(live: Live) -> int:
    """How many events Stripe shows: those of the last 30 days."""

    def count() -> int:
        events = live.sandbox.state["events"]
        return sum(events.shown(id_)["created"] >= live.now - 30 * DAY for id_ in events.ids)

    return live.sandbox.call(count)


def at(instant: datetime | None) -> int:
    assert instant is not None
    return int(instant.timestamp())


@pytest.mark.wide
def test_the_first_time_reads_all_that_stripe_has_also_after_an_import(live: Live) -> None:
    assert held(live) > 100
    imported(live.hub, live.account)
    assert live.now - 1 <= at(live.standing().complete_as_of) <= live.now
    assert live.standing().events_until is None, "an import reads no events"
    first = live.catch_up()
    assert (first["seen"], first["new"], first["gap"]) == (held(live), held(live), False)
    assert live.catch_up()["new"] == 0


@pytest.mark.wide
def test_what_the_import_has_read_is_not_fetched_again_for_the_events_before(live: Live) -> None:
    imported(live.hub, live.account)
    before = live.sandbox.stats()["requests"]
    live.catch_up()
    after = live.sandbox.stats()["requests"]
    asked = {name for name in after if after[name] != before.get(name, 0)}
    assert asked <= {"GET /v1/events", "GET /v1/invoice_payments"}


@pytest.mark.wide
def test_the_place_stays_a_minute_behind_and_its_second_is_read_again(live: Live) -> None:
    live.catch_up()
    place = at(live.standing().events_until)
    assert live.now - 61 <= place <= live.now - 60
    asked: list[Any] = []
    with stripe(live.sandbox.key, live.sandbox.url) as api:
        read = api.read

        def noting(path: str, decode: Any, params: Any = None, **options: Any) -> Any:
            asked.append(params)
            return read(path, decode, params, **options)

        api.read = noting  # pyright: ignore[reportAttributeAccessIssue]
        catch_up(live.hub.engine, live.standing(), api)
    assert asked == [
        {"limit": 100, "created": {"gte": place}},  # the events, and what is made without one
        {"limit": 100, "created": {"gte": place}},
    ]


def _open_payment(live: Live, id_: str) -> dict[str, Any]:
    """A payment that an invoice waits for: Stripe tells of it by no event."""
    return live.put(
        {"id": id_, "object": "invoice_payment", "created": live.now, "invoice": "in_1", "status": "open",
         "livemode": False, "payment": {"type": "payment_intent", "payment_intent": "pi_1"}}
    )  # fmt: skip


def test_what_comes_to_be_without_an_event_is_read_with_the_events(live: Live) -> None:
    live.catch_up()
    live.sandbox.advance(120)
    for n in range(130):
        _open_payment(live, f"inpay_{n:03}")
    live.catch_up()
    open_ones = "select count(*) from stripe.invoice_payments where id like 'inpay____' and status = 'open'"
    assert live.one(open_ones) == 130
    live.sandbox.advance(600)
    live.catch_up()
    asked = live.requests("GET /v1/invoice_payments")
    live.catch_up()
    assert live.requests("GET /v1/invoice_payments") == asked + 1, "only what was made in the last minute is read again"


@pytest.mark.further
def test_a_list_that_is_refused_keeps_no_event_from_being_read(live: Live) -> None:
    live.catch_up()
    _key(live, permissions={"accounts": "read", "events": "read"})
    live.sandbox.advance(120)
    _open_payment(live, "inpay_hidden")
    before = live.standing().events_until
    live.catch_up()
    assert live.standing().events_until > before
    assert live.one("select count(*) from stripe.invoice_payments where id = 'inpay_hidden'") == 0


@pytest.mark.further
def test_an_event_that_shows_late_is_not_missed(live: Live) -> None:
    """The list is eventually consistent: it may show an event a minute after its time."""
    live.catch_up()
    late = event("customer.created", customer("cus_late", created=live.now - 30), live.now - 30, "evt_late")
    live.put(late | {"pending_webhooks": 0, "request": None})
    assert live.catch_up()["new"] == 1
    assert live.one("select count(*) from stripe.customers where id = 'cus_late'") == 1


@pytest.mark.wide
def test_what_a_webhook_brought_is_not_handled_again(live: Live) -> None:
    live.catch_up()
    live.put(customer("cus_new", created=live.now), "customer.created")
    (id_,) = live.sandbox.call(lambda: list(live.sandbox.state["events"].ids)[-1:])
    live.told(live.full("events", id_))
    assert live.drain().handled == 1
    caught = live.catch_up()
    assert (caught["new"], caught["inbox"]["handled"]) == (0, 0)
    assert live.one("select source from tidegate.inbox where event_id = :id", id=id_) == "webhook"


@pytest.mark.wide
def test_forty_days_in_steps_end_equal(live: Live, hub: Hub, make_sandbox: Callable[..., "Sandbox"]) -> None:
    big = Live(hub, make_sandbox(customers=60), "big")
    imported(hub, big.account)
    for _ in range(4):
        big.sandbox.advance(10 * DAY)
        caught = big.catch_up()
        assert (caught["gap"], caught["inbox"]["failed"], caught["inbox"]["refetch_error"]) == (False, {}, "")
    assert [one for one in big.audit()["resources"] if one["verdict"] != "equal"] == []
    assert differences(hub, big.sandbox, "big") == {}


@pytest.mark.wide
def test_a_gap_is_said_until_an_import_has_closed_it(live: Live) -> None:
    imported(live.hub, live.account)
    live.catch_up()
    place = at(live.standing().events_until)
    live.sandbox.advance(40 * DAY)
    caught = live.catch_up()
    assert caught["gap"] is True
    (problem,) = live.rows("select code, detail from tidegate.problems")
    assert problem["code"] == "events_lost"
    for instant in (place, live.now - 30 * DAY - 1):
        assert f"{datetime.fromtimestamp(instant, UTC):%Y-%m-%d %H:%M}" in problem["detail"]
    assert live.catch_up()["gap"] is False, "the place has moved on"
    assert live.one("select code from tidegate.problems") == "events_lost", "and the problem stays"
    imported(live.hub, live.account, full=True)
    live.catch_up()
    assert live.one("select count(*) from tidegate.problems") == 0
    assert live.audit()["clean"] is True


@pytest.mark.wide
def test_a_first_reading_long_after_the_import_finds_the_gap(live: Live) -> None:
    imported(live.hub, live.account)
    began = live.one("select options -> 'began' from tidegate.runs")
    gone = live.sandbox.call(lambda: live.sandbox.state["customers"].ids[0])
    live.remove("customers", gone)
    live.sandbox.advance(35 * DAY)
    imported(live.hub, live.account)  # lists do not show what was deleted
    promised = at(live.standing().complete_as_of)
    live.sandbox.advance(5 * DAY)
    assert live.catch_up()["gap"] is True
    (problem,) = live.rows("select code, detail from tidegate.problems")
    assert problem["code"] == "events_lost"
    assert f"{datetime.fromtimestamp(began, UTC):%Y-%m-%d %H:%M}" in problem["detail"]
    assert at(live.standing().complete_as_of) == promised, "no more is promised"
    imported(live.hub, live.account, full=True)
    live.catch_up()
    assert live.one("select count(*) from tidegate.problems") == 0
    assert live.one("select deleted_at is null from stripe.customers where id = :id", id=gone) is False
    assert at(live.standing().complete_as_of) > promised


@pytest.mark.wide
def test_a_first_reading_soon_after_the_import_finds_none(live: Live) -> None:
    imported(live.hub, live.account)
    live.sandbox.advance(40 * DAY)
    imported(live.hub, live.account, full=True)
    live.sandbox.advance(29 * DAY)
    assert live.catch_up()["gap"] is False


@pytest.mark.further
def test_an_import_that_was_interrupted_for_a_month_begins_anew(live: Live) -> None:
    stop = threading.Event()
    first = imported(live.hub, live.account, stop=stop, progress=lambda _: stop.set())
    live.sandbox.advance(28 * DAY)
    stop.clear()
    assert imported(live.hub, live.account, stop=stop, progress=lambda _: stop.set())["run"] == first["run"]
    live.sandbox.advance(2 * DAY)
    assert imported(live.hub, live.account)["run"] != first["run"]
    assert live.catch_up()["gap"] is False


@pytest.mark.further
def test_an_import_hides_no_gap(live: Live) -> None:
    """It lists what is there; what was deleted meanwhile, and earlier versions, only the events would have told."""
    imported(live.hub, live.account)
    live.catch_up()
    gone = live.sandbox.call(lambda: live.sandbox.state["customers"].ids[0])
    live.remove("customers", gone, "customer.deleted")
    live.sandbox.advance(40 * DAY)
    imported(live.hub, live.account)
    assert live.catch_up()["gap"] is True
    assert live.one("select deleted_at is null from stripe.customers where id = :id", id=gone) is True
    live.catch_up()
    assert live.one("select code from tidegate.problems") == "events_lost", "no plain import answers it"
    promised = live.standing().complete_as_of
    imported(live.hub, live.account, full=True)
    live.catch_up()
    assert live.one("select count(*) from tidegate.problems") == 0
    assert live.one("select deleted_at is null from stripe.customers where id = :id", id=gone) is False
    assert at(live.standing().complete_as_of) >= at(promised)


@pytest.mark.wide
def test_an_import_leaves_the_place_where_the_events_were_read_to(live: Live) -> None:
    live.catch_up()
    place = live.standing().events_until
    live.sandbox.advance(5 * DAY)
    happened = held(live)
    imported(live.hub, live.account)
    assert live.standing().events_until == place
    assert live.catch_up()["new"] > 0
    assert live.one("select count(*) from tidegate.inbox") >= happened


def test_the_place_never_goes_back(live: Live) -> None:
    later = datetime.fromtimestamp(live.now + 5, UTC)
    live.run("update tidegate.connections set events_until = :later, caught_up_at = now()", later=later)
    live.catch_up()
    assert live.standing().events_until == later


def test_a_long_reading_that_is_interrupted_goes_on_from_the_last_whole_day(live: Live) -> None:
    class Interrupted(Exception): ...

    with stripe(live.sandbox.key, live.sandbox.url) as api:
        read, asked = api.read, list[Any]()

        def breaking(path: str, decode: Any, params: Any = None, **options: Any) -> Any:
            asked.append(params)
            if len(asked) == 12:
                raise Interrupted
            return read(path, decode, params, **options)

        api.read = breaking  # pyright: ignore[reportAttributeAccessIssue]
        with pytest.raises(Interrupted):
            catch_up(live.hub.engine, live.standing(), api)
    place = at(live.standing().events_until)
    assert place == asked[-1]["created"]["gte"], "what was read until then counts"
    assert live.now - 25 * DAY < place < live.now - 15 * DAY
    assert live.standing().caught_up_at is None
    assert live.catch_up()["gap"] is False
    assert live.one("select count(*) from tidegate.inbox") == held(live)


def test_an_event_that_passes_its_thirty_days_while_it_is_read_is_no_trouble(live: Live) -> None:
    with stripe(live.sandbox.key, live.sandbox.url) as api:
        read, gone = api.read, list[str]()

        def expiring(path: str, decode: Any, params: Any = None, **options: Any) -> Any:
            if "starting_after" in (params or {}) and len(gone) < 2:
                gone.append(params["starting_after"])
                params = {**params, "starting_after": "evt_gone"}
            return read(path, decode, params, **options)

        api.read = expiring  # pyright: ignore[reportAttributeAccessIssue]
        pages = list(read_events(api, None))
    assert len(gone) == 2
    assert {event.id for page in pages for event, _ in page.events} >= set(gone)
    assert len({event.id for page in pages for event, _ in page.events}) == held(live)


def test_two_do_not_read_the_events_side_by_side(live: Live) -> None:
    with runs.exclusive(live.hub.engine, "acme", "catch_up") as alone:
        assert alone
        with pytest.raises(CatchUpRunning, match="acme"):
            live.catch_up()


@pytest.mark.wide
def test_stopped_between_pages_it_keeps_what_it_read_and_not_the_place(live: Live) -> None:
    stop = threading.Event()
    stop.set()
    with stripe(live.sandbox.key, live.sandbox.url) as api:
        caught = catch_up(live.hub.engine, live.standing(), api, stop=stop)
    assert (caught["seen"], caught["until"]) == (100, None)
    assert live.standing().events_until is None
    assert live.catch_up()["new"] == held(live) - 100


class Endless:
    """Stripe with a list of events that goes round in a circle."""

    livemode = None

    def __init__(self, ids: list[str]) -> None:
        self.pages = [msgspec.json.encode({"object": "list", "has_more": True, "data": [
            event("customer.created", customer(), 100, id_)]}) for id_ in ids]  # fmt: skip
        self.asked = 0

    def read(self, path: str, decode: Callable[[bytes], Any], params: Any) -> tuple[Any, Answer]:
        body = self.pages[self.asked % len(self.pages)]
        self.asked += 1
        assert self.asked < 50
        return decode(body), Answer(body, datetime.now(UTC), 0.0, "req_1")


@pytest.mark.parametrize("ids", [["evt_1"], ["evt_1", "evt_2"], ["evt_1", "evt_2", "evt_3", "evt_2"]])
def test_a_list_that_never_ends_is_an_error(ids: list[str]) -> None:
    endless: Any = Endless(ids)
    with pytest.raises(StripeBodyUnreadable, match="does not move on"):
        list(read_events(endless, None))


def test_an_event_that_cannot_be_read_is_kept_for_a_person_and_costs_no_other(live: Live) -> None:
    odd = {"id": "evt_odd", "object": "event", "type": 7, "created": live.now, "data": {}}
    live.put(odd)
    live.put(customer("cus_new", created=live.now), "customer.created")
    caught = live.catch_up()
    assert caught["unreadable"] == 1
    (parked,) = live.rows("select event_id, state, error, body from tidegate.inbox where state = 'parked'")
    assert (parked["event_id"], json.loads(parked["body"])) == ("evt_odd", odd)
    assert parked["error"]
    assert live.one("select count(*) from stripe.customers where id = 'cus_new'") == 1


def _key(live: Live, **facts: Any) -> None:
    assert live.sandbox.server is not None
    ring = live.sandbox.server.keys
    live.sandbox.call(lambda: ring.add(Key(live.sandbox.key, **facts)))


@pytest.mark.further
def test_a_key_that_may_not_read_events_is_a_problem_until_it_may(live: Live) -> None:
    _key(live, permissions={"accounts": "read"})
    with pytest.raises(StripePermissionMissing):
        live.catch_up()
    (problem,) = live.rows("select code, subject from tidegate.problems")
    assert dict(problem) == {"code": "permission_missing", "subject": "GET /v1/events"}
    _key(live)
    live.catch_up()
    assert live.one("select count(*) from tidegate.problems") == 0


def test_a_revoked_key_is_a_problem_until_another_works(live: Live) -> None:
    _key(live, revoked=True)
    with pytest.raises(StripeKeyInvalid):
        live.catch_up()
    assert live.one("select code from tidegate.problems") == "key_invalid"
    assert live.standing().caught_up_at is None
    _key(live)
    live.catch_up()
    assert live.one("select count(*) from tidegate.problems") == 0
    caught_up_at = live.standing().caught_up_at
    assert caught_up_at is not None
    assert datetime.now(UTC) - caught_up_at < timedelta(minutes=1)


def test_the_list_is_read_a_page_at_a_time(live: Live) -> None:
    with stripe(live.sandbox.key, live.sandbox.url) as api:
        pages = read_events(api, None)
        next(pages)
        assert live.requests("GET /v1/events") == 1
        assert isinstance(api, StripeApi)
        rest = list(pages)
    assert 1 + len(rest) == -(-held(live) // 100)


@pytest.mark.further
def test_pages_of_nothing_but_unreadable_events_are_passed(live: Live) -> None:
    for n in range(230):
        live.put({"id": f"evt_odd{n}", "object": "event", "type": 7, "created": live.now, "data": {}})
    caught = live.catch_up()
    assert caught["unreadable"] == 230
    assert caught["seen"] == held(live)


@pytest.mark.wide
def test_a_gap_whose_ring_was_lost_is_rung_for_again_until_a_full_import_has_answered(live: Live) -> None:
    imported(live.hub, live.account)
    live.catch_up()
    live.sandbox.advance(40 * DAY)
    assert live.catch_up()["gap"] is True
    context = TaskContext(live.hub.engine, lambda account: stripe(live.sandbox.key, account.api_base))
    assert "import_account:acme" in clock_tasks.tick(context, 60)
    assert live.one("select args -> 'full' from tidegate.procrastinate_jobs where task_name = 'import_account'") is True
    live.run("delete from tidegate.procrastinate_jobs")
    with runs.exclusive(live.hub.engine, "acme", "import"), live.hub.engine.begin() as db:
        run = runs.begin(db, "acme", "import", {"resources": [], "full": True}, "me")
    with runs.exclusive(live.hub.engine, "acme", "import"):
        assert "import_account:acme" not in clock_tasks.tick(context, 60), "somebody is at it"
    live.run("update tidegate.runs set state = 'interrupted' where id = :run", run=run)
    live.run("delete from tidegate.procrastinate_jobs")
    assert "import_account:acme" in clock_tasks.tick(context, 60)
    resume = "select args -> 'full' from tidegate.procrastinate_jobs where task_name = 'import_account'"
    assert live.one(resume) is False, "it goes on with the one that was begun"
    live.run("delete from tidegate.procrastinate_jobs")
    live.run("update tidegate.runs set state = 'done' where id = :run", run=run)
    assert "import_account:acme" not in clock_tasks.tick(context, 60)


@pytest.mark.further
def test_a_worker_answers_a_gap_with_an_import_of_everything(live: Live) -> None:
    imported(live.hub, live.account)
    live.catch_up()
    refresh_changed(live.hub.engine, live.account)
    context = TaskContext(live.hub.engine, lambda account: stripe(live.sandbox.key, account.api_base))
    connection_tasks.catch_up(context, "acme")
    assert jobs(live.hub.engine) == []
    live.sandbox.advance(40 * DAY)
    assert connection_tasks.catch_up(context, "acme")["gap"] is True
    assert ("import_account", "acme", "todo") in jobs(live.hub.engine)
    assert live.one("select args -> 'full' from tidegate.procrastinate_jobs where task_name = 'import_account'") is True
