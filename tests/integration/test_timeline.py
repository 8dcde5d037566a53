"""A contact's timeline: one list of all that happened, page by page; notes and tasks; merged and forgotten with it."""

import json
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from tests.support.placed import NOW, People
from tests.support.queue import connect

from tidegate.contacts import changes, directory
from tidegate.delivery.outbox import as_history
from tidegate.errors import LifecycleInvalid, NoteUnknown, TaskUnknown
from tidegate.lifecycle import happened, notes, timeline
from tidegate.wiring import Hub
from tidegate.workflows import previewing
from tidegate.workflows.contacts import contacts_merge
from tidegate.workflows.contacts.contacts_forget import forget


@pytest.fixture
def people(hub: Hub) -> People:
    return People(hub)


def contact(people: People, key: int) -> directory.Contact:
    with people.hub.engine.connect() as db:
        return directory.of_key(db, key)


def write(people: People, key: int, said: str, minutes: float = 0) -> int:
    with people.hub.engine.begin() as db:
        return notes.write(db, directory.of_key(db, key), said, "ada", NOW + timedelta(minutes=minutes))["id"]


def task(people: People, key: int, said: str, due: date | None = None) -> int:
    with people.hub.engine.begin() as db:
        return notes.add_task(db, directory.of_key(db, key), said, "ada", NOW, due_on=due)["id"]


def page(people: People, key: int, **options: Any) -> dict[str, Any]:
    with people.hub.engine.connect() as db:
        found = timeline.page(db, directory.of_key(db, key), **options)
    json.dumps(found, default=str)
    return found


def entries(people: People, key: int, **options: Any) -> list[tuple[str, str]]:
    return [(one["kind"], one["what"]) for one in page(people, key, **options)["timeline"]]


def everything(people: People) -> int:
    """A contact to which each kind of thing happened."""
    key = people.add("acme", status="active")
    people.pass_()
    people.set(key, failed_attempts=1, failing_invoice="in_1", mrr_total=2000, statuses=["past_due"])
    people.pass_(1)
    people.set(key, failed_attempts=0, failing_invoice=None)
    people.pass_(1)
    connect(people.hub.engine, "books")
    with people.hub.engine.begin() as db:
        for statement in EVERYTHING:
            db.execute(text(statement), {"key": key, "at": NOW + timedelta(days=3)})
    write(people, key, "They are nice", 10_000)
    with people.hub.engine.begin() as db:
        changes.note(db, "rename", "ada", contact=key, what={"from": "account:acm", "to": "account:acme"})
        changes.note(db, "merge", "ada", contact=key, what={"into": key, "from": people.add("acme-2")})
        changes.note(db, "suppress", "ada", contact=key, what={"reason": "a competitor"})
        changes.note(db, "unlink", "ada", contact=key, what={"connection": "books", "customer": "cus_u"})
    number = task(people, key, "Call", date(2026, 4, 1))
    with people.hub.engine.begin() as db:
        notes.change_task(db, number, "bob", NOW + timedelta(days=8), {"done": True})
    return key


EVERYTHING = (
    "insert into tidegate.health_history (contact, at, health, coverage, parts) values (:key, :at, 60, 1, '{}')",
    """insert into tidegate.entitlement_changes (contact, type, data, at)
values (:key, 'granted', '{"feature": "sso", "before": null, "now": true}', :at)""",
    "insert into tidegate.links (connection, customer, contact, method) values ('books', 'cus_t', :key, 'manual')",
    """insert into tidegate.billing_events (connection, id, name, at, customer, identity, currency, amount, data, told)
values ('books', 'e1', 'Subscription Billed', :at, 'cus_t', 'x', 'usd', 4900, '{}', true)""",
    """insert into tidegate.ledgers (connection, edition, preset, time_zone, adopted_at)
values ('books', 1, 'default', 'UTC', now()) on conflict do nothing""",
    """create table if not exists tidegate.movements_of_books partition of tidegate.movements
for values from ('books', 1) to ('books', 2)""",
    """insert into tidegate.movements (edition, connection, unit, customer, subscription, item, currency, at, moved_at,
  day, kind, amount, opening, closing, price, product)
select 1, 'books', 'contact\\:' || :key, 'cus_t', 'sub', item, 'usd', :at, :at, '2026-03-18', 'new', 2450000000, 0,
  4900000000, 'p', 'prod' from (values ('si_1'), ('si_2')) i(item)""",
    """insert into stripe.charges (connection, id, customer, created, amount, amount_refunded, currency, status,
  disputed, failure_message, updated_at, certainty, data)
select 'books', id, 'cus_t', :at, 4900, refunded, 'usd', status, false, failure, :at, 1, '{}' from (values
  ('ch_1', 'succeeded', 900, null), ('ch_2', 'failed', 0, 'Insufficient funds')) c(id, status, refunded, failure)""",
    """insert into tidegate.features (key, name, type, unit, reset, meter)
values ('calls', '', 'metered', 'call', 'month', '') on conflict do nothing""",
    """insert into tidegate.overrides (contact, operation, feature, terms, since, expires_at, reason, by, created_at,
  revoked_at, revoked_by)
select :key, 'add', 'calls', '{"limit": 10}', :at, expires_at, 'a trial', 'ada', :at, revoked_at, revoked_by
from (values
  (null::timestamptz, cast(:at as timestamptz) + interval '1 day', 'bob'),
  (cast(:at as timestamptz) + interval '2 days', null, null)) o(expires_at, revoked_at, revoked_by)""",
    """insert into tidegate.action_occurrences (action, contact, occurrence, at, decided_at, state, why, what, reasons,
  goal, reached_at)
select 'save-them', :key, state, :at, :at, state, '', '{}', '["it is past due"]', 'reached', :at
from unnest(array['fired', 'passed']) state""",
    "insert into tidegate.usage (contact, feature, bucket, period_start, used) values (:key, 'calls', 'b', :at, 6)",
    """insert into tidegate.usage_debits (contact, feature, operation, amount, debits, answer, at)
select :key, 'calls', 'consume', n, '[]', '{}', cast(:at as timestamptz) + n * interval '8 hours'
from generate_series(1, 3) n""",
    """insert into tidegate.destinations (key, kind, spec, livemode) values ('ops', 'files', '{}', false)""",
    """insert into tidegate.deliveries (destination, outbox, contact, state, done_at)
select 'ops', min(id), :key, 'delivered', :at from tidegate.outbox""",
)


@pytest.fixture
def clean(people: People) -> Any:
    yield
    with people.hub.engine.begin() as db:
        db.execute(text("delete from stripe.charges where connection = 'books'"))
        for table in ("overrides", "action_occurrences", "usage_debits", "usage", "features"):
            db.execute(text(f"delete from tidegate.{table}"))
        for table in ("links", "billing_events", "movements", "ledgers", "permissions"):
            db.execute(text(f"delete from tidegate.{table} where connection = 'books'"))
        db.execute(text("delete from tidegate.connections where name = 'books'"))


@pytest.mark.usefixtures("clean")
def test_everything_is_in_one_list_the_newest_first(people: People) -> None:
    key = everything(people)
    found = page(people, key)
    assert found["contact"] == "account:acme"
    times = [one["at"] for one in found["timeline"]]
    assert times == sorted(times, reverse=True)
    assert {one["kind"] for one in found["timeline"]} == set(timeline.KINDS)
    by = {(one["kind"], one["what"]): one["data"] for one in found["timeline"]}
    assert by["movement", "new"] | {"subscriptions": []} == {
        "connection": "books", "currency": "usd", "opening": 0, "closing": 4900, "amount": 4900, "subscriptions": [],
    }  # fmt: skip
    assert by["billing_event", "Subscription Billed"]["amount"] == 4900
    stages = [one["data"] for one in found["timeline"] if one["kind"] == "stage"]
    assert [(one["before"], one["stage"]) for one in stages] == [("customer", "at_risk"), (None, "customer")]
    assert by["segment", "entered"]["reasons"]
    assert by["alert", "opened"]["rule"] in {"payment_failed", "past_due"}
    assert ("alert", "resolved") in by
    assert (by["health", "changed"]["health"], by["health", "changed"]["before"]) == (60, None)
    assert by["entitlement", "granted"] == {"feature": "sso", "before": None, "now": True}
    assert (by["note", "written"]["text"], by["note", "written"]["by"]) == ("They are nice", "ada")
    assert (by["task", "added"]["due_on"], by["task", "added"]["done"]) == ("2026-04-01", True)
    assert by["task", "done"]["by"] == "bob"
    said = {(one["kind"], one["what"]): happened.told(one) for one in found["timeline"]}
    of_new = {kind for kind, _ in NEW}
    assert {key: words for key, words in said.items() if key[0] in of_new} == NEW
    used = [(one["data"]["day"], one["data"]["amount"]) for one in found["timeline"] if one["kind"] == "usage"]
    assert used == USED
    assert by["delivery", "delivered"]["destination"] == "ops"


NEW = {
    ("payment", "succeeded"): "49.00 USD, 9.00 USD refunded",
    ("payment", "failed"): "49.00 USD: Insufficient funds",
    ("link", "linked"): "by manual, customer cus_t, connection books",
    ("link", "unlink"): "customer cus_u, connection books by ada",
    ("change", "rename"): "to account:acme, from account:acm by ada",
    ("change", "merge"): "from account:acme-2, into account:acme by ada",
    ("change", "suppress"): "reason a competitor by ada",
    ("override", "given"): "calls: 10 by ada: a trial",
    ("override", "revoked"): "calls: 10 by bob",
    ("override", "expired"): "calls: 10",
    ("action", "fired"): "save-them: it is past due",
    ("action", "reached"): "save-them",
}
USED = [("2026-03-19", 5), ("2026-03-18", 1)]


@pytest.mark.usefixtures("clean")
def test_pages_of_any_size_come_to_the_whole_and_kinds_can_be_chosen(people: People) -> None:
    key = everything(people)
    for number in range(5):
        write(people, key, f"at once {number}", 10_000)
    whole = page(people, key, limit=500)["timeline"]
    assert page(people, key, limit=500)["next"] is None
    for size in (1, 3, len(whole)):
        found: list[Any] = []
        after = ""
        while True:
            one = page(people, key, limit=size, after=after)
            found += one["timeline"]
            if one["next"] is None:
                break
            after = one["next"]
        assert found == whole, size
    assert set(entries(people, key, kinds=["note", "task"])) == {
        ("note", "written"), ("task", "added"), ("task", "done"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kinds": ["notes"]}, "Nothing of the kind 'notes'"),
        ({"after": "x"}, "'x' is no `next`"),
        ({"after": "WyJhIl0"}, "no `next`"),
    ],
)
def test_what_is_no_kind_or_no_place_is_refused(people: People, options: dict[str, Any], words: str) -> None:
    key = people.add()
    with pytest.raises(LifecycleInvalid, match=words):
        page(people, key, **options)


def test_tasks_come_by_their_day_and_are_done_once(people: People) -> None:
    key = people.add()
    later, soon, some = (
        task(people, key, "b", date(2026, 5, 1)),
        task(people, key, "a", date(2026, 4, 1)),
        task(people, key, "c"),
    )
    engine = people.hub.engine
    with engine.begin() as db:
        assert [one["id"] for one in notes.tasks(db, False)] == [soon, later, some]
        assert [one["id"] for one in notes.tasks(db, False, due_by=date(2026, 4, 1))] == [soon]
        assert notes.tasks(db, True) == []
        done = notes.change_task(db, soon, "ada", NOW, {"done": True})
        again = notes.change_task(db, soon, "bob", NOW + timedelta(days=1), {"done": True})
        assert (done["done_by"], again["done_by"], again["done_at"]) == ("ada", "ada", NOW)
        assert [one["id"] for one in notes.tasks(db, False)] == [later, some]
        assert notes.change_task(db, soon, "bob", NOW, {"done": False})["done_at"] is None
        assert notes.change_task(db, later, "bob", NOW, {"due_on": None, "text": "B"})["due_on"] is None
        notes.remove_task(db, some, "ada")
    with engine.begin() as db:
        for act in (lambda: notes.remove_task(db, some, "a"), lambda: notes.change_task(db, some, "a", NOW, {})):
            with pytest.raises(TaskUnknown, match=f"no task {some}"):
                act()


def test_who_wrote_and_removed_what_is_audited_without_its_text(people: People) -> None:
    key = people.add()
    number = write(people, key, "secret words")
    with people.hub.engine.begin() as db:
        notes.erase(db, directory.of_key(db, key), number, "bob")
        with pytest.raises(NoteUnknown, match="account:acme has no note"):
            notes.erase(db, directory.of_key(db, key), number, "bob")
        for said in (" ", "x" * 10_001, "a\0b"):
            with pytest.raises(LifecycleInvalid, match="up to 10,000"):
                notes.write(db, directory.of_key(db, key), said, "ada", NOW)
        found = changes.of_contact(db, key)
    assert [(one["action"], one["by"], one["what"]) for one in found] == [
        ("note_removed", "bob", {"note": number}),
        ("note", "ada", {"note": number}),
    ]


def test_merging_moves_notes_and_tasks_and_shows_what_happened_to_both_and_parting_gives_them_back(
    people: People,
) -> None:
    kept, other = people.add("kept"), people.add("other", failed_attempts=1, failing_invoice="in_1")
    people.pass_()
    write(people, kept, "of kept", 1)
    write(people, other, "of other", 2)
    task(people, other, "call other")
    merged = previewing.settle(
        people.hub.engine, contacts_merge.merged(False, "kept", "other", "ada"), None, anyway=True
    )
    assert (merged.result["moved"]["notes"], merged.result["moved"]["tasks"]) == (1, 1)
    said = [one["data"]["text"] for one in page(people, kept, kinds=["note"])["timeline"]]
    assert said == ["of other", "of kept"]
    assert ("alert", "opened") in entries(people, kept)
    with people.hub.engine.connect() as db:
        assert [one["contact"] for one in notes.tasks(db, False, contact=kept)] == ["account:kept"]
    write(people, kept, "of both", 3)
    previewing.settle(people.hub.engine, contacts_merge.unmerged(merged.result["merge"], "ada"), None, anyway=True)
    assert [one["data"]["text"] for one in page(people, kept, kinds=["note"])["timeline"]] == ["of both", "of kept"]
    assert entries(people, other, kinds=["note", "task"]) == [("note", "written"), ("task", "added")]


TABLES = """
select table_name from information_schema.tables where table_schema = 'tidegate' and table_type = 'BASE TABLE'"""


def test_forgetting_a_contact_forgets_its_notes_tasks_and_reasons(people: People) -> None:
    key = people.add("acme", {"tier": "Zyxwvuts"}, failed_attempts=1, failing_invoice="in_1")
    people.pass_()
    write(people, key, "Zyxwvuts called")
    task(people, key, "Call Zyxwvuts")
    with people.hub.engine.begin() as db:
        db.execute(text("update tidegate.alerts set reasons = '[\"name is Zyxwvuts\"]', note = 'Zyxwvuts'"))
        db.execute(text("update tidegate.memberships set reasons = '[\"name is Zyxwvuts\"]'"))
        told = """
insert into tidegate.outbox (type, contact, data)
values ('alert.opened', :key, '{"alert": 1, "reasons": ["Zyxwvuts"], "text": "Zyxwvuts"}')"""
        db.execute(text(told), {"key": key})
    done = forget(people.hub.engine, False, "acme", "ada", only_preview=False)
    assert {"tidegate.contact_notes", "tidegate.contact_tasks", "tidegate.alerts"} <= set(done.rows)
    with people.hub.engine.connect() as db:
        tables = db.scalars(text(TABLES))
        left = [
            table
            for table in tables
            if db.scalar(text(f"select exists(select from tidegate.{table} t where t::text like '%Zyxwvuts%')"))
        ]
    assert left == []
    assert {kind for kind, _ in entries(people, key)} <= {"stage", "segment", "alert", "health", "change"}


def test_what_a_first_import_gives_is_no_change_of_entitlements(people: People) -> None:
    from tidegate.entitlements import telling

    key = people.add()
    told = [telling.changes(key, {}, {"sso": True})[0]]
    kept = {"contacts": [key], "types": ["granted"], "data": [json.dumps(told[0].data)]}
    with people.hub.engine.begin() as db:
        as_history(db)
        telling.rows(db, telling._KEEP, kept)  # pyright: ignore[reportPrivateUsage]
    assert people.rows("select from tidegate.entitlement_changes") == []
    with people.hub.engine.begin() as db:
        telling.rows(db, telling._KEEP, kept)  # pyright: ignore[reportPrivateUsage]
    assert entries(people, key) == [("entitlement", "granted")]
