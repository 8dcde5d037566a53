"""The pages of outbound: a source, a model and a sync made by their forms, planned, run and looked into."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from httpx import Client
from sqlalchemy import text
from tests.support.numbers import assert_counted, assert_exported
from tests.support.visiting import sign_in, visited
from tests.support.warehouse import SPEC, Warehouse, ready

from tidegate.cli.worker import task_context
from tidegate.outbound import specs, syncs
from tidegate.outbound.syncs import FILE
from tidegate.sandbox import Sandbox
from tidegate.web.outbound import runs
from tidegate.wiring import Hub
from tidegate.workflows.outbound import revert_task, sync_asking, sync_plan, sync_task
from tidegate.workflows.outbound.sync_plan import Part

pytestmark = pytest.mark.further

STEPS = {
    "key": "people", "model": "accounts", "resource": "customers", "mode": "upsert", "way": "email", "by": "email",
    "rows": "3", "f0_name": "email", "f0_how": "column", "f0_value": "email", "f1_name": "metadata.tier",
    "f1_how": "column", "f1_value": "tier", "f1_nulls": "clear", "f2_name": "description", "f2_how": "template",
    "f2_value": "{{ company }} <b>", "delete": "remove", "cancel_subscriptions": "yes", "on_conflict": "flag",
    "schedule": "*/30 9-17 * * mon-fri", "time_zone": "Europe/Berlin", "stop_deletes": "7",
}  # fmt: skip
"""What somebody types into the wizard."""


@pytest.fixture
def shop(hub: Hub, make_sandbox: Callable[..., Sandbox], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    monkeypatch.setattr(sync_asking, "START_SECONDS", 0.0)
    with hub.engine.begin() as db:
        db.execute(
            text("""
truncate stripe.customers, tidegate.connections, tidegate.sources, tidegate.models, tidegate.syncs,
  tidegate.sync_rows, tidegate.requests, tidegate.runs, tidegate.pauses, tidegate.tokens, tidegate.users cascade""")
        )
    return ready(hub, make_sandbox(customers=2, months=1), tmp_path)


@pytest.fixture
def client(hub: Hub, shop: Warehouse) -> Iterator[Client]:
    with visited(hub) as client:
        yield client


@pytest.fixture
def admin(hub: Hub, client: Client) -> Client:
    sign_in(hub, client, "admin")
    return client


def work(hub: Hub, sync: str = "customers") -> dict[str, Any]:
    return sync_task.run_sync(task_context(hub), "acme", sync)


def ran(shop: Warehouse) -> int:
    """The number of a first run, of whose three rows one is refused by Stripe."""
    shop.write("update accounts set email = 'no address' where id = 3")
    shop.define()
    return int(shop.run(plan=shop.plan()["plan"])["run"])


def test_a_source_is_added_tried_and_kept_secret(admin: Client, shop: Warehouse) -> None:
    secret = "postgresql://me:geheim@127.0.0.1:1/db"
    wrong = admin.post("/sources", data={"key": "pg!", "url": secret})
    assert (wrong.status_code, 'id="key-wrong"' in wrong.text, "me:…@127.0.0.1" in wrong.text) == (422, True, True)
    assert admin.post("/sources", data={"key": "pg", "url": secret}).headers["location"] == "/sources"
    excel = admin.post("/sources", data={"key": "x", "url": "excel://<x>"})
    assert (excel.status_code, 'id="url-wrong"' in excel.text, "excel://&lt;x&gt;" in excel.text) == (422, True, True)
    tried = admin.post("/sources/pg/test")
    assert (tried.status_code, 'role="alert"' in tried.text) == (422, True)
    assert "asked for the model accounts" in admin.post("/sources/warehouse/test").text
    edited = admin.get("/sources?edit=pg").text
    assert "Change pg" in edited
    assert admin.post("/sources", data={"key": "pg", "url": "postgresql://me:…@127.0.0.1:1/db"}).status_code == 422
    assert "geheim" not in wrong.text + edited + tried.text + admin.get("/sources").text
    in_use = admin.post("/sources/warehouse/remove")
    assert (in_use.status_code, "remove that first" in in_use.text) == (422, True)
    assert admin.post("/sources/pg/remove").status_code == 303


def test_a_model_is_written_previewed_and_its_keys_looked_at(admin: Client, shop: Warehouse) -> None:
    shop.write("insert into accounts values (3, 'Twice', 'twice@new.example', 'pro')")
    typed = {"key": "people", "source": "warehouse", "primary_key": "id", "sql": "select id, <nothing> from accounts"}
    wrong = admin.post("/models/-/new", data=typed | {"do": "preview"})
    assert (wrong.status_code, 'id="sql-wrong"' in wrong.text) == (422, True)
    assert "select id, &lt;nothing&gt; from accounts</textarea>" in wrong.text
    typed["sql"] = "select id, company from accounts"
    shown = admin.post("/models/-/new", data=typed | {"do": "preview"}).text
    assert "int32" in shown
    assert "O&#39;Brien" in shown
    keys = admin.post("/models/-/new", data=typed | {"do": "keys"}).text
    assert "4 rows" in keys
    assert "cannot be told apart" in keys
    assert admin.post("/models/-/new", data=typed | {"primary_key": ""}).text.count('id="primary_key-wrong"') == 1
    assert admin.post("/models/-/new", data=typed | {"source": "none"}).text.count('id="source-wrong"') == 1
    assert admin.post("/models/-/new", data=typed | {"do": "save"}).headers["location"] == "/models/people"
    assert "people" in admin.get("/models").text
    assert admin.post("/models/accounts/remove").status_code == 422
    assert admin.post("/models/people/remove").headers["location"] == "/models"


def test_the_wizard_goes_step_by_step_and_saves_what_was_typed(admin: Client, hub: Hub, shop: Warehouse) -> None:
    assert "*/30 9-17 * * mon-fri" in admin.get("/syncs/-/new").text
    refused = admin.post("/syncs/-/new", data={"step": "model", "do": "next", "key": "a b", "model": "accounts"})
    assert (refused.status_code, 'id="key-wrong"' in refused.text, 'value="a b"' in refused.text) == (422, True, True)
    fields = admin.post("/syncs/-/new", data=STEPS | {"step": "match", "do": "next"}).text
    assert 'value="metadata.tier"' in fields
    assert '<option value="company">' in fields
    assert "address.city" in fields, "the catalogue beside it"
    wrong = admin.post("/syncs/-/new", data=STEPS | {"step": "fields", "do": "next", "f2_name": "descripton"})
    assert (wrong.status_code, "perhaps description" in wrong.text) == (422, True)
    more = admin.post("/syncs/-/new", data=STEPS | {"step": "fields", "do": "drop-1"}).text
    assert "metadata.tier" not in more
    late = admin.post("/syncs/-/new", data=STEPS | {"step": "review", "do": "save", "schedule": "sometimes"})
    assert (late.status_code, 'id="schedule-wrong"' in late.text, 'value="sometimes"' in late.text) == (422, True, True)
    review = admin.post("/syncs/-/new", data=STEPS | {"step": "schedule", "do": "next"}).text
    assert "cancel_subscriptions: true" in review
    assert admin.post("/syncs/-/new", data=STEPS | {"step": "review", "do": "save"}).headers["location"] == (
        "/syncs/people"
    )
    with hub.engine.connect() as db:
        made = syncs.sync(db, "people")
    assert made.fields == {
        "email": "email",
        "metadata": {"tier": {"column": "tier", "nulls": "clear"}},
        "description": {"template": "{{ company }} <b>"},
    }
    assert (made.delete.how, made.delete.cancel_subscriptions, made.stops.deletes) == ("remove", True, 7)
    assert (made.schedule, made.time_zone, made.on_conflict) == (STEPS["schedule"], "Europe/Berlin", "flag")
    again = admin.post("/syncs/-/new", data=STEPS | {"step": "review", "do": "save"})
    assert (again.status_code, "There is a sync people already" in again.text) == (422, True)


def test_a_sync_is_edited_as_it_is_and_not_when_the_file_manages_it(admin: Client, hub: Hub, shop: Warehouse) -> None:
    page = admin.get("/syncs/customers/edit?step=review").text
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page))
    assert admin.post("/syncs/customers/edit", data=hidden | {"do": "save"}).status_code == 303
    with hub.engine.connect() as db:
        assert syncs.sync(db, "customers").model_dump() == specs.sync(SPEC | {"connection": "acme"}).model_dump()
    with hub.engine.begin() as db:
        syncs.define_sync(db, specs.sync(SPEC), "acme", FILE)
    assert "/syncs/customers/edit" not in admin.get("/syncs/customers").text
    assert admin.get("/syncs/customers/edit").status_code != 200
    assert admin.post("/syncs/customers/remove").status_code == 422


def test_a_first_run_goes_from_its_plan(admin: Client, hub: Hub, shop: Warehouse) -> None:
    assert "wants a plan" in admin.get("/syncs/customers").text
    plan = admin.post("/syncs/customers/plan").text
    assert "Send 3 changes" in plan
    assert 'data-kind="create"' in plan
    assert "O&#39;Brien" in plan
    number = re.findall(r'name="plan" value="(\d+)"', plan)[0]
    every = admin.post("/syncs/customers/plan.jsonl")
    assert len([json.loads(line) for line in every.text.splitlines()]) == 3
    assert decided(admin, plan) == {"create": 3}
    shop.write("update accounts set tier = repeat('x', 600) where id = 3")
    assert decided(admin, admin.post("/syncs/customers/plan").text) == {"create": 2, "invalid": 1}
    assert decided(admin, admin.post("/syncs/customers/plan", data={"only": "1"}).text) == {"create": 1}
    assert admin.post("/syncs/customers/plan.jsonl", data={"kind": "made"}).status_code == 422
    shop.write("update accounts set tier = null where id = 3")
    asked = admin.post("/syncs/customers/run", data={"plan": number})
    assert asked.headers["location"] == "/syncs/customers?asked=1", "no worker is there"
    assert "A run is due" in admin.get("/syncs/customers").text
    done = work(hub)
    assert done["state"] == "done"
    page = admin.get("/syncs").text
    assert "3</a> create" in page
    assert f"/syncs/customers/runs/{done['run']}" in page
    assert "Try all again" not in admin.get("/syncs/customers").text


@pytest.mark.further
def test_how_many_rows_is_refused_beside_its_field(admin: Client) -> None:
    for limit, path in ((limit, path) for limit in ("ten", "0", "9" * 5_000) for path in ("plan", "run")):
        refused = admin.post(f"/syncs/customers/{path}", data={"only": "", "limit": limit, "full": "yes"})
        assert refused.status_code == 422
        assert f'value="{limit}"' in refused.text, "what was typed stays"
        assert re.search('id="limit-wrong">How many rows is a number from 1 to ', refused.text)
        assert re.search('name="full" value="yes" checked', refused.text)
    assert admin.post("/syncs/customers/plan.jsonl", data={"limit": "ten"}).status_code == 422


@pytest.mark.further
def test_the_decisions_of_a_plan_are_those_that_were_shown_or_none(admin: Client, hub: Hub, shop: Warehouse) -> None:
    plan = admin.post("/syncs/customers/plan").text
    assert 'data-download="Planning anew…"' in plan
    [seen] = set(re.findall(r'name="fingerprint" value="(\w+)"', plan))
    kept = _plans(hub)
    same = admin.post("/syncs/customers/plan.jsonl", data={"fingerprint": seen, "kind": "create"})
    assert (same.status_code, len(same.text.splitlines())) == (200, 3)
    shop.write("update accounts set tier = 'other' where id = 3")
    assert admin.post("/syncs/customers/plan.jsonl", data={"fingerprint": seen}).status_code == 409
    assert _plans(hub) == kept, "what was told again is no other plan"


def _plans(hub: Hub) -> int:
    with hub.engine.connect() as db:
        return db.execute(text("select count(*) from tidegate.sync_plans where sync = 'customers'")).scalar_one()


def decided(admin: Client, plan: str) -> dict[str, int]:
    """The numbers of a plan's decisions by kind, each of which leads to as many."""
    found: dict[str, int] = {}
    for form in re.findall(r'<form[^>]*action="/syncs/customers/plan.jsonl".*?</form>', plan, re.S):
        sent = dict(re.findall(r'name="(\w+)" value="([^"]+)"', form))
        if "kind" in sent:
            [said] = re.findall(r">(\d+)</button>", form)
            lines = admin.post("/syncs/customers/plan.jsonl", data=sent).text.splitlines()
            assert {json.loads(line)["kind"] for line in lines} == {sent["kind"]}
            assert len(lines) == int(said)
            found[sent["kind"]] = int(said)
    return found


@pytest.mark.further
def test_what_a_plan_cannot_do_is_said(admin: Client, shop: Warehouse) -> None:
    shop.path.unlink()
    answer = admin.post("/syncs/customers/plan")
    assert (answer.status_code, "cannot be read" in answer.text) == (422, True)
    assert admin.post("/syncs/nothing/plan").status_code == 404
    assert admin.get("/syncs/customers/plan").headers["location"] == "/syncs/customers"


def test_a_run_is_looked_into(admin: Client, hub: Hub, shop: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    run = ran(shop)
    page = admin.get(f"/syncs/customers/runs/{run}").text
    assert "incomplete" in page
    rows = re.findall(r'<tr id="request-(\d+)">', page)
    assert len(rows) == 3 - page.count(">invalid<")
    one = admin.get(f"/syncs/customers/requests/{rows[0]}").text
    assert "[redacted]" in one
    assert "@new.example" not in one
    assert admin.get(f"/syncs/others/requests/{rows[0]}").status_code == 422
    assert admin.get(f"/syncs/others/runs/{run}").status_code == 404
    for query, count in (("status=done", 2), ("status=open", 0), ("row=1", 1), ("from=2001-01-01T00:00", len(rows)),
                         ("from=2101-01-01T00:00", 0), (f"after={rows[0]}", len(rows) - 1)):  # fmt: skip
        assert admin.get(f"/syncs/customers/runs/{run}?{query}").text.count('id="request-') == count, query
    for query in ("status=lost", "from=noon", "after=x"):
        assert admin.get(f"/syncs/customers/runs/{run}?{query}").status_code == 422
    table = list(csv.DictReader(io.StringIO(admin.get(f"/syncs/customers/runs/{run}/requests.csv?status=done").text)))
    assert [line["key"] for line in table] == ["1", "2"]
    assert "request-" in admin.get("/syncs/customers/rows?row=1").text
    way = admin.get(f"/syncs/customers/runs/{run}/revert").text
    assert "To be taken back" in way
    assert "These are the last" not in way
    monkeypatch.setattr(runs, "LOOKED_BACK", 1)
    way = admin.get(f"/syncs/customers/runs/{run}/revert").text
    assert "These are the last 1 requests of the run" in way


def test_numbers_of_syncs_lead_to_rows_and_requests(
    admin: Client, hub: Hub, shop: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = f"/syncs/customers/runs/{ran(shop)}"
    created = {f"{first}?status=done&operation=create#requests": 2}
    assert assert_counted(admin, admin.get(first).text, f"{first}?status=", within="requests") == created
    [[gone]] = shop.rows("select object_id from tidegate.sync_rows where key = '2'")
    with hub.stripe_writing(shop.account) as api:
        api.delete(f"/v1/customers/{gone}", idempotency_key="gone")
    shop.write("update accounts set company = 'Another' where id in (1, 2)")
    shop.write("update accounts set email = 'eve@new.example' where id = 3")
    run = f"/syncs/customers/runs/{shop.run(despite_stops=True)['run']}"
    for page in ("/syncs", "/syncs/customers", run):
        sent = assert_counted(admin, admin.get(page).text, f"{run}?status=", within="requests")
        done = {f"{run}?status=done&operation={operation}#requests": 1 for operation in ("create", "update")}
        assert sent == done | {f"{run}?status=failed#requests": 1}
    assert "only update" in admin.get(f"{run}?status=done&operation=update").text
    assert len(admin.get(f"{run}/requests.csv?operation=update").text.splitlines()) == 3
    assert admin.get(f"{run}?operation=delete").text.count('id="request-') == 0
    shop.write("update accounts set email = 'no address' where id = 3")
    shop.run(despite_stops=True)
    for page in ("/syncs", "/syncs/customers"):
        assert_counted(admin, admin.get(page).text, "/syncs/customers?state=", within="unsent")
    assert_counted(admin, admin.get("/sources").text, "/models?source=")
    for page in ("/sources", "/models", "/syncs"):
        assert_exported(admin, page)
    assert_exported(admin, "/syncs/customers", "/syncs/customers/runs.csv", within="runs")
    assert_exported(admin, "/syncs/customers", "/syncs/customers/unsent.csv", within="unsent")
    assert_decisions_lead(admin, shop, monkeypatch)


def assert_decisions_lead(admin: Client, shop: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers of what a run decided lead to the rows that stand so, for as long as it is what was said of them last."""
    monkeypatch.setattr(runs, "ROWS", 1)
    shop.write("update accounts set tier = repeat('x', 600) where id in (1, 2)")
    run, invalid = f"/syncs/customers/runs/{shop.run(despite_stops=True)['run']}", "?rows=invalid#unsent"
    page = admin.get(run).text
    assert assert_counted(admin, page, f"{run}?rows=", within="unsent") == {f"{run}{invalid}": 3}
    assert "Try what failed again" in page
    shop.write("update accounts set tier = 'pro' where id = 1")
    shop.run(part=Part(("1",)), despite_stops=True)
    page = admin.get(run).text
    assert "of them still" in page
    assert assert_counted(admin, page, f"{run}?rows=", within="unsent") == {f"{run}{invalid}": 2}
    shop.write("update accounts set tier = 'pro', email = 'eve@new.example' where id in (2, 3)")
    last = shop.run(despite_stops=True)["run"]
    assert "?rows=" not in admin.get(run).text
    with shop.hub.engine.begin() as db:
        db.execute(text("update tidegate.runs set started_at = now() - interval '31 days'"))
    for path in ("/syncs", "/syncs/customers", f"/syncs/customers/runs/{last}"):
        page = admin.get(path).text
        assert ("#requests" in page, "kept for a while only" in page) == (False, True), path


def test_a_run_is_taken_back_after_a_look(admin: Client, hub: Hub, shop: Warehouse) -> None:
    run = ran(shop)
    here = f"/syncs/customers/runs/{run}/revert"
    shown = admin.get(here).text
    assert "To be taken back" in shown
    assert "Nothing was sent" in shown
    asked = admin.post(here)
    assert (asked.status_code, asked.headers["location"]) == (303, "/syncs/customers"), "no worker has begun it yet"
    with hub.engine.connect() as db:
        job = db.scalar(text("select args from procrastinate_jobs where task_name = 'revert_sync'"))
    done = revert_task.revert_sync_(task_context(hub), **job)
    assert (done["state"], done["reverted"]) == ("done", run)
    page = admin.get(f"/syncs/customers/runs/{done['run']}").text
    assert "revert" in page.casefold()
    with hub.engine.connect() as db:
        assert db.scalar(text("select count(*) from tidegate.requests where run = :r"), {"r": done["run"]}) == 2
        [note] = db.scalars(text("select detail ->> 'reverts' from tidegate.catalog_changes where action = :a"),
                            {"a": "sync.reverted"}).all()  # fmt: skip
    assert note == str(run)
    again = admin.get(here).text
    assert "Take back" not in again, "there is nothing left to be taken back"
    admin.post("/syncs/-/pause")
    refused = admin.post(here)
    assert (refused.status_code, "paused" in refused.text) == (422, True)


def test_rows_that_failed_are_tried_again(admin: Client, hub: Hub, shop: Warehouse) -> None:
    ran(shop)
    page = admin.get("/syncs/customers").text
    assert "no address" in page or "email" in page
    shop.write("update accounts set email = 'ada@new.example' where id = 3")
    assert admin.post("/syncs/customers/retry", data={"row": "3"}).status_code == 303
    assert work(hub)["state"] == "done"
    none = admin.post("/syncs/customers/retry")
    assert (none.status_code, "No row failed" in none.text) == (422, True)
    assert admin.post("/syncs/customers/cancel").status_code == 422
    assert admin.post("/syncs/customers/reset").status_code == 303
    assert admin.post("/syncs/customers/remove").headers["location"] == "/syncs"


def test_outbound_is_paused_and_resumed(admin: Client, hub: Hub, shop: Warehouse) -> None:
    assert admin.post("/syncs/-/pause").status_code == 303
    assert "Nothing is sent to Stripe" in admin.get("/syncs").text
    refused = admin.post("/syncs/customers/run")
    assert (refused.status_code, "paused" in refused.text) == (422, True)
    assert admin.post("/syncs/-/resume").status_code == 303
    assert "Nothing is sent to Stripe" not in admin.get("/syncs").text


@pytest.mark.further
def test_who_may_only_look_sees_no_buttons(client: Client, shop: Warehouse) -> None:
    run = ran(shop)
    for path in ("/syncs", "/syncs/customers", f"/syncs/customers/runs/{run}", "/syncs/customers/rows?row=1",
                 "/models", "/models/accounts", "/sources"):  # fmt: skip
        page = client.get(path)
        assert page.status_code == 200, path
        assert re.findall(r'<form method="post"', page.text) == [], path


@pytest.mark.further
def test_millions_of_requests_are_paged_by_their_place(hub: Hub, shop: Warehouse) -> None:
    """Each look reads by an index: neither all requests of a run, nor all rows of a sync."""
    run = ran(shop)
    from tidegate.outbound.push import history
    from tidegate.outbound.push.history import Which

    with hub.engine.begin() as db:
        db.execute(
            text("""
insert into tidegate.requests (run, sync, connection, key, kind, hash, operation, method, path, params,
  idempotency_key, generation, state, intended_at)
select :run, 'customers', 'acme', 'many' || n, 'create', n, 'create', 'post', '/v1/customers', '{}', 'k' || n, 0,
  case when n % 5000 = 0 then 'refused' else 'done' end, clock_timestamp() + n * interval '1 s'
from generate_series(1, 20000) n"""),
            {"run": run},
        )
        db.execute(text("analyze tidegate.requests"))
        failed = history.listing(db, Which(run, status="failed"), 10)
        assert len([one for one in failed if one["key"].startswith("many")]) == 4
        at = db.execute(text("select intended_at from tidegate.requests where key = 'many12000'")).scalar_one()
        place = history.last_before(db, run, at)
        assert [one["key"] for one in history.listing(db, Which(run), 2, place)] == ["many12000", "many12001"]
        plan = "\n".join(db.scalars(text(f"explain select id from tidegate.requests where run = {run} and id > 0 "
                                         "and state in ('refused', 'unknown') order by id limit 51")))  # fmt: skip
        assert "requests_failed" in plan
        newest = history.newest(db, run, 50)
        assert len(history.listing(db, Which(run), 100, newest)) == 50
    assert sync_plan.ALL.whole
