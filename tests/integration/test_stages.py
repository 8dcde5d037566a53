"""Stages, segments and their rules: exactly one stage, with an explicit default, history, attribution and a preview."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from tests.support.placed import NOW, People

from tidegate.errors import LifecycleInvalid, ManagedByFile, PreviewStale
from tidegate.lifecycle import alerts, listing, outlook, owners, placing, portfolio, report, rulebook
from tidegate.lifecycle.rules import JOURNY, STAGES, wrong_segments, wrong_stages
from tidegate.wiring import Hub
from tidegate.workflows.contacts import contacts_forget
from tidegate.workflows.lifecycle.explain_stage import explain_stage
from tidegate.workflows.lifecycle.lifecycle_rules import change, preset, put, rules_of

LONG_AGO = NOW - timedelta(days=400)


@pytest.fixture
def people(hub: Hub) -> People:
    return People(hub)


def test_the_rules_that_hold_without_a_word_are_sound() -> None:
    assert wrong_stages(STAGES) == wrong_stages(JOURNY) == []
    people_of = [{"key": "big", "when": {"field": "mrr", "at_least": 1}}]
    assert wrong_segments(rules_of(people_of, "segments")) == []


@pytest.mark.parametrize(
    ("facts", "stage"),
    [
        ({}, "prospect"),
        ({"status": "active"}, "customer"),
        ({"status": "trialing"}, "trial"),
        ({"status": "paused"}, "paused"),
        ({"status": "incomplete"}, "prospect"),
        ({"status": "incomplete_expired"}, "prospect"),
        ({"status": "canceled"}, "prospect"),
        ({"status": "canceled", "customer_since": LONG_AGO}, "churned"),
        ({"status": "incomplete", "customer_since": LONG_AGO}, "churned"),
        ({"customer_since": LONG_AGO}, "churned"),
        ({"status": "past_due", "statuses": ["past_due"]}, "at_risk"),
        ({"status": "active", "statuses": ["active", "unpaid"]}, "at_risk"),
        ({"status": "unpaid", "statuses": ["unpaid"], "customer_since": LONG_AGO}, "at_risk"),
        ({"status": "active", "ends_at": NOW + timedelta(days=20)}, "at_risk"),
        ({"status": "trialing", "ends_at": NOW + timedelta(days=20)}, "trial"),
        ({"status": "active", "card_expires_at": NOW + timedelta(days=29), "has_backup": False}, "at_risk"),
        ({"status": "active", "card_expires_at": NOW - timedelta(days=2), "has_backup": False}, "at_risk"),
        ({"status": "active", "card_expires_at": NOW + timedelta(days=29), "has_backup": True}, "customer"),
        ({"status": "active", "card_expires_at": NOW + timedelta(days=31), "has_backup": False}, "customer"),
        ({"status": "active", "unhealthy_since": NOW}, "at_risk"),
    ],
    ids=str,
)
def test_the_first_stage_that_holds_is_the_contacts(people: People, facts: dict[str, Any], stage: str) -> None:
    key = people.add("acme", None, **facts)
    if "unhealthy_since" in facts:  # its health is what the components say
        people.set(key, past_due_since=NOW - timedelta(days=40), latest_invoice_status="open", mrr_trend=0.1)
        people.set(key, customer_since=NOW - timedelta(days=1), mrr_total=0)
    people.pass_()
    assert people.of(key, "stage") == stage
    kept = people.rows("select key, left_at, because from tidegate.memberships where kind = 'stage'")
    assert kept == [(stage, None, "begin")]


@pytest.mark.parametrize(
    ("status", "stage"),
    [
        ("trialing", "trial"),
        ("active", "customer"),
        ("incomplete", "customer"),
        ("incomplete_expired", "customer"),
        ("past_due", "customer"),
        ("unpaid", "customer"),
        ("canceled", "churn"),
        ("paused", "prospect"),
        (None, "prospect"),
    ],
)
def test_the_preset_journy_maps_statuses_as_that_seed_does(people: People, status: str | None, stage: str) -> None:
    key = people.add(status=status)
    change(people.hub.engine, "ada", stages=preset("journy"), as_of=NOW)
    assert people.of(key, "stage") == stage


def test_history_has_when_and_why_and_is_told_once(people: People) -> None:
    key = people.add(status="trialing")
    people.pass_()
    assert people.told() == []
    people.set(key, status="active", mrr_total=250, usage_share=0.9)
    assert people.pass_(3).moved == 1
    assert people.pass_(1).moved == 0
    kept = people.rows(
        "select key, entered_at, left_at, reasons, because from tidegate.memberships where kind = 'stage' order by id"
    )
    assert kept == [
        ("trial", NOW, NOW + timedelta(days=3), ["subscription.status is trialing (trialing)"], "begin"),
        ("customer", NOW + timedelta(days=3), None, ["subscription.status is active or past_due (active)"], "facts"),
    ]
    assert people.told() == [
        (
            "stage.changed",
            {"before": "trial", "now": "customer", "reasons": ["subscription.status is active or past_due (active)"]},
        ),
        (
            "segment.entered",
            {"segment": "growth", "reasons": ["mrr is at least 200 (250)", "usage is at least 0.8 (0.9)"]},
        ),
    ]


def test_whoever_comes_back_leaves_churned_again(people: People) -> None:
    key = people.add(status="canceled", customer_since=LONG_AGO)
    people.pass_()
    people.set(key, status="active")
    people.pass_(1)
    assert people.of(key, "stage") == "customer"


@pytest.mark.parametrize(
    ("facts", "segments"),
    [
        ({"mrr_total": 1000}, ["enterprise"]),
        ({"mrr_total": "999.99", "usage_share": 0.8}, ["growth"]),
        ({"mrr_total": 200, "usage_share": 0.8}, ["growth"]),
        ({"mrr_total": 250, "usage_share": 0.79}, ["starter"]),
        ({"mrr_total": 250}, ["starter"]),
        ({"mrr_total": "999.99", "usage_share": None}, ["starter"]),
        ({"mrr_total": 1500, "usage_share": 0.8}, ["enterprise", "growth"]),
        ({"mrr_total": 199, "usage_share": 0.9}, ["starter"]),
        ({"mrr_total": "0.01"}, ["starter"]),
        ({"mrr_total": 0}, []),
        ({"mrr_total": None}, []),
        ({"mrr_total": 10, "statuses": ["past_due"]}, ["at_risk", "starter"]),
    ],
    ids=str,
)
def test_segments_hold_side_by_side(people: People, facts: dict[str, Any], segments: list[str]) -> None:
    key = people.add("acme", None, **facts)
    people.pass_()
    assert people.of(key, "segments") == segments


DUE = {"tomorrow": 1, "today": -0.5, "long ago": -9}
"""In how many days what each owes is due."""


def test_what_is_due_later_is_not_past_due_for_less_than_no_days(people: People) -> None:
    early = {"key": "early", "when": {"field": "days_past_due", "below": 1}}
    change(people.hub.engine, "ada", segments=rules_of([early], "segments"), as_of=people.now)
    due = {ref: people.add(ref, past_due_since=people.now + timedelta(days=days)) for ref, days in DUE.items()}
    people.pass_()
    assert [ref for ref, key in due.items() if "early" in people.of(key, "segments")] == ["today"]


def test_a_merged_or_forgotten_contact_is_in_no_stage(people: People) -> None:
    one, other = people.add("one"), people.add("other")
    with people.hub.engine.begin() as db:
        db.exec_driver_sql(f"update tidegate.contacts set merged_into = {one} where key = {other}")
    people.pass_()
    assert (people.of(one, "stage"), people.of(other, "stage")) == ("prospect", None)


def test_who_is_forgotten_leaves_stage_and_segments_and_counts_nowhere(people: People) -> None:
    mrr = '{"usd": 9000000000}'
    people.add("one", status="active", mrr_total=90, mrr=mrr)
    other = people.add("other", status="past_due", statuses=["past_due"], mrr_total=90, mrr=mrr)
    people.pass_()
    assert (people.of(other, "stage"), people.of(other, "segments")) == ("at_risk", ["at_risk", "starter"])
    contacts_forget.forget(people.hub.engine, False, "account:other", "ada", only_preview=False)
    people.pass_(1)
    assert (people.of(other, "stage"), people.of(other, "segments")) == (None, [])
    left = "select distinct left_at is null, left_because from tidegate.memberships where contact = :key"
    assert people.rows(left, key=other) == [(False, "begin")]
    with people.hub.engine.connect() as db:
        rules = rulebook.load(db)
        counted = [*listing.stages(db, rules.stages, False), *listing.segments(db, rules.segments, False)]
        bands = portfolio.portfolio(db, False)["bands"]
    assert {one["key"]: one["contacts"] for one in counted if one["contacts"]} == {"customer": 1, "starter": 1}
    assert sum(band["contacts"] for band in bands) == 1
    assert not [kind for kind, _ in people.told() if kind in ("stage.changed", "segment.left")]


def test_live_and_test_contacts_are_counted_apart(people: People) -> None:
    for ref, livemode in (("one", False), ("real", True), ("other", True)):
        key = people.add(ref, status="active", mrr_total=90, mrr='{"usd": 9000000000}')
        with people.hub.engine.begin() as db:
            told = {"key": key, "livemode": livemode}
            db.execute(text("update tidegate.contacts set livemode = :livemode, owner = 'ada' where key = :key"), told)
    people.pass_()
    with people.hub.engine.connect() as db:
        rules = rulebook.load(db)
        for livemode, many in ((False, 1), (True, 2), (None, 3)):
            groups = [*listing.stages(db, rules.stages, livemode), *listing.segments(db, rules.segments, livemode)]
            counted = {one["key"]: (one["contacts"], one["mrr"]) for one in groups if one["contacts"]}
            paid = (many, [{"currency": "usd", "mrr": many * 9000}])
            assert counted == {"customer": paid, "starter": paid}
            assert [band["contacts"] for band in portfolio.portfolio(db, livemode)["bands"]] == [many]
            for by, key in (("owner", "ada"), ("segment", "starter")):
                assert [(one["key"], one["contacts"]) for one in portfolio.portfolio_by(db, by, livemode)] == [
                    (key, many)
                ]
        modes = [owners.listing(db, livemode)[0]["contacts"] for livemode in (False, True)]
    assert modes == [1, 2]


def test_alerts_of_live_and_of_test_contacts_are_told_apart(people: People) -> None:
    for ref, livemode in (("one", False), ("real", True), ("other", True)):
        key = people.add(ref, status="active", mrr_total=90)
        with people.hub.engine.begin() as db:
            told = {"key": key, "livemode": livemode, "at": NOW}
            db.execute(text("update tidegate.contacts set livemode = :livemode where key = :key"), told)
            db.execute(
                text("""
insert into tidegate.alerts (rule, contact, subject, occurrence, state, reasons, opened_at, changed_at)
values ('payment_failed', :key, '', 'in_1', 'open', '[]', :at, :at)"""),
                told,
            )
    with people.hub.engine.connect() as db:
        listed = [{one["contact"] for one in listing.alerts(db, livemode=mode)} for mode in (False, True, None)]
        counted = [outlook.open_alerts(db, mode) for mode in (False, True)]
    assert listed == [{"one"}, {"real", "other"}, {"one", "real", "other"}]
    assert counted == [[{"rule": "payment_failed", "alerts": 1}], [{"rule": "payment_failed", "alerts": 2}]]


def test_how_long_stays_were_is_the_same_wherever_it_is_told(people: People) -> None:
    key = people.add("one", status="trialing", statuses=["trialing"])
    people.pass_()
    people.pass_(1)
    change(people.hub.engine, "ada", stages=preset("journy"), as_of=people.now)
    people.set(key, status="active", statuses=["active"])
    people.pass_(10)
    with people.hub.engine.connect() as db:
        stages = rulebook.load(db).stages
        listed = {one["key"]: one["median_days"] for one in listing.stages(db, stages, False)}
        told = report.stages(db, False, stages, NOW - timedelta(days=1), people.now + timedelta(days=1))["stages"]
    assert listed == {one["key"]: one["median_days"] for one in told}


def test_a_merged_contact_counts_once(people: People) -> None:
    both = '{"usd": 9000000000, "jpy": 1200000000}'
    one = people.add("one", status="active", mrr_total=100, mrr=both)
    other = people.add("other", status="active", mrr_total=50, mrr='{"usd": 5000000000}')
    people.pass_()
    with people.hub.engine.begin() as db:
        db.exec_driver_sql(f"update tidegate.contacts set merged_into = {one} where key = {other}")
        [customers] = [row for row in listing.stages(db, rulebook.load(db).stages, False) if row["key"] == "customer"]
        bands = portfolio.portfolio(db, False)["bands"]
    assert customers["contacts"] == 1
    assert customers["mrr"] == [{"currency": "jpy", "mrr": 1200}, {"currency": "usd", "mrr": 9000}], (
        "and no sum of both"
    )
    assert [(band["contacts"], band["mrr"]) for band in bands] == [(1, customers["mrr"])]


def test_other_rules_are_shown_before_they_hold(people: People) -> None:
    for place in range(5):
        people.add(f"t{place}", status="trialing")
    paying = people.add("paying", status="past_due", statuses=["past_due"])
    people.pass_()
    found = change(people.hub.engine, "ada", stages=preset("journy"), only_preview=True, as_of=NOW)
    assert (found.contacts, found.stages, found.done) == (1, {("at_risk", "customer"): 1}, False)
    assert people.of(paying, "stage") == "at_risk"
    people.add("late", status="past_due", statuses=["past_due"])
    people.pass_()
    with pytest.raises(PreviewStale, match="2 contacts would move"):
        change(people.hub.engine, "ada", stages=preset("journy"), token=found.token, as_of=NOW)
    assert people.of(paying, "stage") == "at_risk"
    found = change(people.hub.engine, "ada", stages=preset("journy"), only_preview=True, as_of=NOW)
    done = change(people.hub.engine, "ada", stages=preset("journy"), token=found.token, as_of=NOW)
    assert (done.contacts, done.done, people.of(paying, "stage")) == (2, True, "customer")
    because = people.rows(
        "select because from tidegate.memberships where contact = :c order by id desc limit 1", c=paying
    )
    assert because == [("rules",)]
    assert [kind for kind, _ in people.told() if kind.startswith(("stage.", "segment."))] == []
    assert people.pass_(1).moved == 0


def test_stages_in_another_order_assign_anew(people: People) -> None:
    key = people.add(status="active", mrr_total=10)
    people.pass_()
    small = {"key": "small", "when": {"field": "mrr", "below": 50}}
    stages = rules_of(
        [small, {"key": "customer", "when": {"field": "subscription.status", "is": "active"}}, {"key": "other"}],
        "stages",
    )
    change(people.hub.engine, "ada", stages=stages, as_of=NOW)
    assert people.of(key, "stage") == "small"
    turned = [stages[1], stages[0], stages[2]]
    seen = change(people.hub.engine, "ada", stages=turned, only_preview=True, as_of=NOW)
    assert (seen.stages, people.of(key, "stage")) == ({("small", "customer"): 1}, "small")
    found = change(people.hub.engine, "ada", stages=turned, token=seen.token, as_of=NOW)
    assert (found.stages, people.of(key, "stage")) == ({("small", "customer"): 1}, "customer")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ([{"key": "a", "when": {"field": "mrr", "above": 1}}], "exactly one stage has no `when`"),
        ([{"key": "a"}, {"key": "b"}], "exactly one stage has no `when`, for whomever no other takes; a, b have none"),
        ([{"key": "a"}, {"key": "a", "when": {"field": "mrr", "above": 1}}], "two stages have this key"),
        ([{"key": "a"}, {"key": "b", "when": {"field": "stage", "is": "a"}}], "b.when: a stage cannot ask for stage"),
        ([{"key": "a"}, {"key": "b", "when": {"field": "mrrr", "above": 1}}], "b.when.field: there is no field 'mrrr'"),
        ([{"key": "a", "color": "red"}], "stages.0: it takes key"),
        (["a"], "stages.0: it takes key"),
        ([{"key": "a b"}], "stages.0: it takes key"),
    ],
    ids=str,
)
def test_stages_that_cannot_be_are_refused_whole(said: list[Any], words: str) -> None:
    with pytest.raises(LifecycleInvalid) as refused:
        rules_of(said, "stages")
    assert words in str(refused.value)


def test_what_the_file_manages_is_changed_there(people: People) -> None:
    with people.hub.engine.begin() as db:
        put(db, "file", stages=STAGES, managed_by="file", as_of=NOW)
    with pytest.raises(ManagedByFile):
        change(people.hub.engine, "ada", stages=JOURNY, as_of=NOW)
    change(people.hub.engine, "ada", segments=rules_of([], "segments"), as_of=NOW)


def test_why_a_contact_is_there_names_each_test(people: People) -> None:
    people.add("acme", status="active", ends_at=NOW + timedelta(days=3))
    people.pass_()
    told = explain_stage(people.hub.engine, False, "acme", as_of=NOW)
    assert told["stage"] == "at_risk"
    first = told["stages"][0]
    assert (first["key"], first["holds"]) == ("at_risk", True)
    assert first["reasons"] == [
        "subscription.status is active or past_due or unpaid (active)",
        "ends_at is known: yes (2026-03-18T12:00:00+00:00)",
    ]
    assert [one["key"] for one in told["history"]] == ["at_risk", "at_risk"]  # the stage, and the segment of that name


def test_everybody_is_placed_however_few_are_held_in_memory(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placing, "CHUNK", 2)
    monkeypatch.setattr(alerts, "CHUNK", 2)
    keys = [people.add(f"c{n}", status="trialing", failed_attempts=1, failing_invoice=f"in_{n}") for n in range(5)]
    first = people.pass_()
    assert (first.moved, first.opened) == (5, 5)
    assert {people.of(key, "stage") for key in keys} == {"trial"}
    assert not [kind for kind, _ in people.told() if kind != "alert.resolved"], "they came only now"
    again = people.pass_()
    assert (again.moved, again.opened) == (0, 0)
    for key in keys[:4]:
        people.set(key, status="active")
    assert people.pass_().moved == 4
    assert len([kind for kind, _ in people.told() if kind == "stage.changed"]) == 4


def test_a_preview_counts_who_would_move_and_holds_no_more_than_a_chunk(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(25):
        people.add(f"c{n}", status=["active", "trialing", "canceled"][n % 3], customer_since=LONG_AGO)
    people.pass_()
    wanted = {"stages": rules_of([{"key": "all"}], "stages"), "segments": rules_of([], "segments"), "as_of": NOW}
    whole = change(people.hub.engine, "ada", **wanted, only_preview=True)
    held: list[int] = []
    moves = placing.moves

    def counted(*said: Any, **more: Any) -> list[placing.Move]:
        held.append(len(found := moves(*said, **more)))
        return found

    monkeypatch.setattr(placing, "CHUNK", 2)
    monkeypatch.setattr(placing, "moves", counted)
    found = change(people.hub.engine, "ada", **wanted, only_preview=True)
    assert found == whole
    assert (found.contacts, len(found.sample)) == (25, 20)
    assert found.stages == {("customer", "all"): 9, ("trial", "all"): 8, ("churned", "all"): 8}
    assert max(held) == 2
    with monkeypatch.context() as nobody_moves:
        nobody_moves.setattr(placing, "carry_out", None)
        change(people.hub.engine, "ada", **wanted, only_preview=True)
    done = change(people.hub.engine, "ada", **wanted, token=found.token)
    assert (done.stages, done.done) == (found.stages, True)
    assert people.rows("select stage, count(*) from tidegate.contact_lifecycle group by 1") == [("all", 25)]
    assert max(held) == 2
