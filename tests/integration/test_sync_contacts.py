"""A sync whose destination is the hub: rows of a warehouse say what its contacts' properties are."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import duckdb
import pytest
from sqlalchemy import text
from tests.support.desk import Desk, opened
from tests.support.visiting import sign_in, visited

from tidegate.contacts.records import Record
from tidegate.errors import RunNotReverted, SyncInvalid, SyncStopped
from tidegate.lifecycle import rulebook
from tidegate.lifecycle.rules import Rule
from tidegate.outbound import rows
from tidegate.workflows.contacts import contacts_edit, contacts_forget
from tidegate.workflows.lifecycle import lifecycle
from tidegate.workflows.outbound import contacts_writing, revert_sync, run_sync, sync_history
from tidegate.workflows.outbound.contacts_writing import BECAME
from tidegate.workflows.outbound.run_sync import Wanted

FIELDS = {"name": "name", "properties": {"seats": "seats", "active": "active", "seen": "seen", "tier": "tier"}}


@pytest.fixture(scope="module")
def desk(database_url: str, secret_key: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with opened(database_url, secret_key, tmp_path_factory.mktemp("desk")) as desk:
        yield desk


@pytest.fixture(autouse=True)
def none_yet(desk: Desk) -> None:
    with desk.hub.engine.begin() as db:
        db.execute(text("truncate tidegate.contacts, tidegate.syncs, tidegate.sync_rows cascade"))


def row(id_: str | None, **other: Any) -> dict[str, Any]:
    said = {
        "name": f"Company {id_}",
        "seats": 3,
        "active": True,
        "seen": datetime(2026, 5, 1, 12, tzinfo=UTC),
        "tier": "pro",
    }
    return {"id": id_, "account": id_, **said, **other}


def define(desk: Desk, **said: Any) -> None:
    desk.sync("usage", "contacts", {"id": "account"}, FIELDS, **said)


def contacts(desk: Desk) -> dict[str, Any]:
    """Name and properties of every contact, by kind and id."""
    sql = "select kind || ':' || external_id as ref, name, properties, made_by from tidegate.contacts"
    with desk.hub.engine.connect() as db:
        return {one.ref: (one.name, one.properties) for one in db.execute(text(sql))}


def make(desk: Desk, id_: str, **properties: Any) -> None:
    record = Record("account", id_, properties=properties)
    contacts_edit.put(desk.hub.engine, False, record, "me", connection=None)


def test_rows_make_and_describe_contacts_field_by_field(desk: Desk) -> None:
    make(desk, "1", seats=3, own="kept")
    desk.table("usage", row("1", seats=3.0), row("2"), row("user:7", seats=1.5, active=None))
    define(desk)
    asked = desk.reads()
    plan = desk.plan("usage")
    assert {kind: count for kind, count in plan["counts"].items() if count} == {"create": 2, "update": 1}
    [change] = plan["sample"]["update"]
    assert sorted((one["field"], one["before"], one["after"]) for one in change["changes"]) == [
        ("name", "", "Company 1"), ("properties.active", None, True),
        ("properties.seen", None, "2026-05-01T12:00:00Z"), ("properties.tier", None, "pro"),
    ]  # fmt: skip
    assert len(contacts(desk)) == 1, "a plan writes nothing"
    with pytest.raises(SyncStopped, match="wants a plan that was looked at"):
        desk.run("usage", plan=None)
    assert desk.run("usage")["sent"] == {"create": 2, "update": 1}
    said = {"seats": 3, "active": True, "seen": "2026-05-01T12:00:00Z", "tier": "pro"}
    assert contacts(desk) == {
        "account:1": ("Company 1", {"own": "kept", **said}),
        "account:2": ("Company 2", said),
        "user:7": ("Company user:7", {"seats": 1.5, "seen": said["seen"], "tier": "pro"}),
    }
    assert desk.states("usage") == {"1": ("sent", ""), "2": ("sent", ""), "user:7": ("sent", "")}

    desk.table("usage", row("1", seats=4.0, tier=None), row("2"), row("user:7", seats=1.5, active=None))
    assert desk.run("usage")["sent"] == {"update": 1}
    assert contacts(desk)["account:1"][1] == {"own": "kept", "active": True, "seen": said["seen"], "seats": 4}
    assert desk.run("usage")["counts"]["nothing"] == 0, "what stayed the same is not looked at"
    desk.table("usage", row("2", seats=3.0), row("user:7", seats=1.5, active=None))
    assert desk.run("usage")["counts"]["gone"] == 1
    assert contacts(desk)["account:1"][1]["seats"] == 4, "what it said stays"
    assert (desk.reads(), desk.asked()) == (asked, []), "Stripe is asked nothing"


def test_what_is_wrong_with_a_row_is_told_and_the_others_pass(desk: Desk) -> None:
    desk.table(
        "usage",
        row("1", seats=0.5),
        row("2", account="1"),
        row("3", account=""),
        row("4"),
        row("5", seats=float("inf")),
    )
    define(desk)
    assert desk.run("usage")["state"] == "incomplete"
    assert set(contacts(desk)) == {"account:4"}
    states = desk.states("usage")
    assert states["1"] == ("invalid", "it would be the same contact as row 2")
    assert "is empty" in states["3"][1]
    assert states["5"][0] == "invalid"
    desk.table("usage", row("1"), row("3", account="3"), row("4"), row("5"))
    assert desk.run("usage")["state"] == "done"
    assert len(contacts(desk)) == 4


def test_two_keys_never_describe_one_contact(desk: Desk) -> None:
    desk.table("usage", row("1"))
    define(desk)
    desk.run("usage")
    desk.table("usage", row("1"), row("other", account="account:1", seats=9))
    assert desk.run("usage")["counts"]["invalid"] == 1
    assert desk.states("usage")["other"] == ("invalid", "it would be the same contact as row 1")
    desk.table("usage", row("other", account="account:1", seats=9))
    assert desk.run("usage")["state"] == "done"
    assert contacts(desk)["account:1"][1]["seats"] == 9


def test_one_contact_is_one_rows_however_its_id_is_spelt(desk: Desk) -> None:
    rows_of = [row(f"k{n}", account=account) for n, account in enumerate(("7", "account:7", "user:7", "old", "new"))]
    make(desk, "old")
    contacts_edit.rename(desk.hub.engine, False, "account:old", "new", "me")
    desk.table("usage", *rows_of)
    define(desk)
    assert desk.run("usage")["state"] == "incomplete"
    assert {key: why for key, (state, why) in desk.states("usage").items() if state == "invalid"} == {
        "k1": "it would be the same contact as row k0", "k4": "it would be the same contact as row k3",
    }  # fmt: skip
    assert set(contacts(desk)) == {"account:7", "user:7", "account:new"}


def test_rows_may_say_each_others_contacts(desk: Desk) -> None:
    desk.table("usage", *(row(f"{n}", seats=n) for n in (1, 2, 3)))
    define(desk)
    desk.run("usage")
    said = {"1": "2", "2": "1", "3": "4", "4": "3"}  # two change places, and one makes room for another
    desk.table("usage", *(row(key, account=account, seats=10 + int(key)) for key, account in said.items()))
    assert desk.run("usage")["state"] == "done"
    assert {ref: told["seats"] for ref, (_, told) in contacts(desk).items()} == {
        f"account:{account}": 10 + int(key) for key, account in said.items()
    }  # fmt: skip


@pytest.mark.parametrize(
    ("account", "problem"),
    [
        ("'NaN'::double", "it takes a finite number"),
        ("'inf'::double", "it takes a finite number"),
        ("[7]", "a list is no text"),
        ("{'a': 7}", "a object is no text"),
        ("'7'::blob", "a blob is no text"),
    ],
)
def test_what_is_no_id_makes_no_contact(desk: Desk, account: str, problem: str) -> None:
    with duckdb.connect(desk.path) as db:
        db.execute(f"create or replace table usage as select 'a' as id, {account} as account, 1 as seats")
    desk.sync("usage", "contacts", {"id": "account"}, {"properties": {"seats": "seats"}})
    assert desk.run("usage")["state"] == "incomplete"
    assert (contacts(desk), desk.states("usage")["a"]) == ({}, ("invalid", f"the column account: {problem}"))


def test_ids_that_are_numbers_and_rows_with_a_kind_of_their_own(desk: Desk) -> None:
    desk.table(
        "usage", *({"id": n, "account": 7.0, "kind": kind, "seats": n} for n, kind in ((1, "account"), (2, "user")))
    )
    fields = {"kind": "kind", "properties": {"seats": "seats"}}
    desk.sync("usage", "contacts", {"id": "account"}, fields)
    assert desk.run("usage")["state"] == "done"
    assert {ref: said["seats"] for ref, (_, said) in contacts(desk).items()} == {"account:7": 1, "user:7": 2}


def test_a_whole_column_of_json_is_taken_or_told_row_by_row(desk: Desk) -> None:
    said = ("{}", '{"a": {"b": [1, true]}}', '{"half": "\\ud83d"}', "[" * 5_000, None, "no json")
    desk.table("usage", *({"id": n, "account": f"{n}", "more": one} for n, one in enumerate(said)))
    desk.sync("usage", "contacts", {"id": "account"}, {"properties": "more"})
    assert desk.run("usage")["counts"]["invalid"] == 3
    assert {ref: said for ref, (_, said) in contacts(desk).items()} == {
        "account:0": {}, "account:1": {"a": {"b": [1, True]}}, "account:4": {},
    }  # fmt: skip


def test_what_changes_every_day_stops_no_run_unless_that_is_wanted(desk: Desk) -> None:
    desk.table("usage", *(row(f"{n}") for n in range(20)))
    define(desk)
    desk.run("usage")
    desk.table("usage", *(row(f"{n}", seats=n) for n in range(20)))
    assert desk.run("usage", despite_stops=False, plan=None)["state"] == "done"
    define(desk, stops={"updates": 20})
    desk.table("usage", *(row(f"{n}", seats=100 + n) for n in range(20)))
    with pytest.raises(SyncStopped, match="more than 20 %"):
        desk.run("usage", despite_stops=False, plan=None)


def test_a_name_that_is_said_is_yours_from_then_on(desk: Desk) -> None:
    make(desk, "1")
    with desk.hub.engine.begin() as db:
        db.execute(text("update tidegate.contacts set name = 'Company 1', name_is_yours = false"))
    desk.table("usage", row("1"))
    define(desk)
    desk.run("usage")
    with desk.hub.engine.connect() as db:
        assert db.scalars(text("select name_is_yours from tidegate.contacts")).one()


def test_no_run_of_contacts_is_taken_back(desk: Desk) -> None:
    desk.table("usage", row("1"))
    define(desk)
    done = desk.run("usage")
    with pytest.raises(RunNotReverted, match="it described contacts"):
        revert_sync.plan(desk.hub.engine, done["run"])


def test_an_update_waits_for_the_contact(desk: Desk) -> None:
    desk.table("usage", row("1"))
    define(desk, mode="update")
    assert desk.run("usage")["state"] == "done"
    assert (contacts(desk), desk.states("usage")["1"]) == ({}, ("skipped", "there is no contact account:1"))
    assert desk.run("usage")["counts"]["skip"] == 0, "a row that waits costs nothing"
    make(desk, "1")
    assert desk.run("usage")["sent"] == {"update": 1}
    assert contacts(desk)["account:1"][1]["seats"] == 3
    desk.table("usage", row("1", account="2"))
    desk.run("usage")
    make(desk, "2")
    assert desk.run("usage")["sent"] == {"update": 1}, "it waited for the contact that it says now"


def test_usage_of_the_warehouse_moves_contacts(desk: Desk) -> None:
    with desk.hub.engine.begin() as db:
        rulebook.put_segments(db, [Rule("busy", "Busy", {"field": "properties.seats", "at_least": 50})], "")
    desk.table("usage", row("1", seats=50), row("2", seats=49))
    define(desk)
    desk.run("usage")
    lifecycle.keep_due(desk.hub.engine)
    inside = """
select c.external_id from tidegate.contact_lifecycle l join tidegate.contacts c on c.key = l.contact
where 'busy' = any(l.segments)"""
    with desk.hub.engine.connect() as db:
        assert list(db.scalars(text(inside))) == ["1"]


def test_who_was_forgotten_is_not_made_anew(desk: Desk) -> None:
    desk.table("usage", row("1"), row("2"))
    define(desk)
    desk.run("usage")
    contacts_forget.forget(desk.hub.engine, False, "account:1", "me", only_preview=False)
    desk.table("usage", row("1", seats=9), row("2", seats=9))
    assert desk.run("usage")["sent"] == {"update": 1}
    assert desk.states("usage")["1"] == ("skipped", "the person was forgotten")
    with desk.hub.engine.connect() as db:
        kept = db.scalars(text("select concat(wrote, showed, problems) from tidegate.sync_rows where key = '1'")).one()
    assert kept == "{}{}[]"
    for said in ([row("2")], [row("1", seats=8), row("2")]):  # it leaves, and comes back
        desk.table("usage", *said)
        desk.run("usage")
    assert desk.states("usage")["1"] == ("skipped", "the person was forgotten")
    assert all("Company 1" not in name for name, _ in contacts(desk).values())


def test_an_address_that_was_forgotten_is_no_contact_for_any_sync(desk: Desk) -> None:
    ada, forgotten = row("1", account="ada@acme.com"), ("skipped", "the person was forgotten")
    desk.table("usage", ada)
    define(desk)
    desk.run("usage")
    contacts_forget.forget(desk.hub.engine, False, "account:ada@acme.com", "me", only_preview=False)
    sync_history.reset(desk.hub.engine, "usage", "me")
    desk.table("usage", ada, row("2", account="user:ada@acme.com"), row("3", account="Ada@ACME.com "))
    assert desk.run("usage")["sent"] == {"create": 1}
    states = desk.states("usage")
    assert (states["1"], states["3"]) == (forgotten, forgotten)
    with desk.hub.engine.connect() as db:
        kept = db.scalars(text("select concat(object_id, wrote, problems) from tidegate.sync_rows where key = '1'"))
        assert kept.one() == "{}[]"
    make(desk, "ada@acme.com")  # who comes back on purpose is described again
    sync_history.reset(desk.hub.engine, "usage", "me")
    desk.table("usage", ada)
    assert desk.run("usage")["sent"] == {"update": 1}


def test_two_that_become_one_contact_meanwhile_are_told_and_looked_at_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(desk, "1")
    desk.table("usage", row("1"), row("9"))
    define(desk)
    write = contacts_writing.write

    def aliased(*given: Any) -> Any:
        contacts_edit.alias(desk.hub.engine, False, "account:1", "9", "me")
        return write(*given)

    with monkeypatch.context() as patched:
        patched.setattr(contacts_writing, "write", aliased)
        done = desk.run("usage")
    assert (done["state"], done["failed"], desk.states("usage")["9"]) == ("incomplete", 1, ("failed", BECAME))
    desk.run("usage")
    assert desk.states("usage")["9"] == ("invalid", "it would be the same contact as row 1")
    assert set(contacts(desk)) == {"account:1"}


def test_a_batch_and_what_is_remembered_of_it_are_written_together(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contacts_writing, "BATCH", 2)
    desk.table("usage", *(row(f"{n}") for n in range(5)))
    define(desk)
    keep, kept = rows.keep, list[int]()

    def broken(*given: Any) -> None:
        kept.append(len(given[-1]))
        if len(kept) == 2:
            raise RuntimeError("the process died here")
        keep(*given)

    monkeypatch.setattr(rows, "keep", broken)
    wanted = Wanted(plan=desk._looked_at("usage"))
    hub, died = desk.hub, (RuntimeError,)
    with pytest.raises(RuntimeError):
        run_sync.run(
            hub.engine, "usage", lambda source: source.shown, hub.stripe_writing, wanted, by="me", passing=died
        )
    assert (set(contacts(desk)), set(desk.states("usage"))) == ({"account:0", "account:1"}, {"0", "1"})
    assert desk.run("usage", plan=None, despite_stops=False)["sent"] == {"create": 3}, "it is gone on with"
    assert len(contacts(desk)) == 5


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"mode": "insert"}, "mode: it is upsert, or update"),
        ({"delete": "remove"}, "delete: a contact stays"),
        ({"on_conflict": "flag"}, "on_conflict: contacts are yours"),
        ({"fields": {"email": "email"}}, "fields.email: it cannot be written: e-mail addresses say"),
        ({"fields": {"name": {"column": "name", "nulls": "clear"}}}, "fields.name.nulls: only properties"),
        ({"match": {"email": "email"}}, "match: contacts are matched by one of id"),
    ],
)
def test_what_cannot_be_said_of_contacts(desk: Desk, said: dict[str, Any], problem: str) -> None:
    with pytest.raises(SyncInvalid, match=problem):
        desk.sync("usage", "contacts", said.pop("match", {"id": "account"}), said.pop("fields", FIELDS), **said)


def test_the_wizard_makes_one_and_its_run_is_shown(desk: Desk) -> None:
    desk.table("usage", row("1"), row("2"))
    define(desk)
    typed = {
        "key": "seats", "model": "usage", "resource": "contacts", "mode": "update", "way": "id", "by": "account",
        "rows": "1", "f0_name": "properties.seats", "f0_how": "column", "f0_value": "seats", "schedule": "after import",
    }  # fmt: skip
    with visited(desk.hub) as admin:
        sign_in(desk.hub, admin, "admin")
        for step, shown in (
            ("model", "by your id of it"), ("match", "properties.seats_used"), ("fields", "Contacts are yours"),
        ):  # fmt: skip
            page = admin.post("/syncs/-/new", data=typed | {"step": step, "do": "next"})
            assert (page.status_code, shown.lower() in page.text.lower()) == (200, True), page.text
        saved = admin.post("/syncs/-/new", data=typed | {"step": "review", "do": "save"})
        assert saved.headers["location"] == "/syncs/seats", saved.text
        assert admin.get("/syncs/seats/edit?step=rules").status_code == 200
        make(desk, "1")
        done = desk.run("seats")
        assert done["sent"] == {"update": 1}
        run = admin.get(f"/syncs/seats/runs/{done['run']}")
        assert (run.status_code, "1 of 1 contacts written" in run.text) == (200, True)
        assert "Take it back" not in run.text
        desk.table("usage", row("1", seats=4), row("2"))
        page, plan = admin.get("/syncs/seats").text, admin.post("/syncs/seats/plan").text
        assert ("Rows that are not written" in page, "contacts here" in page, "was sent" in page) == (True, True, False)
        assert (plan.count('href="/contacts/account:1"'), "Write 1 change" in plan) == (1, True)
        with desk.hub.engine.begin() as db:
            alive = "state = 'running', heartbeat_at = clock_timestamp() + interval '1 hour'"
            db.execute(text(f"update tidegate.runs set {alive} where id = :id"), {"id": done["run"]})
        following = admin.get(f"/syncs/seats/runs/{done['run']}").text
        assert ('id="live"' in following, "What Stripe said" in following) == (True, False)
        assert admin.get("/contacts/account:1").status_code == 200
    assert contacts(desk)["account:1"][1] == {"seats": 3}
