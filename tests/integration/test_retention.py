"""What is deleted with time, what is kept whatever its age, and how much room things take."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import Engine, text
from tests.support.queue import no_stripe

from tidegate.connections import runs
from tidegate.contacts import directory
from tidegate.contacts.directory import Making
from tidegate.security import tokens
from tidegate.settings import Settings
from tidegate.store.sizes import GROUPS, sizes
from tidegate.wiring import Hub
from tidegate.workflows import clock_tasks
from tidegate.workflows.mirror.audit import last_verdicts
from tidegate.workflows.operation import retention
from tidegate.workflows.operation.status import status
from tidegate.workflows.task_context import TaskContext

Add = Callable[..., int]


@pytest.fixture
def database_url(fresh_database_url: str) -> str:
    """Every test of this module has a database of its own."""
    return fresh_database_url


@pytest.fixture
def add(engine: Engine) -> Add:
    """Adds a run that ended so many days ago; returns its id."""

    def add(kind: str, days: int, state: str = "done", options: str = "{}", connection: str = "acme") -> int:
        with engine.begin() as db:
            return int(
                db.scalar(
                    text("""
insert into tidegate.runs (connection, kind, state, options, started_at, heartbeat_at, finished_at)
select :connection, :kind, :state, cast(:options as jsonb), at, at, at
from (select now() - make_interval(days => :days) as at) as one returning id"""),
                    {"connection": connection, "kind": kind, "days": days, "state": state, "options": options},
                )
                or 0
            )

    return add


def kept(engine: Engine) -> set[int]:
    with engine.connect() as db:
        return set(db.scalars(text("select id from tidegate.runs")))


def test_old_runs_go_with_all_that_is_theirs_and_the_last_of_each_kind_stays(
    engine: Engine, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    old = [add("sweep", days) for days in (200, 180, 160, 140, 120)]
    last, other = add("sweep", 100), add("sweep", 300, connection="beta")
    audits = [add("audit", days) for days in (95, 89)]
    with engine.begin() as db:
        db.execute(text("insert into tidegate.import_ranges (run, resource) select id, 'prices' from tidegate.runs"))
    assert retention.forget_old(engine)["runs"] == len(old) + 1
    assert kept(engine) == {last, other, audits[1]}
    with engine.connect() as db:
        assert set(db.scalars(text("select run from tidegate.import_ranges"))) == kept(engine)
    assert retention.forget_old(engine)["runs"] == 0


def test_that_everything_was_imported_once_is_not_forgotten(engine: Engine, add: Add) -> None:
    part = '{"resources": ["prices"]}'
    add("import", 300)
    whole = add("import", 200)
    add("import", 150, options=part)
    last = add("import", 100, options=part)
    assert retention.forget_old(engine)["runs"] == 2
    assert kept(engine) == {whole, last}
    with engine.connect() as db:
        assert runs.ever_whole(db, "acme")


def test_the_newest_verdict_on_each_resource_is_not_forgotten(engine: Engine, add: Add) -> None:
    first, second, third = (add("audit", days) for days in (300, 200, 100))
    with engine.begin() as db:
        for run, resource in [(first, "prices"), (first, "customers"), (second, "prices"), (third, "prices")]:
            db.execute(
                text(
                    "insert into tidegate.comparisons (run, connection, resource, verdict) values (:r, 'acme', :n, 'x')"
                ),
                {"r": run, "n": resource},
            )
        before = [(one["resource"], one["at"]) for one in last_verdicts(db, "acme")]
    assert retention.forget_old(engine)["runs"] == 1
    assert kept(engine) == {first, third}
    with engine.connect() as db:
        assert [(one["resource"], one["at"]) for one in last_verdicts(db, "acme")] == before


def test_revoked_tokens_go_and_the_settings_say_when(engine: Engine) -> None:
    with engine.begin() as db:
        for name in ("valid", "revoked", "long_revoked"):
            db.execute(
                text("insert into tidegate.tokens (name, digest, scopes) values (:n, :d, '{read}')"),
                {"n": name, "d": name.encode()},
            )
        db.execute(text("update tidegate.tokens set revoked_at = now() - interval '20 days' where name <> 'valid'"))
        db.execute(
            text("update tidegate.tokens set revoked_at = now() - interval '91 days' where name = 'long_revoked'")
        )
    context = TaskContext(engine, no_stripe)
    assert clock_tasks.forget_old(context, 60)["tokens"] == 1
    assert Settings().retention == retention.DAYS
    days = Settings(retention_runs_days=10).retention
    assert clock_tasks.forget_old(replace(context, retention=days), 60)["tokens"] == 1
    with engine.connect() as db:
        assert [one.name for one in tokens.listing(db)] == ["valid"]


def test_old_digests_go_but_the_last_of_each_recipient(engine: Engine) -> None:
    with engine.begin() as db:
        db.execute(text("""
insert into tidegate.digests (recipient, period, since, until, destination, data, made_at)
select recipient, days::text, at - interval '1 day', at, 'ops', '{}', at
from unnest(array['', 'ada']) recipient, unnest(array[100, 95, 91]) days,
  lateral (select now() - make_interval(days => days)) t(at)"""))  # fmt: skip
    assert retention.forget_old(engine)["digests"] == 4
    with engine.connect() as db:
        rows = db.execute(text("select recipient, period from tidegate.digests order by 1"))
        assert [tuple(row) for row in rows] == [("", "91"), ("ada", "91")]


def test_what_contacts_went_through_goes_and_how_they_are_now_stays(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each contact one row is older than the 730 days, one as old and the newest of all, one newer."""
    monkeypatch.setattr(retention, "BATCH", 2)
    with engine.begin() as db:
        for statement in PAST:
            db.execute(text(statement))
    assert retention.forget_old(engine, {**retention.DAYS, "lifecycle": 1100})["memberships"] == 0
    deleted = retention.forget_old(engine)
    counts = {name: deleted[name] for name in ("memberships", "health_history", "alerts", "entitlement_changes")}
    assert counts == {"memberships": 3, "health_history": 3, "alerts": 4, "entitlement_changes": 3}
    with engine.connect() as db:
        rows = db.execute(text("select key, left_at is null from tidegate.memberships order by key"))
        assert [tuple(row) for row in rows] == [("lately", False), ("there", True)]
        assert db.scalars(text("select health from tidegate.health_history order by contact, at")).all() == [50, 60, 4]
        left = db.scalars(text("select occurrence from tidegate.alerts order by id")).all()
        assert left == ["open", "acknowledged", "snoozed", "dismissed", "lately", "newer"]
        assert db.scalar(text("select count(*) from tidegate.entitlement_changes")) == 1


PAST = (
    """
insert into tidegate.memberships (contact, kind, key, entered_at, left_at, reasons, because)
select n, 'stage', key, now() - interval '1000 days', now() - make_interval(days => days), '[]', 'facts'
from (values (1, 'long', 900), (2, 'long', 800), (3, 'long', 731), (4, 'lately', 729), (5, 'there', null))
  m(n, key, days)""",
    """
insert into tidegate.health_history (contact, at, health, coverage, parts)
select n, now() - make_interval(days => days), health, 1, '{}'
from (values (1, 1000, 10), (1, 900, 20), (1, 800, 30), (1, 729, 50), (1, 1, 60), (2, 1000, 4)) h(n, days, health)""",
    """
insert into tidegate.alerts (contact, subject, rule, occurrence, state, reasons, opened_at, changed_at)
select nullif(n, 0), case when n = 0 then 'disk' else '' end, rule, what, state, '[]', now() - interval '1000 days',
  now() - make_interval(days => days)
from (values (1, 'a', 'open', 'open', 900), (2, 'a', 'acknowledged', 'acknowledged', 900),
  (3, 'a', 'snoozed', 'snoozed', 900), (4, 'a', 'dismissed', 'dismissed', 900), (5, 'a', 'over', 'resolved', 900),
  (6, 'a', 'over', 'resolved', 731), (7, 'a', 'lately', 'resolved', 729), (8, 'a', 'older', 'dismissed', 900),
  (8, 'a', 'newer', 'dismissed', 900), (0, 'disk_low', 'hub', 'resolved', 900)) a(n, rule, what, state, days)""",
    """
insert into tidegate.entitlement_changes (contact, type, data, at)
select 1, 'granted', '{}', now() - make_interval(days => days) from unnest(array[1000, 900, 731, 729]) as days""",
)


def test_what_the_outbox_told_long_ago_goes(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    with engine.begin() as db:
        db.execute(
            text("""
insert into tidegate.outbox (type, data, at)
select 'x', jsonb_build_object('days', days), now() - make_interval(days => days)
from unnest(array[90, 13, 15, 40, 0, 20, 30]) as days""")
        )
    assert retention.forget_old(engine)["outbox"] == 5
    with engine.connect() as db:
        assert db.scalars(text("select data -> 'days' from tidegate.outbox order by id")).all() == [13, 0]
    assert retention.forget_old(engine, {**retention.DAYS, "outbox": 1})["outbox"] == 1


def test_the_room_of_each_group_adds_up(hub: Hub, engine: Engine) -> None:
    with engine.connect() as db:
        before = sizes(db)
    assert list(before) == list(GROUPS)
    with engine.begin() as db:
        db.execute(
            text("""
insert into tidegate.versions (connection, resource, object_id, at, certainty, digest, data)
select 'acme', 'prices', n::text, now(), 1, '', '{}' from generate_series(1, 5000) n""")
        )
    shown = status(hub.engine)["database"]
    assert shown["bytes"] == sum(shown["groups"].values())
    assert shown["groups"]["versions"] > before["versions"] + 100_000
    assert shown["groups"]["inbox"] == before["inbox"] > 0
    assert shown["groups"]["mirror"] > shown["groups"]["jobs"] > 0


def test_old_debits_go_with_their_keys_and_what_is_used_stays_counted(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    with engine.begin() as db:
        key = directory.make(db, False, Making("account", "acme"))
        debits = [(days, "done") for days in (200, 150, 120, 95, 91)] + [(100, "reserved"), (89, "done")]
        for days, state in debits:
            db.execute(text(DEBIT), {"contact": key, "days": days, "state": state})
        db.execute(
            text("insert into tidegate.usage values (:key, 'calls', 'package:never', 'epoch', null, 7)"), {"key": key}
        )
    assert retention.forget_old(engine)["usage"] == 5
    with engine.connect() as db:
        left = db.execute(text("select state from tidegate.usage_debits order by id")).scalars()
        assert list(left) == ["reserved", "done"]
        assert db.scalar(text("select used from tidegate.usage")) == 7


DEBIT = """
insert into tidegate.usage_debits (contact, feature, operation, amount, debits, answer, at, state)
values (:contact, 'calls', 'consume', 1, '[]', '{}', now() - make_interval(days => :days), :state)"""
