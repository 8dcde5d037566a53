"""The lifecycle in figures: the funnel, time in stages, MRR by stage to the cent, at risk by reason, and drivers."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from tests.support.importing import imported
from tests.support.live import Live
from tests.support.placed import NOW
from tests.support.post import Post

from tidegate.errors import ReportInvalid
from tidegate.lifecycle.rules import JOURNY, STAGES, Rule
from tidegate.revenue import conversions, reports
from tidegate.revenue.rounding import minor
from tidegate.wiring import Hub
from tidegate.workflows.contacts.contacts_forget import forget
from tidegate.workflows.lifecycle import lifecycle, lifecycle_rules
from tidegate.workflows.lifecycle.lifecycle_report import conversion_drivers, lifecycle_report
from tidegate.workflows.refresh import refresh_changed

if TYPE_CHECKING:
    from tidegate.sandbox.server import Sandbox


@pytest.fixture
def database_url(fresh_database_url: str) -> str:
    """Every test of this module has a database of its own."""
    return fresh_database_url


class Company:
    """Contacts with customers, spans and usage written by hand, in test mode."""

    def __init__(self, post: Post) -> None:
        self.post = post

    def add(self, id_: str, known: datetime, properties: dict[str, Any] | None = None, **facts: Any) -> int:
        """A contact with a customer, known since then."""
        key = self.post.contact(id_)
        self.post.run(
            "update tidegate.contacts set created_at = :at, properties = cast(:p as jsonb) where key = :k",
            at=known, p=json.dumps(properties or {}), k=key,
        )  # fmt: skip
        self.post.run(
            "insert into tidegate.links (connection, customer, contact, method) "
            "values ('acme', :c, :k, 'created')",
            c=f"cus_{key}", k=key,
        )  # fmt: skip
        self.post.run("insert into tidegate.contact_facts (contact) values (:k)", k=key)
        self.post.run("insert into tidegate.contact_lifecycle (contact) values (:k)", k=key)
        self.set(key, **facts)
        return key

    def set(self, key: int, **facts: Any) -> None:
        for name, value in facts.items():
            worth = name in {"mrr", "statuses", "ends_at", "customer_since"}
            table = "contact_facts" if worth else "contact_lifecycle"
            self.post.run(f"update tidegate.{table} set {name} = :v where contact = :k", v=value, k=key)

    def span(self, key: int, since: datetime, until: datetime | None = None, mrr: int = 0, trial: int = 0) -> None:
        """What a subscription of the contact was worth."""
        self.post.run(
            """
insert into tidegate.spans (connection, subscription, item, starts_at, ends_at, customer, currency, mrr, listed, trial,
  price, product, quantity, "interval", interval_count, metered, provenance, source)
values ('acme', :s, :s, :since, :until, :c, 'usd', :mrr, :mrr, :trial, 'price_1', 'prod_1', 1, 'month', 1, false,
  'observed', '')""",
            s=f"sub_{key}", c=f"cus_{key}", since=since, until=until, mrr=mrr * 1_000_000, trial=trial * 1_000_000,
        )  # fmt: skip

    def uses(self, key: int, feature: str, at: datetime, amount: int = 1) -> None:
        self.post.run(
            "insert into tidegate.usage_debits (contact, feature, operation, amount, debits, answer, at) "
            "values (:k, :f, 'consume', :a, '[]', '{}', :at)",
            k=key, f=feature, a=amount, at=at,
        )  # fmt: skip

    def acted(self, key: int, action: str, state: str, at: datetime) -> None:
        """What became of an occurrence of an action."""
        self.post.run(
            """
insert into tidegate.action_occurrences (action, contact, occurrence, at, decided_at, state, what, reasons)
values (:a, :k, :o, :at, :at, :s, '{}', '[]')""",
            a=action, k=key, o=str(at), at=at, s=state,
        )  # fmt: skip

    def trial(self, key: int, began: datetime, days: int = 14, *, pays: bool | None) -> None:
        """A trial; None: it runs on."""
        ends = began + timedelta(days=days)
        self.span(key, began, None if pays is None else ends, trial=4900)
        if pays:
            self.span(key, ends, mrr=4900)

    def passes(self, days: float = 0) -> None:
        lifecycle.keep(self.post.engine, as_of=NOW + timedelta(days=days))

    def report(self, days: float = 0, **said: Any) -> dict[str, Any]:
        return lifecycle_report(self.post.engine, False, as_of=NOW + timedelta(days=days), **said)

    def drivers(self, of: Any = "trial", **said: Any) -> dict[str, Any]:
        return conversion_drivers(self.post.engine, False, of, as_of=NOW, **said)


@pytest.fixture
def company(post: Post) -> Company:
    return Company(post)


def stage(told: dict[str, Any], key: str) -> dict[str, Any]:
    return next(one for one in told["stages"] if one["key"] == key)


def test_the_funnel_counts_moves_that_facts_made_and_time_in_each_stage(company: Company) -> None:
    keys = [company.add(f"c{n}", NOW, status="trialing") for n in range(5)]
    company.passes()
    for days, key in zip((4, 6, 8, 20), keys, strict=False):
        company.set(key, status="active")
        company.passes(days)
    company.set(keys[0], status="canceled")
    company.post.run("update tidegate.contact_facts set customer_since = :n where contact = :k", n=NOW, k=keys[0])
    company.passes(30)
    told = company.report(30)
    assert told["moves"] == [
        {"from": "trial", "to": "customer", "contacts": 4, "share": 1.0},
        {"from": "customer", "to": "churned", "contacts": 1, "share": 1.0},
    ]
    trial = stage(told, "trial")
    assert (trial["contacts"], trial["entered"], trial["left"], trial["stays"]) == (1, 5, 4, 4)
    assert (trial["median_days"], trial["p90_days"]) == (7, 16.4)  # of 4, 6, 8, 20
    assert (stage(told, "customer")["median_days"], stage(told, "churned")["median_days"]) == (26, None)
    lifecycle_rules.change(company.post.engine, "ada", stages=JOURNY, as_of=NOW + timedelta(days=31))
    assert company.report(31)["moves"] == told["moves"], "rules moved them, nothing happened"
    assert company.report(30, first=date(2026, 4, 1))["moves"] == [told["moves"][1], told["moves"][0] | {"contacts": 1}]


def test_of_who_was_there_before_nobody_knows_since_when(company: Company) -> None:
    key = company.add("old", NOW - timedelta(days=400), status="active")
    company.passes()
    company.set(key, status="paused")
    company.passes(3)
    customer = stage(company.report(3), "customer")
    assert (customer["entered"], customer["left"], customer["stays"], customer["median_days"]) == (0, 1, 0, None)


@pytest.mark.parametrize("stages", [STAGES, JOURNY], ids=["as before", "by other stages"])
def test_the_mrr_of_who_was_forgotten_is_in_no_stage_and_in_the_whole(company: Company, stages: Sequence[Rule]) -> None:
    for name, mrr in (("kept", 4900), ("gone", 1900)):
        key = company.add(name, NOW, status="paused")
        company.span(key, NOW, mrr=mrr)
    company.passes()
    forget(company.post.engine, False, "account:gone", "ada", only_preview=False)
    lifecycle_rules.change(company.post.engine, "ada", stages=stages, as_of=NOW + timedelta(days=1))
    told = company.report(1)
    worth = {one["key"]: one["mrr"] for one in told["stages"] if one["mrr"]}
    assert worth == {"paused" if stages is STAGES else "prospect": [{"currency": "usd", "mrr": 4900}]}
    assert told["without_contact"] == [{"currency": "usd", "mrr": 1900}]
    assert told["mrr"] == [{"currency": "usd", "mrr": 6800}]


def test_who_is_at_risk_stands_at_each_reason_and_once_in_the_whole(company: Company) -> None:
    late: dict[str, Any] = {"statuses": ["past_due"], "mrr": '{"usd": 4900000000, "eur": 100000000}'}
    company.add("late", NOW, status="past_due", ends_at=NOW + timedelta(days=5), **late)
    company.add("leaves", NOW, status="active", ends_at=NOW + timedelta(days=5), mrr='{"usd": 1000000000}')
    company.add("fine", NOW, status="active", mrr='{"usd": 1000000000}')
    company.passes()
    told = company.report()["at_risk"]
    assert (told["contacts"], told["mrr"]) == (
        2, [{"currency": "eur", "mrr": 100}, {"currency": "usd", "mrr": 5900}],
    )  # fmt: skip
    assert [(one["reason"], one["contacts"], one["mrr"]) for one in told["reasons"]] == [
        ("scheduled_to_cancel", 2, told["mrr"]),
        ("past_due", 1, [{"currency": "eur", "mrr": 100}, {"currency": "usd", "mrr": 4900}]),
    ]
    assert lifecycle_report(company.post.engine, True, as_of=NOW)["at_risk"]["contacts"] == 0, "live is apart from test"


def test_the_first_day_comes_first(company: Company) -> None:
    with pytest.raises(ReportInvalid, match="2026-04-01 is after 2026-03-15"):
        company.report(first=date(2026, 4, 1))


def test_mrr_by_stage_sums_to_the_mrr_there_is_to_the_cent(hub: Hub, make_sandbox: Callable[..., "Sandbox"]) -> None:
    live = Live(hub, make_sandbox(customers=50, months=10))
    live.run(
        "insert into tidegate.contact_settings (connection, settings) values (:c, cast(:s as jsonb))",
        c=live.name,
        s='{"create_missing": true}',
    )
    imported(hub, live.account)
    refresh_changed(hub.engine, live.account)
    as_of = datetime.fromtimestamp(live.now, UTC)
    lifecycle.keep(hub.engine, as_of=as_of)
    with hub.engine.begin() as db:  # a customer of nobody, and amounts that do not round
        paying = "select min(customer) from tidegate.spans where mrr > 0 and ends_at is null"
        db.execute(text(f"delete from tidegate.links where customer = ({paying})"))
        db.execute(text("update tidegate.spans set mrr = mrr + 333333 where ends_at is null and mrr > 0"))
    told = lifecycle_report(hub.engine, hub.livemode(), as_of=as_of)
    with hub.engine.connect() as db:
        exact = {
            row.currency: int(row.mrr)
            for row in db.execute(
                text(
                    "select currency, sum(mrr) as mrr from tidegate.spans where ends_at is null and mrr <> 0 group by 1"
                )
            )
        }
        report = reports.opened(db, live.name, as_of, currency=reports.NATIVE)
        over = reports.window(report, date.fromisoformat(told["from"]), date.fromisoformat(told["to"]))
        months = conversions.trials(db, report, over[0], over[-1])
    assert {one["currency"]: one["mrr"] for one in told["mrr"]} == {name: minor(sum_) for name, sum_ in exact.items()}
    assert told["without_contact"]
    parts = [*(one["mrr"] for one in told["stages"]), told["without_contact"]]
    for whole in told["mrr"]:
        named = [one["mrr"] for part in parts for one in part if one["currency"] == whole["currency"]]
        assert sum(named) == whole["mrr"]
    assert told["trials"]["trials"] == sum(one["trials"] for one in months)
    assert [one["month"] for one in told["trials"]["months"]] == [one["cohort"] for one in months]


BEGAN = NOW - timedelta(days=60)


def group(told: dict[str, Any], name: str, value: str) -> dict[str, Any]:
    return next(one for one in told["drivers"] if (one["name"], one["value"]) == (name, value))


def test_trials_convert_by_property_and_by_usage_before_they_pay(company: Company) -> None:
    for n in range(80):
        pays = n % 4 == 0 if n < 40 else n % 4 != 0
        said = {"tier": "big" if n >= 40 else "small", "seats": n, "nested": {"no": 1}}
        key = company.add(f"c{n}", BEGAN, said)
        company.trial(key, BEGAN, pays=pays)
        if n >= 40:
            company.uses(key, "reports", BEGAN + timedelta(days=1), 5 if n >= 60 else 1)
            company.uses(key, "reports", BEGAN + timedelta(days=2), 1)
        company.uses(key, "exports", BEGAN + timedelta(days=15))  # after the first days, and after paying
    running = company.add("runs", BEGAN, {"tier": "big"})
    company.trial(running, BEGAN, pays=None)
    paid = company.add("paid", BEGAN - timedelta(days=300), {"tier": "big"})
    company.span(paid, BEGAN - timedelta(days=200), BEGAN - timedelta(days=100), mrr=100)
    company.trial(paid, BEGAN, pays=True)
    told = company.drivers()
    assert (told["contacts"], told["converted"], told["running"], told["rate"]) == (80, 40, 1, 0.5)
    assert group(told, "tier", "big") == {
        "by": "property", "name": "tier", "value": "big", "against": "others", "contacts": 40, "converted": 30,
        "rate": 0.75, "low": 0.59806, "high": 0.858129,
        "others": {"contacts": 40, "converted": 10, "rate": 0.25}, "lift": 3.0, "small": False,
    }  # fmt: skip
    assert group(told, "seats", "above 39")["lift"] == 3
    assert (group(told, "reports", "used")["contacts"], group(told, "active days", "1 or more")["contacts"]) == (40, 40)
    assert (group(told, "reports", "above 2")["contacts"], group(told, "reports", "above 2")["small"]) == (20, True)
    assert not [one for one in told["drivers"] if one["name"] in {"exports", "nested"}]
    assert told["warning"] == "A driver is no cause: of many comparisons some stand out by chance."
    exports = group(company.drivers(usage_days=30), "exports", "used")
    assert (exports["contacts"], exports["converted"]) == (40, 0), "what is used after paying is no driver of it"
    none = company.drivers(first=date(2025, 1, 1), last=date(2025, 2, 1))
    assert (none["contacts"], none["rate"], none["drivers"]) == (0, None, [])
    assert none["warning"] == "Nobody in that time of whom it is decided."


def test_who_came_free_is_decided_after_some_days_and_a_small_sample_is_said_to_be(company: Company) -> None:
    for n in range(6):
        key = company.add(f"c{n}", BEGAN, {"source": "ads" if n % 2 else "friends"})
        if n in {0, 2}:
            company.span(key, BEGAN + timedelta(days=10), mrr=4900)
    late = company.add("late", BEGAN)
    company.span(late, BEGAN + timedelta(days=50), mrr=4900)
    tried = company.add("tried", BEGAN)
    company.trial(tried, BEGAN, pays=True)
    bought = company.add("bought", BEGAN)
    company.span(bought, BEGAN, mrr=4900)
    told = company.drivers("free", within_days=30)
    assert (told["contacts"], told["converted"], told["running"]) == (7, 2, 0)
    assert group(told, "source", "friends")["converted"] == 2
    assert group(told, "source", "friends")["small"]
    assert "too few" in told["warning"]
    assert company.drivers("free", within_days=90)["running"] == 4


def test_an_action_before_the_conversion_stands_against_all_others_and_its_hold_out(company: Company) -> None:
    for n in range(12):
        key = company.add(f"c{n}", BEGAN)
        if n % 4 != 3:  # three of four come to pay, ten days later
            company.span(key, BEGAN + timedelta(days=10), mrr=4900)
            company.acted(key, "thanks", "fired", BEGAN + timedelta(days=10))  # that it pays is what it fires on
        state = "fired" if n < 6 else "held_out" if n < 9 else "passed"
        company.acted(key, "hello", state, BEGAN + timedelta(days=2))
        company.acted(key, "hello", state, BEGAN + timedelta(days=3))
    told = [one for one in company.drivers("free", within_days=30)["drivers"] if one["by"] == "action"]
    assert [(one["name"], one["value"]) for one in told] == [("hello", "fired")] * 2
    by = {one["against"]: one for one in told}
    assert (by["others"]["contacts"], by["others"]["converted"]) == (6, 5)
    assert by["others"]["others"] == {"contacts": 6, "converted": 4, "rate": 0.666667}
    assert by["hold_out"]["others"] == {"contacts": 3, "converted": 2, "rate": 0.666667}
    assert by["hold_out"]["lift"] == 1.25
    assert [
        one for one in company.drivers("free", within_days=30, usage_days=1)["drivers"] if one["by"] == "action"
    ] == []
