"""Cohorts, trials, reasons, packages, renewals and what is at risk, over a small ledger and its subscriptions."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text
from tests.support import earning
from tests.support.builders import arrival, customer, item, subscription
from tests.support.earning import Books, at

from tidegate.mirror.apply import apply
from tidegate.pricing.given import given
from tidegate.pricing.policy import policy
from tidegate.pricing.subscription import value
from tidegate.pricing.value import instant
from tidegate.revenue import cohorts, conversions, converted, facts, listing, rate_files, renewals, reports
from tidegate.revenue.listing import Wanted
from tidegate.revenue.periods import periods
from tidegate.revenue.reports import Report
from tidegate.revenue.source import Group
from tidegate.stripe_api.resources import RESOURCES
from tidegate.workflows.revenue.explain_mrr import explain_mrr

NOW = at("2026-05-20 12:00")
RENEWS = int(at("2026-06-10").timestamp())
MONTHS = periods("month", date(2026, 1, 1), date(2026, 5, 20))


def seconds(said: str) -> int:
    return int(at(said).timestamp())


def has(books: Books, *bodies: dict[str, Any]) -> None:
    with books.engine.begin() as db:
        for body in bodies:
            resource = next(r for r in RESOURCES.values() if r.object == body["object"])
            apply(db, "acme", resource, [arrival(resource.name, body, 100)])


def subscribes(books: Books, who: str, renews: str, **more: Any) -> None:
    """A customer `cus_x` with a subscription `sub_cus_x` as the books name it."""
    one = item(f"si_{who}", f"sub_{who}", current_period_end=seconds(renews))
    started = {"start_date": seconds("2026-01-05")}
    has(books, customer(who), subscription(f"sub_{who}", [one], customer=who, **started, **more))


def card(id_: str, who: str, year: int, month: int) -> dict[str, Any]:
    told = {"brand": "visa", "last4": "4242", "exp_month": month, "exp_year": year}
    return {"id": id_, "object": "payment_method", "type": "card", "customer": who, "card": told, "created": 10}


@pytest.fixture(scope="module")
def books(database_url: str) -> Iterator[Books]:
    with earning.opened(database_url) as books:
        books.span("cus_a", 10_000, "2026-01-05", "2026-02-10", price="price_basic")
        books.span("cus_a", 15_000, "2026-02-10", price="price_pro")
        books.span("cus_b", 6_000, "2026-01-10", "2026-03-15", price="price_basic")
        books.span("cus_b", 3_000, "2026-05-01", price="price_basic")
        books.span("cus_c", 8_000, "2026-02-20", currency="eur", price="price_pro")
        books.span("cus_c", 1_000, "2026-03-20", item="si_c2", price="price_basic")
        books.link("acme", "cus_a")
        for name, begins, ends, pays in (
            ("cus_t1", "2026-03-01", "2026-03-15", True), ("cus_t2", "2026-03-02", "2026-03-16", False),
            ("cus_t3", "2026-05-10", None, False), ("cus_b", "2026-04-01", "2026-04-15", True),
        ):  # fmt: skip
            more: dict[str, Any] = {"subscription": f"sub_trial_{name}", "item": f"si_trial_{name}"}
            books.span(name, 0, begins, ends, trial=5_000_000_000, why_not="it is trialing", **more)
            if pays:
                books.span(name, 5_000, ends or "", None, **more)
        books.execute("insert into tidegate.packages (key) values ('pro')")
        books.execute("""
insert into tidegate.mappings (connection, price, package, per_quantity) values ('acme', 'price_pro', 'pro', false)""")
        subscribes(books, "cus_a", "2026-06-05", default_payment_method="pm_a")
        subscribes(books, "cus_c", "2026-06-20", currency="eur", cancel_at_period_end=True, status="past_due")
        subscribes(books, "cus_t3", "2026-05-24", status="trialing")
        ended = {"ended_at": seconds("2026-03-15"), "cancellation_details": {"feedback": "too_expensive"}}
        subscribes(books, "cus_b", "2026-03-10", status="canceled", **ended)
        has(books, card("pm_a", "cus_a", 2026, 5), card("pm_t", "cus_t3", 2026, 5), card("pm_t2", "cus_t3", 2027, 5))
        yield books.keep()


def report_of(db: Any, currency: str | None = None) -> Report:
    return reports.opened(db, "acme", NOW, currency=currency)


def test_a_cohort_is_followed_by_contacts_and_by_what_they_pay(books: Books) -> None:
    with books.engine.connect() as db:
        found = {(one["cohort"], one["currency"]): one for one in cohorts.cohorts(db, report_of(db), MONTHS)}
    january = found["2026-01", "usd"]
    assert (january["contacts"], january["new"]) == (2, 16_000)
    assert [one["contacts"] for one in january["months"]] == [2, 2, 1, 2, 2]
    assert [one["mrr"] for one in january["months"]] == [16_000, 21_000, 15_000, 20_000, 23_000]
    assert january["months"][2]["contact_retention"] == 0.5
    assert january["months"][1]["mrr_retention"] == 1.3125
    february = found["2026-02", "eur"]
    assert [one["contacts"] for one in february["months"]] == [1, 1, 1, 1]
    assert ("2026-02", "usd") not in found
    march = found["2026-03", "usd"]
    assert (march["contacts"], march["new"]) == (2, 6_000), "one of them paid in euros before"
    assert [one["contacts"] for one in march["months"]] == [2, 2, 2]
    assert [one["mrr_retention"] for one in march["months"]] == [1, 1, 1]


def test_a_cohort_in_one_currency_has_one_rate_throughout(books: Books) -> None:
    with books.engine.connect() as db:
        found = cohorts.cohorts(db, report_of(db, "eur"), MONTHS)
    february = next(one for one in found if one["cohort"] == "2026-02")
    assert february["new"] == 8_000
    assert february["months"][0]["mrr"] == 8_000
    assert 8_000 < february["months"][1]["mrr"] < 9_000
    assert [one["contacts"] for one in february["months"]] == [1, 1, 1, 1], "whatever it pays in"


def test_trials_by_the_month_they_began_in(books: Books) -> None:
    with books.engine.connect() as db:
        found = conversions.trials(db, report_of(db), MONTHS[0], MONTHS[-1])
    none = {"trials": 0, "converted": 0, "ended": 0, "running": 0, "restarted": 0, "conversion": None}
    assert found == [
        {**none, "cohort": "2026-03", "trials": 2, "converted": 1, "ended": 1, "conversion": 0.5},
        {**none, "cohort": "2026-04", "restarted": 1},
        {**none, "cohort": "2026-05", "trials": 1, "running": 1},
    ]


def test_why_subscriptions_ended_and_what_was_lost(books: Books) -> None:
    with books.engine.connect() as db:
        found = conversions.reasons(db, report_of(db), MONTHS[0], MONTHS[-1])
    lost = [{"currency": "usd", "mrr": 6_000}]
    assert found == [{"reason": "too_expensive", "subscriptions": 1, "lost": lost}]


def test_from_which_package_to_which(books: Books) -> None:
    with books.engine.connect() as db:
        found = conversions.packages(db, report_of(db), MONTHS[1], MONTHS[2])
    told = [(one["before"], one["after"], one["currency"], one["opening"], one["closing"]) for one in found]
    assert told == [
        (None, "pro", "eur", 0, 8_000), (None, "", "usd", 0, 6_000), ("", None, "usd", 6_000, 0),
        ("", "pro", "usd", 10_000, 15_000),
    ]  # fmt: skip


def test_subscriptions_by_status(books: Books) -> None:
    with books.engine.connect() as db:
        found = {(one["status"], one["currency"]): one for one in renewals.by_status(db, report_of(db))}
    assert found["active", "usd"] == {
        "status": "active", "currency": "usd", "subscriptions": 1, "customers": 1, "mrr": 15_000,
    }  # fmt: skip
    assert set(found) == {("active", "usd"), ("past_due", "eur"), ("trialing", "usd"), ("canceled", "usd")}


def test_what_renews_soon(books: Books) -> None:
    with books.engine.connect() as db:
        found = renewals.upcoming(db, report_of(db), NOW, 60)
    assert [(one["subscription"], one["renews_at"], one["mrr"]) for one in found] == [
        ("sub_cus_t3", at("2026-05-24"), 0), ("sub_cus_a", at("2026-06-05"), 15_000),
    ]  # fmt: skip
    assert (found[1]["contact"], found[1]["name"], found[1]["months"]) == ("account:acme", "Acme", 4)


def test_the_calendar_sums_renewals_by_month_and_by_owner(books: Books) -> None:
    with books.engine.begin() as db:
        db.execute(text("update tidegate.contacts set owner = 'ada' where external_id = 'acme'"))
        report = report_of(db)
        both = renewals.calendar(db, report, NOW, 60, ["owner", "month"])
        months = renewals.calendar(db, report, NOW, 60, ["month"])
        mine = renewals.upcoming(db, report, NOW, 60, "ada")
        nobodys = renewals.calendar(db, report, NOW, 60, ["month"], "")
        db.rollback()
    sums = {"currency": "usd", "renewals": 1, "contacts": 1}
    assert both == [
        {"month": "2026-05", "owner": "", "mrr": 0, **sums},
        {"month": "2026-06", "owner": "ada", "mrr": 15_000, **sums},
    ]
    assert months == [{"month": "2026-05", "mrr": 0, **sums}, {"month": "2026-06", "mrr": 15_000, **sums}]
    assert [(one["subscription"], one["owner"]) for one in mine] == [("sub_cus_a", "ada")]
    assert nobodys == [{"month": "2026-05", "mrr": 0, **sums}]


def test_what_is_at_risk_and_why(books: Books) -> None:
    """A card that expires is none where another lasts longer."""
    with books.engine.connect() as db:
        found = {one["subscription"]: one for one in renewals.at_risk(db, report_of(db), NOW)}
    assert {id_: one["reasons"] for id_, one in found.items()} == {
        "sub_cus_a": ["card_expiring"], "sub_cus_c": ["past_due", "scheduled_to_cancel"],
    }  # fmt: skip
    assert found["sub_cus_c"]["mrr"] == 9_000


SCHEDULED = {"schedule": "sub_sched_1"}
ENDING: dict[str, tuple[dict[str, Any], str | None, bool]] = {
    "goes on": ({}, None, True),
    "at a date": ({"cancel_at": seconds("2026-06-20")}, "2026-06-20", True),
    "at the end of its period": ({"cancel_at_period_end": True}, "2026-06-10", False),
    "its schedule ends": (SCHEDULED, "2026-07-01", True),
    "at a date, and its schedule ends before": (
        {**SCHEDULED, "cancel_at": seconds("2026-08-01")}, "2026-07-01", True,
    ),
    "at a date before its schedule ends": ({**SCHEDULED, "cancel_at": seconds("2026-06-01")}, "2026-06-01", False),
    "at the end of its period, its schedule later": ({**SCHEDULED, "cancel_at_period_end": True}, "2026-06-10", False),
    "paused until it renews": ({"pause_collection": {"behavior": "void", "resumes_at": RENEWS}}, None, False),
    "paused until just before": ({"pause_collection": {"behavior": "void", "resumes_at": RENEWS - 1}}, None, True),
}  # fmt: skip
"""What Stripe says of a subscription that would renew on June 10th; when it ends; whether it renews before."""


@pytest.mark.parametrize("case", ENDING)
@pytest.mark.parametrize("of_items", [True, False], ids=["periods of items", "period of the subscription"])
def test_when_it_renews_and_ends_is_one_rule(fresh_database_url: str, case: str, of_items: bool) -> None:
    more, ends, renews = ENDING[case]
    period = {"current_period_start": seconds("2026-05-10"), "current_period_end": RENEWS}
    of_item: dict[str, Any] = period if of_items else dict.fromkeys(period)
    of_whole: dict[str, Any] = {} if of_items else period
    told = subscription("sub_a", [item("si_a", "sub_a", **of_item)], customer="cus_a", **of_whole, **more)
    schedule = {
        "id": "sub_sched_1", "object": "subscription_schedule", "customer": "cus_a", "subscription": "sub_a",
        "status": "active", "end_behavior": "cancel", "phases": [{"end_date": seconds("2026-07-01")}],
    }  # fmt: skip
    expected = at(ends) if ends else None, at("2026-06-10") if renews else None
    with earning.opened(fresh_database_url) as books:
        has(books, customer("cus_a"), told, schedule)
        contact = books.link("acme", "cus_a")
        with books.engine.begin() as db:
            facts.keep_facts(db, [contact])
            [row] = db.execute(text("select ends_at, renews_at from tidegate.contact_facts")).all()
            assert tuple(row) == expected, "facts of the contact"
            report = report_of(db)
            risky = {one["ends_at"] for one in renewals.at_risk(db, report, NOW)} or {None}
            soon = [one["renews_at"] for one in renewals.upcoming(db, report, NOW, 60)] or [None]
            assert (*risky, *soon) == expected, "renewals"
            [explained] = explain_mrr(db, books.account, "cus_a", NOW)["subscriptions"]
    handed = given(json.dumps({"subscription": told} | ({"schedule": schedule} if "schedule" in more else {})).encode())
    priced = value(handed, policy("default"), seconds("2026-05-20")).ends_at
    assert explained["ends_at"] == instant(priced)
    assert priced == (seconds(ends) if ends else None)


def test_movements_are_paged_the_newest_first(books: Books) -> None:
    seen: list[dict[str, Any]] = []
    with books.engine.connect() as db:
        ledger, after = report_of(db).ledger, None
        while True:
            page, after = listing.movements(db, ledger, Wanted(), limit=3, after=after)
            seen += page
            if after is None:
                break
        of_a, _ = listing.movements(db, ledger, Wanted(customers=["cus_a"]), limit=10)
    assert (
        len(seen) == len({json.dumps([one["at"], one["customers"], one["currency"]], default=str) for one in seen}) == 9
    )
    assert [one["at"] for one in seen] == sorted((one["at"] for one in seen), reverse=True)
    upgrade, new = of_a
    assert (upgrade["kind"], upgrade["amount"], upgrade["opening"], upgrade["closing"]) == (
        "expansion",
        5_000,
        10_000,
        15_000,
    )
    assert (new["contact"], new["name"], new["kind"]) == ("account:acme", "Acme", "new")
    assert isinstance(new["at"], datetime)
    assert [(one["price"], one["amount"]) for one in upgrade["items"]] == [("price_pro", 5_000)]


def test_movements_of_a_group_are_those_with_a_part_in_it_each_customer_named_once(books: Books) -> None:
    """Who came with another price was in no such group yet."""
    with books.engine.connect() as db:
        ledger = report_of(db).ledger
        pro, _ = listing.movements(db, ledger, Wanted(group=Group("package"), grouped="pro"), limit=10)
        all_, _ = listing.movements(db, ledger, Wanted(customers=["cus_b"]), limit=10)
    assert [(one["customers"], one["kind"], one["amount"]) for one in pro] == [
        (["cus_c"], "new", 8_000), (["cus_a"], "expansion", 5_000),
    ]  # fmt: skip
    assert [one["customers"] for one in all_] == [["cus_b"]] * len(all_)


def test_several_items_that_change_at_once_are_one_movement_of_one_customer(fresh_database_url: str) -> None:
    with earning.opened(fresh_database_url) as books:
        books.span("cus_a", 1_000, "2026-01-05")
        books.span("cus_a", 500, "2026-01-05", item="si_other")
        books.keep()
        with books.engine.connect() as db:
            [one], _ = listing.movements(db, report_of(db).ledger, Wanted(), limit=10)
    assert (one["customers"], one["amount"], len(one["items"])) == (["cus_a"], 1_500, 2)


def test_what_is_unpaid_late_or_left_out_is_told_for_what_it_is(fresh_database_url: str) -> None:
    """What is unpaid is charged to no card and renews nothing; one whose end is over waits for Stripe to end it."""
    with earning.opened(fresh_database_url) as books:
        subscribes(books, "cus_u", "2026-06-01", status="unpaid", default_payment_method="pm_u")
        subscribes(books, "cus_l", "2026-06-10", cancel_at=seconds("2026-05-20 11:59"))
        subscribes(books, "cus_x", "2026-06-10", status="past_due")
        has(books, card("pm_u", "cus_u", 2026, 5))
        books.execute(
            "insert into tidegate.exclusions (connection, customer, reason, by) values ('acme', 'cus_x', 'test', 'me')"
        )
        with books.engine.connect() as db:
            report = report_of(db)
            risky = {one["subscription"]: one["reasons"] for one in renewals.at_risk(db, report, NOW)}
            soon = renewals.upcoming(db, report, NOW, 60)
            states = {one["status"]: one["subscriptions"] for one in renewals.by_status(db, report)}
    assert risky == {"sub_cus_u": ["unpaid"], "sub_cus_l": ["scheduled_to_cancel"]}
    assert soon == []
    assert states == {"unpaid": 1, "active": 1}


def test_a_cohort_in_one_currency_is_of_the_first_mrr_in_any_at_todays_rate(fresh_database_url: str) -> None:
    with earning.opened(fresh_database_url) as books:
        books.span("cus_old", 1_000, "2025-12-05")
        books.span("cus_old", 1_000, "2026-02-05", currency="eur", item="si_old_2")
        books.span("cus_new", 1_000, "2026-02-05", currency="eur")
        books.keep()
        with books.engine.begin() as db:
            days = {date(2026, 1, 31): Decimal(5), date(2026, 2, 28): Decimal(4), date(2026, 5, 20): Decimal(2)}
            rate_files.store(db, {"usd": days}, "test")
            found = cohorts.cohorts(db, report_of(db, "usd"), MONTHS)
    assert [(one["cohort"], one["contacts"], one["new"]) for one in found] == [("2026-02", 1, 2_000)]
    assert {one["mrr"] for one in found[0]["months"]} == {2_000}


def test_a_trial_goes_on_over_what_changes_of_it_and_converts_when_it_ends(fresh_database_url: str) -> None:
    """One that counts by policy, too; the package of who has an add-on that is worth more is the base, and a price
    that is mapped to a feature is of no package, whatever its product is mapped to.
    """
    with earning.opened(fresh_database_url) as books:
        trial = {"trial": 5_000_000_000}
        books.span("cus_a", 0, "2026-03-01", "2026-03-05", **trial)
        books.span("cus_a", 0, "2026-03-05", "2026-03-15", trial=7_000_000_000)
        books.span("cus_a", 7_000, "2026-03-15", price="price_base")
        books.span("cus_a", 9_000, "2026-03-15", item="si_a_2", price="price_more")
        books.span("cus_b", 5_000, "2026-03-02", **trial)
        books.execute("insert into tidegate.packages (key, kind) values ('pro', 'base'), ('more', 'add_on')")
        books.execute("""
insert into tidegate.mappings (connection, price, package, per_quantity)
values ('acme', 'price_base', 'pro', false), ('acme', 'price_more', 'more', true)""")
        books.execute("insert into tidegate.features (key, type) values ('sso', 'boolean')")
        books.span("cus_f", 1_000, "2026-03-02", price="price_sso", product="prod_pro")
        books.execute("""
insert into tidegate.mappings (connection, price, product, package, feature, terms, per_quantity)
values ('acme', 'price_sso', null, null, 'sso', '{}', false), ('acme', null, 'prod_pro', 'pro', null, null, false)""")
        books.keep()
        with books.engine.connect() as db:
            [march] = conversions.trials(db, report_of(db), MONTHS[2], MONTHS[2])
            found = conversions.packages(db, report_of(db), MONTHS[3], MONTHS[3])
    assert march == {
        "cohort": "2026-03", "trials": 2, "converted": 1, "ended": 0, "running": 1, "restarted": 0, "conversion": 1.0,
    }  # fmt: skip
    assert [(one["before"], one["after"], one["opening"]) for one in found] == [("", "", 6_000), ("pro", "pro", 16_000)]


def test_the_facts_of_a_contact_are_of_what_counts_and_lives(fresh_database_url: str) -> None:
    with earning.opened(fresh_database_url) as books:
        books.span("cus_a", 1_000, "2026-01-05", listed=1_500_000_000)
        trial = {"trial": 5_000_000_000, "why_not": "it is trialing", "listed": 5_000_000_000}
        books.span("cus_a", 0, "2026-01-05", subscription="sub_t", item="si_t", **trial)
        books.span("cus_gone", 900, "2026-01-05", "2026-02-05")
        unpaid = subscription("sub_u", [], customer="cus_a", status="unpaid", cancel_at=seconds("2026-07-01"))
        active = subscription("sub_cus_a", [], customer="cus_a", trial_end=seconds("2026-01-10"))
        clock = subscription("sub_c", [], customer="cus_a", status="paused", test_clock="clock_1")
        has(books, customer("cus_a"), unpaid, active, clock)
        keys = [books.link("acme", "cus_a"), books.link("gone", "cus_gone")]
        with books.engine.begin() as db:
            facts.keep_facts(db, keys)
            acme, gone = db.execute(text("select * from tidegate.contact_facts order by contact")).all()
    assert (acme.mrr, acme.listed, acme.trial) == ({"usd": 10**9}, {"usd": 1_500_000_000}, {"usd": 5 * 10**9})
    assert (acme.statuses, acme.subscriptions) == (["active", "unpaid"], 1)
    assert (acme.ends_at, acme.trial_ends_at, acme.churned_at) == (None, None, None)
    assert (gone.mrr, gone.customer_since, gone.churned_at) == ({}, at("2026-01-05"), at("2026-02-05"))


PERIODS = {
    "the earliest of its items": ([{"current_period_end": RENEWS + 9}, {"current_period_end": RENEWS}], RENEWS),
    "what is billed ahead": ([{"current_period_end": RENEWS, "billed_until": RENEWS + 5}], RENEWS + 5),
}
NO_END = (("release", "active"), ("cancel", "released"), ("cancel", "canceled"), ("cancel", "completed"))


def test_when_it_renews_is_of_its_items_and_only_a_schedule_that_cancels_ends_it(fresh_database_url: str) -> None:
    with earning.opened(fresh_database_url) as books:
        expected: dict[str, tuple[Any, Any]] = {}
        for number, (periods_, renews) in enumerate(PERIODS.values()):
            items = [item(f"si_{number}_{n}", f"sub_{number}", **one) for n, one in enumerate(periods_)]
            has(books, subscription(f"sub_{number}", items, customer="cus_a"))
            expected[f"sub_{number}"] = renews, None
        for number, (behavior, status) in enumerate(NO_END):
            one, plan = f"sub_s{number}", f"sub_sched_{number}"
            told = {"id": plan, "object": "subscription_schedule", "customer": "cus_a", "subscription": one}
            ends = {"status": status, "end_behavior": behavior, "phases": [{"end_date": seconds("2026-06-01")}]}
            only_item = item(f"si_{one}", one, current_period_end=RENEWS)
            has(books, told | ends, subscription(one, [only_item], customer="cus_a", schedule=plan))
            expected[one] = RENEWS, None
        with books.engine.connect() as db:
            rows = renewals.upcoming(db, report_of(db), NOW, 60)
            risky = {one["subscription"]: one["ends_at"] for one in renewals.at_risk(db, report_of(db), NOW)}
    found = {one["subscription"]: (int(one["renews_at"].timestamp()), risky.get(one["subscription"])) for one in rows}
    assert found == expected


def test_what_is_lost_by_a_cancellation_is_lost_when_it_counts(fresh_database_url: str) -> None:
    """The request is told a second after it was made."""
    with earning.opened(fresh_database_url) as books:
        books.span("cus_q", 4_000, "2026-01-05", "2026-03-01 00:00:01")
        books.span("cus_q", 0, "2026-03-01 00:00:01", "2026-03-20", why_not="its cancellation was asked for")
        books.span("cus_r", 1_000, "2026-01-05", "2026-03-10")
        books.span("cus_r", 700, "2026-03-10", "2026-03-20")
        for who, asked in (("cus_q", "2026-03-01"), ("cus_r", "2026-03-20")):
            times = {"canceled_at": seconds(asked), "ended_at": seconds("2026-03-20")}
            subscribes(books, who, "2026-03-20", status="canceled", **times)
        with books.engine.connect() as db:
            report = report_of(db)
            by_request = policy("default", {"cancellation": "request"})
            asking = replace(report, ledger=replace(report.ledger, policy=by_request))
            ended = conversions.reasons(db, report, MONTHS[2], MONTHS[2])
            lost = conversions.reasons(db, asking, MONTHS[2], MONTHS[2])
            one_by_one = converted.ended(db, asking, MONTHS[2])
    assert [one["lost"] for one in ended] == [[{"currency": "usd", "mrr": 700}]]
    assert [one["lost"] for one in lost] == [[{"currency": "usd", "mrr": 4_700}]]
    assert sum(one["mrr"] for one in one_by_one) == 4_700
