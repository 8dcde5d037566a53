"""Accounts whose objects have the same ids, one with days of its own, one of live mode: no figure mixes them."""

import re
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text
from tests.support.importing import connected, imported
from tests.support.numbers import assert_counted
from tests.support.visiting import visited

from tidegate.contacts import policy
from tidegate.lifecycle import digest_contents, outlook
from tidegate.revenue import checks, editions, reports
from tidegate.revenue.rounding import whole
from tidegate.sandbox import Sandbox
from tidegate.wiring import Hub
from tidegate.workflows import refresh
from tidegate.workflows.lifecycle import lifecycle
from tidegate.workflows.revenue import ledger_policy
from tidegate.workflows.revenue.explain_mrr import explain_mrr

pytestmark = pytest.mark.further

ZONES = {"one": "UTC", "two": "Pacific/Auckland", "live": "UTC"}
SPANS = """subscription, item, starts_at, ends_at, customer, currency, mrr, listed, trial, usage, price, product"""
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
Kinds = dict[tuple[str, str], int]


@pytest.fixture
def rows(hub: Hub) -> Callable[..., list[tuple[Any, ...]]]:
    def ask(sql: str, **values: Any) -> list[tuple[Any, ...]]:
        with hub.engine.connect() as db:
            return [tuple(row) for row in db.execute(text(sql), values)]

    return ask


def test_each_ledger_says_what_it_would_alone(
    hub: Hub, make_sandbox: Callable[..., Sandbox], rows: Callable[..., list[tuple[Any, ...]]]
) -> None:
    for name, zone in ZONES.items():
        account = connected(hub, make_sandbox(customers=25, months=6, livemode=name == "live"), name)
        with hub.engine.begin() as db:
            policy.store(db, name, policy.checked({"create_missing": True}))
        imported(hub, account)
        refresh.refresh_all(hub.engine, account)
        ledger_policy.adopt(hub.engine, account, {"time_zone": zone}, "test")
    assert len(rows("select distinct livemode from tidegate.connections")) == 2

    def of(sql: str) -> dict[str, list[tuple[Any, ...]]]:
        return {name: rows(sql, c=name) for name in ZONES}

    spans = of(f"select {SPANS} from tidegate.spans where connection = :c order by subscription, item, starts_at")
    assert spans["one"] == spans["two"] == spans["live"] != []
    moves = """
select {day}, m.kind, m.currency, m.customer, m.item, m.at, m.amount from tidegate.movements m
join tidegate.ledgers l using (connection, edition)
where m.connection = :c and m.superseded_at is null and l.retired_at is null order by m.at, m.item, m.amount"""
    kept = of(moves.format(day="m.day"))
    assert kept["one"] == kept["live"] != kept["two"], "the days of one are others"
    instants = of(moves.format(day="1"))
    assert instants["one"] == instants["two"] != []
    told = of(
        "select id, name, customer, subscription, amount from tidegate.billing_events where connection = :c order by 1"
    )
    assert told["one"] == told["two"] == told["live"] != []
    with hub.engine.connect() as db:
        assert {name: broken for name in ZONES for broken in checks.broken(db, name).values() if broken} == {}

    stands = {name: _stands(hub, name) for name in ZONES}
    assert stands["one"] == stands["two"] == stands["live"] != {}
    for mode, times in ((False, 2), (True, 1)):
        facts = rows(
            """
select m.key, sum(m.value::numeric)::bigint from tidegate.contact_facts f
join tidegate.contacts c on c.key = f.contact and c.livemode = :mode
cross join lateral jsonb_each_text(f.mrr) m group by 1""",
            mode=mode,
        )
        assert {currency: whole(amount) for currency, amount in facts} == {
            currency: whole(times * amount) for currency, amount in _exact(rows).items()
        }
    _explained(hub, rows)
    _trials_lead(hub)
    _digests(hub, rows)


def _stands(hub: Hub, name: str) -> dict[str, int | None]:
    with hub.engine.connect() as db:
        report = reports.opened(db, name, datetime.now(UTC), currency=reports.NATIVE)
        assert report.head()["time_zone"] == ZONES[name]
        return {
            one["currency"]: one["mrr"]
            for one in reports.standing_rows(report, reports.standing(db, report, report.today))
        }


def _exact(rows: Callable[..., list[tuple[Any, ...]]]) -> dict[str, int]:
    """The MRR of any one of the accounts."""
    found = rows(
        """
select currency, sum(mrr)::bigint from tidegate.spans where connection = 'one' and ends_at is null group by 1
having sum(mrr) > 0"""
    )
    return dict(found)


def _explained(hub: Hub, rows: Callable[..., list[tuple[Any, ...]]]) -> None:
    """Of a customer that each account has one is told of the account's alone."""
    [[customer]] = rows("select customer from tidegate.spans where ends_at is null and mrr > 0 order by 1 limit 1")
    with hub.engine.connect() as db:
        told = [explain_mrr(db, hub.account(name), customer, datetime.now(UTC))["mrr"] for name in ZONES]
    assert told[0] == told[1] == told[2]
    assert sum(one["mrr"] for one in told[0]) > 0


def _trials_lead(hub: Hub) -> None:
    """The trials of stages in figures lead to those of each account, which sum to those of all."""
    with visited(hub) as client:
        found: dict[str, dict[str, int]] = {}
        for asked in ("live", "one"):
            page = client.get(f"/stages/report?connection={asked}&from=2020-01-01").text
            for link, number in assert_counted(client, page, "/revenue/trials/begun?").items():
                named = dict(parse_qsl(link.partition("?")[2]))
                month = found.setdefault(f"{asked} {named['connection']}", {})
                month[f"{named['month']} {named['outcome']}"] = number
        assert found.keys() == {"live live", "one one", "one two"}
        assert found["live live"] == found["one one"]
        told = client.get("/stages/report?connection=one&from=2020-01-01").text
    began = {name.partition(" ")[0] for name in found["one one"] if name.endswith(" trials")}
    both = began & {name.partition(" ")[0] for name in found["one two"] if name.endswith(" trials")}
    assert both
    for month in both:
        sum_ = found["one one"][f"{month} trials"] + found["one two"][f"{month} trials"]
        assert re.search(rf">{month}</th><td class=\"number\">{sum_}<", told), month


def _digests(hub: Hub, rows: Callable[..., list[tuple[Any, ...]]]) -> None:
    """A digest adds up the accounts of its mode; who moved in two of them is one contact, or two customers."""
    lifecycle.keep(hub.engine, as_of=datetime.now(UTC))
    amounts: Counter[tuple[str, str]] = Counter()
    for kind, currency, amount in rows(
        """
select kind, currency, sum(amount)::bigint from tidegate.mrr_days join tidegate.ledgers using (connection, edition)
where connection = 'one' and retired_at is null and kind <> 'transfer' group by 1, 2"""
    ):
        amounts[kind, currency] += amount
    test, live = _digest(hub, False), _digest(hub, True)
    assert _amounts(live) == {key: whole(amount) for key, amount in amounts.items()}
    assert _amounts(test) == {key: whole(2 * amount) for key, amount in amounts.items()}
    assert _movers(test) == _movers(live), "a contact of both"
    with hub.engine.connect() as db:
        renewing = [outlook.renewing(db, mode, LONG_AGO, datetime(2100, 1, 1, tzinfo=UTC), 1) for mode in (False, True)]
    assert renewing[0]["contacts"] == renewing[1]["contacts"] > 0
    for name in ZONES:
        ledger_policy.adopt(hub.engine, hub.account(name), {"choices": {"unit": "customer"}}, "test")
    assert _movers(_digest(hub, False)) == {key: 2 * count for key, count in _movers(_digest(hub, True)).items()}


def _digest(hub: Hub, livemode: bool) -> list[dict[str, Any]]:
    with hub.engine.connect() as db:
        assert editions.base(db) == ""
        told = digest_contents.gathered(db, "", livemode, LONG_AGO, datetime.now(UTC), "weekly", ZoneInfo("UTC"))
    return told["movements"]


def _amounts(told: list[dict[str, Any]]) -> Kinds:
    return {(one["kind"], one["currency"]): one["amount"] for one in told}


def _movers(told: list[dict[str, Any]]) -> Kinds:
    return {(one["kind"], one["currency"]): one["contacts"] for one in told}
