"""Policies tried and adopted, and customers left out: the past is said anew, and what was said before stays."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from tests.support.bills import recurring
from tests.support.books import BEGUN, Books
from tests.support.builders import customer, invoice
from tests.support.histories import MILLION, day
from tests.support.shop import Shop, opened
from typer.testing import CliRunner

from tidegate.cli import app
from tidegate.errors import ConfigInvalid, CustomerUnknown, ExclusionInvalid, ManagedByFile, PolicyInvalid
from tidegate.revenue import checks, editions, rate_files
from tidegate.settings import settings
from tidegate.workflows import previewing
from tidegate.workflows.config import config_export, config_file, config_sections
from tidegate.workflows.lifecycle import lifecycle, lifecycle_actions, rate_problems
from tidegate.workflows.operation import standing_problems
from tidegate.workflows.revenue import exchange_rates, exclusions, ledger_policy

WHILE_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def books(fresh_database_url: str) -> Iterator[Books]:
    with opened(fresh_database_url) as shop:
        yield Books(shop)


def broken(books: Books) -> dict[str, list[str]]:
    with books.shop.engine.connect() as db:
        return {name: found for name, found in checks.broken(db, "acme").items() if found}


WEIGHED = {"enters_segment": "starter"}


def heard(books: Books, as_of: datetime | None = None) -> list[tuple[str, Any]]:
    """What the outbox was told of moves, alerts and actions, oldest first; it is told anew afterwards."""
    lifecycle.keep(books.shop.engine, as_of=as_of)
    told = books.shop.rows("""
select type, contact from tidegate.outbox where type ~ '^(stage|segment|alert|action)[.]' order by id""")
    with books.shop.engine.begin() as db:
        db.execute(text("truncate tidegate.outbox"))
    return [(type_, contact) for type_, contact in told]


@pytest.fixture
def watched(books: Books) -> Books:
    """Books of an account that was imported long ago, with an action on who comes into a segment."""
    with books.shop.engine.begin() as db:
        db.execute(
            text("""
insert into tidegate.runs (connection, kind, state, options, started_at, finished_at)
values ('acme', 'import', 'done', '{}', '2026-01-01Z', '2026-01-01Z')""")
        )
        db.execute(text("insert into tidegate.destinations (key, kind, spec) values ('log', 'files', '{}')"))
        step = {"destination": "log", "event": "Weighed"}
        lifecycle_actions.put(db, {"key": "weighed", "on": WEIGHED, "do": [step]}, "me", as_of=WHILE_AGO)
    return books


def test_another_policy_moves_contacts_and_nobody_is_told(watched: Books) -> None:
    books, [trier] = watched, watched.who("bob")
    books.pays(trier, 500, status="trialing", trial_end=day("2100-01-01"))
    books.refresh()
    heard(books)
    ledger_policy.adopt(books.shop.engine, books.shop.account, {"choices": {"trials": "count"}}, "me")
    assert heard(books) == []
    entered = "select key, because from tidegate.memberships where kind = 'segment' and left_at is null"
    assert books.shop.rows(entered) == [("starter", "rules")]
    assert books.shop.rows("select state from tidegate.action_occurrences where state <> 'passed'") == []
    ledger_policy.adopt(books.shop.engine, books.shop.account, {"choices": {"trials": "zero"}}, "me")
    assert heard(books) == []
    assert books.shop.rows(entered) == []
    [key] = books.shop.rows("select contact from tidegate.links")[0]
    books.pays(trier, 500, at=BEGUN + 86_400, status="active")
    books.refresh()
    assert heard(books) == [
        ("stage.changed", key), ("segment.entered", key), ("action.fired", key),
    ], "and then something happened"  # fmt: skip


def test_a_customer_that_is_left_out_moves_its_contact_and_nobody_is_told(watched: Books) -> None:
    books, [payer] = watched, watched.who("ada")
    books.pays(payer, 1000)
    books.refresh()
    heard(books)
    segments = "select segments from tidegate.contact_lifecycle"
    assert books.shop.rows(segments) == [(["starter"],)]
    exclusions.exclude(books.shop.engine, books.shop.account, payer, "staff", "me")
    assert heard(books) == []
    assert books.shop.rows(segments) == [([],)]
    exclusions.include(books.shop.engine, books.shop.account, payer, "me")
    assert heard(books) == []
    assert books.shop.rows(segments) == [(["starter"],)]


def by_command(books: Books) -> None:
    ledger_policy.adopt(books.shop.engine, books.shop.account, {"choices": {"trials": "count"}}, "me")


def by_file(books: Books) -> None:
    sections = config_sections.read("revenue: {settings: {trials: count}}", "tidegate.yaml", {})
    previewing.commit(books.shop.engine, config_file.apply(sections, "me"), None)


@pytest.mark.parametrize("adopt", [by_command, by_file])
def test_what_happened_before_another_policy_is_told_first(watched: Books, adopt: Callable[[Books], None]) -> None:
    books, [trier] = watched, watched.who("bob")
    [other] = books.who("eve")
    for one in (trier, other):
        books.pays(one, 500, status="trialing", trial_end=day("2100-01-01"))
    books.refresh()
    heard(books)
    books.pays(trier, 500, at=BEGUN + 86_400, status="active")
    books.refresh()
    adopt(books)
    assert [type_ for type_, _ in heard(books)] == ["stage.changed", "segment.entered", "action.fired"]
    entered = "select because, count(*) from tidegate.memberships where kind = 'segment' group by 1 order by 1"
    assert books.shop.rows(entered) == [("facts", 1), ("rules", 1)], "whom the policy moves is not told of"


def test_another_base_currency_tells_contacts_in_it_silently(watched: Books) -> None:
    books, [payer] = watched, watched.who("ada")
    books.pays(payer, 100_000)
    books.refresh()
    heard(books)
    worth = "select mrr_total from tidegate.contact_lifecycle"
    assert books.shop.rows(worth) == [(1000,)]
    ledger_policy.adopt(books.shop.engine, books.shop.account, {"base_currency": "eur"}, "me")
    assert heard(books, datetime(2026, 3, 15, tzinfo=UTC)) == [], "the rates that come along reach to then"
    [(total,)] = books.shop.rows(worth)
    assert 500 < total < 1000
    assert books.shop.rows("select segments from tidegate.contact_lifecycle") == [(["starter"],)]


def paid_in_dollars(books: Books) -> Books:
    """Ada pays in dollars, and the ledger's base becomes the euro."""
    [payer] = books.who("ada")
    books.pays(payer, 100_000)
    books.refresh()
    ledger_policy.adopt(books.shop.engine, books.shop.account, {"base_currency": "eur"}, "me")
    return books


def test_newer_rates_tell_what_contacts_are_worth_by_them_silently(watched: Books) -> None:
    books = paid_in_dollars(watched)
    later = datetime(2031, 6, 2, tzinfo=UTC)
    heard(books, later)
    worth = "select mrr_total from tidegate.contact_lifecycle"
    assert books.shop.rows(worth) == [(None,)], "no rate is known so late"
    for rate, segment in ((2, "starter"), (Decimal("0.5"), "enterprise")):
        with books.shop.engine.begin() as db:
            exchange_rates.take(db, {"usd": {later.date(): Decimal(rate)}}, "mine")
        assert heard(books, later) == []
        assert books.shop.rows(worth) == [(1000 / rate,)]
        assert books.shop.rows("select segments from tidegate.contact_lifecycle") == [([segment],)]


def test_a_worth_whose_rate_becomes_too_old_is_unknown_and_said(watched: Books) -> None:
    books = paid_in_dollars(watched)
    rated = datetime(2031, 6, 2, tzinfo=UTC)
    with books.shop.engine.begin() as db:
        exchange_rates.take(db, {"usd": {rated.date(): Decimal("0.5")}}, "mine")
    heard(books, rated)
    seen = "select mrr_total, segments, health_parts ? 'revenue_tier', unrated from tidegate.contact_lifecycle"
    assert books.shop.rows(seen) == [(2000, ["enterprise"], True, False)]
    assert heard(books, rated + timedelta(days=7)) == []
    assert books.shop.rows(seen)[0][0] == 2000, "markets close for no longer than that"
    late = rated + timedelta(days=8)
    assert heard(books, late) == [], "it is no news of the contact"
    assert books.shop.rows(seen) == [(None, [], False, True)]
    with books.shop.engine.connect() as db:
        [problem] = rate_problems.of_installation(db, late)
        facts = standing_problems.facts(db, poll_seconds=300, home=None)
    assert ("rates_missing", "rates") in [(one.rule, one.subject) for one in facts]
    assert problem.detail == (
        "Of 1 contacts nobody knows the worth in eur: a rate is missing of usd (the last is of 2031-06-02)."
    )
    assert problem.since == datetime(2031, 6, 10, tzinfo=UTC)
    with books.shop.engine.begin() as db:
        exchange_rates.take(db, {"usd": {late.date(): Decimal(1)}}, "mine")
    assert heard(books, late) == []
    assert books.shop.rows(seen) == [(1000, ["enterprise"], True, False)]
    with books.shop.engine.connect() as db:
        assert rate_problems.of_installation(db, late) == []


def test_a_policy_is_tried_without_a_trace_and_adopted_with_the_same_difference(books: Books) -> None:
    payer, trier = books.who("ada", "bob")
    books.pays(payer, 1000)
    trial = books.pays(trier, 500, status="trialing", trial_end=day("2100-01-01"))
    books.refresh()
    engine, account = books.shop.engine, books.shop.account
    tables = """
select (select count(*) from tidegate.movements), (select count(*) from tidegate.ledgers), sum(mrr)
from tidegate.spans"""
    before = books.shop.rows(tables)
    given = {"choices": {"trials": "count"}, "time_zone": "UTC"}
    tried = ledger_policy.preview(engine, account, given)
    assert tried["settings"]["trials"] == "count"
    assert tried["mrr"] == {"usd": [1000 * MILLION, 1500 * MILLION]}
    assert tried["months"] == [
        {"month": "2026-01", "currency": "usd", "kind": "new", "before": 1000 * MILLION, "now": 1500 * MILLION}
    ]
    assert books.shop.rows(tables) == before
    adopted = ledger_policy.adopt(engine, account, given, "me")
    assert {name: adopted[name] for name in ("mrr", "months", "settings", "time_zone")} == {
        name: tried[name] for name in ("mrr", "months", "settings", "time_zone")
    }
    assert adopted["edition"] == 2
    assert books.facts(trier)["mrr"] == {"usd": 500 * MILLION}
    standing = """
select edition, count(*), min(day)::text from tidegate.movements where superseded_at is null
group by 1 order by 1"""
    assert books.shop.rows(standing) == [(1, 1, "2026-01-09"), (2, 2, "2026-01-10")]
    assert broken(books) == {}
    books.pays(trier, 500, day("2026-02-01"), trial)
    assert books.refresh() == (2, 0), "it counted before its trial ended as well"
    again = ledger_policy.preview(engine, account, given)
    assert again["months"] == []


def test_what_only_movements_depend_on_leaves_the_spans_alone(books: Books) -> None:
    first, second = books.who("cyd", "cyd")
    books.pays(first, 1000)
    books.pays(second, 300, created=day("2026-02-01"), start_date=day("2026-02-01"), at=day("2026-02-01"))
    books.refresh()
    with books.shop.engine.begin() as db:
        db.execute(text("update tidegate.spans set source = 'kept'"))
    with books.shop.engine.begin() as db:
        wanted = editions.terms(db, "acme").otherwise(choices={"unit": "customer"})
        told = ledger_policy.adopted(db, books.shop.account, wanted, "me")
    assert [(one["kind"], one["before"], one["now"]) for one in told["months"]] == [
        ("expansion", 300 * MILLION, 0),
        ("new", 1000 * MILLION, 1300 * MILLION),
    ]
    assert books.shop.rows("select distinct source from tidegate.spans") == [("kept",)]
    assert broken(books) == {}
    assert books.refresh() == (2, 0)  # the facts that follow: what the test did to the spans is put right


def test_what_worth_depends_on_derives_the_spans_anew(books: Books) -> None:
    [payer] = books.who("half")
    half = {"id": "HALF", "object": "coupon", "percent_off": 50.0, "duration": "forever"}
    books.pays(payer, 1000, discount={"id": "di_1", "object": "discount", "coupon": half, "start": BEGUN})
    books.refresh()
    worth = "select mrr / 1000000 from tidegate.spans"
    assert books.shop.rows(worth) == [(500,)]
    told = ledger_policy.adopt(books.shop.engine, books.shop.account, {"choices": {"discounts": "none"}}, "me")
    assert [*told["mrr"]["usd"]] == [500 * MILLION, 1000 * MILLION]
    assert books.shop.rows(worth) == [(1000,)]
    assert broken(books) == {}


def test_the_base_currency_is_no_new_edition(books: Books) -> None:
    engine, account = books.shop.engine, books.shop.account
    told = ledger_policy.adopt(engine, account, {"base_currency": "EUR"}, "me")
    assert (told["edition"], told["base_currency"]) == (1, "eur")
    shown = ledger_policy.shown(engine, account)
    assert (shown["preset"], shown["base_currency"], len(shown["editions"])) == ("default", "eur", 1)


def test_a_base_currency_without_rates_is_refused_before_it_breaks_reports(books: Books) -> None:
    engine, account = books.shop.engine, books.shop.account
    for attempt in (
        lambda: ledger_policy.preview(engine, account, {"base_currency": "xag"}),
        lambda: ledger_policy.adopt(engine, account, {"base_currency": "xag"}, "me"),
    ):
        with pytest.raises(PolicyInvalid, match="No rates of xag"):
            attempt()
    said = config_sections.read("revenue: {base_currency: xag}", "tidegate.yaml", {})
    with pytest.raises(ConfigInvalid, match=r"line 1.*No rates of xag"):
        previewing.preview(engine, config_file.apply(said, "me"))
    with engine.begin() as db:
        rate_files.store(db, {"xag": {date(2026, 1, 2): Decimal("0.05")}}, "mine")
    assert ledger_policy.adopt(engine, account, {"base_currency": "xag"}, "me")["base_currency"] == "xag"


@pytest.mark.parametrize(
    "given",
    [
        {"preset": "mine"},
        {"choices": {"trial": "count"}},
        {"choices": {"trials": "maybe"}},
        {"base_currency": "dollars"},
        {"time_zone": "Mars/Olympus"},
        {"identity": "phone"},
    ],
    ids=str,
)
def test_terms_that_are_none(books: Books, given: dict[str, str]) -> None:
    with books.shop.engine.begin() as db, pytest.raises(PolicyInvalid):
        editions.terms(db, "acme").otherwise(**given)  # pyright: ignore[reportArgumentType]


def test_another_preset_begins_without_the_choices_of_the_one_before() -> None:
    terms = editions.Terms("default", {"trials": "count"}, "", "UTC")
    assert terms.otherwise(choices={"zero": "contraction"}).choices == {"trials": "count", "zero": "contraction"}
    assert terms.otherwise("stripe").choices == {}
    assert terms.otherwise("default").choices == {"trials": "count"}


def events_of(books: Books, who: str) -> list[tuple[str, str, int | None]]:
    return books.shop.rows(
        f"""select name, identity, amount from tidegate.billing_events where customer = '{who}'
        order by at, (reverses is not null), id"""
    )  # pyright: ignore[reportReturnType]


def billed(books: Books, who: str, of: str) -> None:
    line = recurring(f"il_{who}", 1000, subscription=of)
    at = {"finalized_at": BEGUN, "paid_at": BEGUN}
    books.shop.has(
        invoice(f"in_{who}", [line], customer=who, total=1000, amount_due=1000, amount_paid=1000, effective_at=BEGUN,
                customer_email="pays@example.com", pre_payment_credit_notes_amount=0, status_transitions=at)
    )  # fmt: skip


def test_what_is_left_out_has_no_billing_events(books: Books) -> None:
    [staff] = books.who("ann")
    billed(books, staff, books.pays(staff, 1000))
    books.refresh()
    assert events_of(books, staff) == [("Subscription Billed", "pays@example.com", 1000)]
    engine, account = books.shop.engine, books.shop.account
    assert exclusions.exclude(engine, account, staff, "our own", "me")["events"] == 1
    assert [amount for _, _, amount in events_of(books, staff)] == [1000, -1000]
    assert exclusions.exclude(engine, account, staff, "really", "me")["events"] == 0
    assert exclusions.include(engine, account, staff, "me")["events"] == 1
    assert sorted(amount or 0 for _, _, amount in events_of(books, staff)) == [-1000, 1000, 1000]


def test_another_identity_is_written_anew_without_a_new_event(books: Books) -> None:
    [payer] = books.who("ida")
    billed(books, payer, books.pays(payer, 1000))
    books.refresh()
    engine, account = books.shop.engine, books.shop.account
    with engine.begin() as db:
        db.execute(text("update tidegate.contacts set external_id = 'ida-inc', made_by = 'api'"))
    assert ledger_policy.adopt(engine, account, {"identity": "own_id"}, "me")["events"] == 0
    for identity, whom in (("customer", payer), ("own_id", "ida-inc"), ("email", "pays@example.com")):
        told = ledger_policy.adopt(engine, account, {"identity": identity}, "me")
        assert (told["identity"], told["edition"], told["events"]) == (identity, 1, 1)
        assert events_of(books, payer) == [("Subscription Billed", whom, 1000)]


def test_another_policy_tells_of_upgrades_as_it_sees_them(books: Books) -> None:
    [payer] = books.who("uma")
    of = books.pays(payer, 365, every="week")
    books.pays(payer, 730, day("2026-02-01"), of, every="week")
    books.refresh()
    upgrades = """select data #>> '{properties,Subscription MRR Change}' from tidegate.billing_events
    where name = 'Subscription Upgraded'"""
    before = books.shop.rows(upgrades)
    told = ledger_policy.adopt(books.shop.engine, books.shop.account, {"choices": {"weeks": "365/84"}}, "me")
    assert told["events"] == 1
    now = books.shop.rows(upgrades)
    assert len(now) == len(before) == 1
    assert now != before


def test_who_came_back_by_a_movement_that_is_superseded_did_not(books: Books) -> None:
    """What is heard of late fills the gap: it had another subscription meanwhile."""
    [payer] = books.who("rob")
    of, gone, back = books.pays(payer, 1000), day("2026-02-10"), day("2026-03-10")
    books.pays(payer, 1000, gone, of, status="canceled", ended_at=gone)
    books.pays(payer, 1000, back, f"{of}_2", created=back, start_date=back)
    books.refresh()
    assert "Subscription Reactivated" in {name for name, *_ in events_of(books, payer)}
    at = day("2026-02-01")
    books.pays(payer, 300, at, f"{of}_3", created=at, start_date=at)
    books.refresh()
    assert books.shop.rows("select distinct kind from tidegate.movements where superseded_at is null order by 1") == [
        ("contraction",), ("expansion",), ("new",),
    ]  # fmt: skip
    assert "Subscription Reactivated" not in {name for name, *_ in events_of(books, payer)}


def test_who_is_left_out_twice_is_left_out_once(books: Books) -> None:
    [staff] = books.who("ian")
    books.pays(staff, 1000)
    books.refresh()
    engine, account = books.shop.engine, books.shop.account
    for reason in ("a colleague", "a former colleague"):
        exclusions.exclude(engine, account, staff, reason, "me")
        assert broken(books) == {}
    assert [one["reason"] for one in exclusions.excluded(engine, account)] == ["a former colleague"]
    exclusions.include(engine, account, staff, "me")
    assert broken(books) == {}


def test_a_customer_is_left_out_with_its_past_and_counts_again(books: Books) -> None:
    staff, payer = books.who("eve", "eve")
    books.pays(staff, 1000)
    books.pays(payer, 300, created=day("2026-02-01"), start_date=day("2026-02-01"), at=day("2026-02-01"))
    books.refresh()
    engine, account = books.shop.engine, books.shop.account
    before = books.moves(staff, payer)
    told = exclusions.exclude(engine, account, staff, "our own", "me")
    assert told["movements"] == 3
    assert books.moves(staff, payer) == [("1", "new", 300, "2026-01-31")]
    assert books.facts(payer)["mrr"] == {"usd": 300 * MILLION}
    assert [(one["customer"], one["reason"], one["by"]) for one in exclusions.excluded(engine, account)] == [
        (staff, "our own", "me")
    ]
    books.pays(staff, 2000, day("2026-03-01"), f"sub_{staff}")
    assert books.refresh() == (2, 0)
    assert broken(books) == {}
    exclusions.include(engine, account, staff, "me")
    assert books.moves(staff, payer)[:2] == before
    assert exclusions.excluded(engine, account) == []
    with pytest.raises(ExclusionInvalid, match=f"{staff} counts already"):
        exclusions.include(engine, account, staff, "me")
    with pytest.raises(ExclusionInvalid, match="Say why"):
        exclusions.exclude(engine, account, staff, " \t", "me")
    assert exclusions.excluded(engine, account) == []
    with pytest.raises(CustomerUnknown):
        exclusions.exclude(engine, account, "cus_nobody", "x", "me")
    assert broken(books) == {}


def test_tidegate_yaml_says_by_what_the_ledger_is_kept(books: Books) -> None:
    [who] = books.who("kim")
    books.pays(who, 1000, status="trialing", trial_end=day("2100-01-01"))
    books.refresh()
    engine = books.shop.engine
    with engine.connect() as db:
        assert "revenue" not in config_export.export(db)
    text_ = "revenue: {policy: default, settings: {trials: count}, base_currency: usd}"
    change = config_file.apply(config_sections.read(text_, "tidegate.yaml", {}), "me")
    planned = previewing.preview(engine, change).result["steps"]
    now = {
        "policy": "default",
        "settings": {"trials": "count"},
        "base_currency": "usd",
        "time_zone": "America/New_York",
        "identity": "own_id",
    }
    assert [(one["action"], one["section"], one["subject"]) for one in planned] == [("change", "revenue", "acme")]
    assert planned[0]["now"] == {"settings": now["settings"], "base_currency": "usd"}
    assert books.moves(who) == []
    previewing.commit(engine, change, None)
    assert books.moves(who) == [("0", "new", 1000, "2026-01-09")]
    assert (
        previewing.preview(engine, config_file.apply(config_sections.read(text_, "f", {}), "me")).result["steps"] == []
    )
    with engine.connect() as db:
        assert config_export.export(db)["revenue"] == now
    with pytest.raises(ManagedByFile):
        ledger_policy.adopt(engine, books.shop.account, {"preset": "stripe"}, "me")
    wrong = config_sections.read("revenue: {settings: {trials: never}}", "tidegate.yaml", {})
    with pytest.raises(ConfigInvalid, match=r"line 1.*trials"):
        previewing.preview(engine, config_file.apply(wrong, "me"))


@pytest.mark.wide
def test_the_commands(books: Books, fresh_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [who] = books.who("lea")
    books.pays(who, 1000)
    books.refresh()
    monkeypatch.setenv("DATABASE_URL", fresh_database_url)
    monkeypatch.setenv("TIDEGATE_HOME", str(tmp_path))
    settings.cache_clear()

    def run(*words: str, code: int = 0) -> str:
        done = CliRunner().invoke(app, ["revenue", *words])
        assert done.exit_code == code, done.output
        return done.output

    assert json.loads(run("policy", "show", "--json"))["preset"] == "default"
    tried = run("policy", "preview", "--preset", "stripe", "--set", "zero=contraction")
    assert "No month differs." in tried
    assert "the vendor leaves it open" in tried
    assert "The policy leaves start, pauses," in tried
    adopted = run("policy", "adopt", "--set", "past_due=30 days")
    assert (
        adopted == "MRR is 10.00 USD; it was 10.00 USD.\nNo month differs.\nEdition 2 of acme's ledger is in force.\n"
    )
    assert "is no NAME=VALUE" in run("policy", "adopt", "--set", "past_due", code=2)
    assert "The policy leaves past_due, start," in run("policy", "adopt", "--preset", "chartmogul")
    out = run("exclude", who, "--reason", "a test")
    assert out == f"{who} does not count any more: a test. Rows changed: 1 of movements, 0 of billing events.\n"
    assert json.loads(run("excluded", "--json"))["excluded"][0]["reason"] == "a test"
    assert json.loads(run("include", who, "--json"))["movements"] == 1
    assert run("excluded") == "Nobody is left out.\n"
    settings.cache_clear()


ZONE = "America/New_York"


def zones(shop: Shop) -> list[tuple[Any, ...]]:
    return shop.rows("select edition, time_zone from tidegate.ledgers order by 1")


def days(shop: Shop) -> list[tuple[Any, ...]]:
    return shop.rows("select edition, day::text from tidegate.movements where superseded_at is null order by 1")


def named(shop: Shop, id_: str) -> None:
    """Whose connection it is, as far as that is known."""
    with shop.engine.begin() as db:
        db.execute(text("update tidegate.connections set account = :id"), {"id": id_})


def test_a_ledger_begun_before_the_account_takes_its_time_zone_when_that_comes(fresh_database_url: str) -> None:
    with opened(fresh_database_url) as shop:
        engine, account = shop.engine, shop.account
        shop.has(customer("cus_1", email="early@example.com"))
        shown = ledger_policy.shown(engine, account)
        assert (shown["edition"], shown["time_zone"], shown["preset"]) == (None, "UTC", "default")
        assert ledger_policy.preview(engine, account, {"preset": "stripe"})["months"] == []
        assert shop.scalar("select count(*) from tidegate.ledgers") == 0, "what reads begins nothing"
        shop.refresh()
        assert zones(shop) == [(1, "")]
        books = Books(shop)
        books.who("nora")
        assert ledger_policy.shown(engine, account)["time_zone"] == "UTC"
        books.refresh()
        assert zones(shop) == [(1, ZONE)], "no day is another"


def test_days_that_change_with_the_time_zone_of_an_account_that_comes_late_are_a_new_edition(
    fresh_database_url: str,
) -> None:
    with opened(fresh_database_url) as shop:
        books = Books(shop)
        [who] = books.who("nils")
        books.pays(who, 1000)
        named(shop, "acct_0")
        books.refresh()
        assert zones(shop) == [(1, "")]
        assert days(shop) == [(1, "2026-01-10")]
        named(shop, "acct_1")
        books.who("nell")
        books.refresh()
        assert zones(shop) == [(1, ""), (2, ZONE)]
        assert days(shop) == [(1, "2026-01-10"), (2, "2026-01-09")]
        assert books.refresh() == (0, 0)
