"""A key that may not read everything: the rest is imported, swept and kept current all the same."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from tests.support import replies
from tests.support.importing import imported
from tests.support.live import Live

from tidegate.wiring import Hub
from tidegate.workflows import due
from tidegate.workflows.mirror.sweep import sweep
from tidegate.workflows.operation import status

if TYPE_CHECKING:
    from tidegate.sandbox.answers import Request
    from tidegate.sandbox.http import Reply
    from tidegate.sandbox.server import Sandbox

pytestmark = pytest.mark.further


@pytest.fixture
def database_url(fresh_database_url: str) -> str:
    return fresh_database_url


@pytest.fixture
def live(hub: Hub, make_sandbox: Callable[..., "Sandbox"]) -> Live:
    return Live(hub, make_sandbox(customers=3, months=1))


def refusing(code: int, path: str, type_: str = "") -> Callable[["Request", "Reply"], "Reply | None"]:
    def answer(request: "Request", reply: "Reply") -> "Reply | None":
        return replies.refusal(code, type_, "not for you") if request.path.startswith(path) else None

    return answer


@pytest.mark.parametrize(("code", "why"), [(403, "permission_missing"), (400, "refused")])
def test_a_refused_list_is_left_out_and_the_rest_stays_current(live: Live, code: int, why: str) -> None:
    replies.changed(live.sandbox, refusing(code, "/v1/disputes"))
    first = imported(live.hub, live.account)
    assert (first["state"], first["left_out"]) == ("done", {"disputes": why})
    live.catch_up()
    assert live.standing().complete_as_of is not None
    with live.hub.engine.connect() as db:
        later = datetime.now(UTC) + timedelta(days=4)
        assert due.unswept(db, later, later.hour) == ["acme"]
    customer = live.full("customers")
    live.put(customer | {"name": "Changed in silence"})
    again = imported(live.hub, live.account)
    assert (again["resumed"], again["state"]) == (False, "done")
    name = "select name from stripe.customers where id = :id"
    assert live.one(name, id=customer["id"]) == "Changed in silence", "it began anew"
    shown = status.status(live.hub.engine)["connections"][0]
    assert shown["left_out"] == ["disputes"]
    assert {one["code"] for one in shown["problems"]} == {
        "permission_missing" if why == "permission_missing" else "import_incomplete"
    }


def test_lost_events_are_answered_by_a_sweep_that_may_not_read_everything(live: Live) -> None:
    replies.changed(live.sandbox, refusing(403, "/v1/disputes"))
    imported(live.hub, live.account)
    live.run("insert into tidegate.problems (connection, code, since) values ('acme', 'events_lost', now())")
    with live.hub.stripe(live.account) as api:
        assert sweep(live.hub.engine, live.account, api)["state"] == "done"
    assert "events_lost" not in {one["code"] for one in status.status(live.hub.engine)["problems"]}


def test_an_import_of_nothing_but_what_is_refused_is_incomplete(live: Live) -> None:
    restore = replies.changed(live.sandbox, refusing(403, "/v1/disputes"))
    summary = imported(live.hub, live.account, "disputes")
    assert (summary["state"], summary["passing"]) == ("incomplete", False)
    imported(live.hub, live.account)
    restore()
    assert imported(live.hub, live.account, "disputes")["state"] == "done"
    assert status.status(live.hub.engine)["connections"][0]["left_out"] == []


def test_what_failed_for_a_while_is_gone_on_with_and_begun_anew_when_it_is_old(live: Live) -> None:
    restore = replies.changed(live.sandbox, refusing(500, "/v1/coupons"))
    first = imported(live.hub, live.account, key=live.sandbox.key)
    assert (first["state"], first["left_out"], first["passing"]) == ("incomplete", {}, True)
    assert imported(live.hub, live.account, key=live.sandbox.key)["run"] == first["run"]
    live.run("update tidegate.runs set finished_at = now() - interval '21 hours'")
    restore()
    assert imported(live.hub, live.account)["run"] != first["run"]
