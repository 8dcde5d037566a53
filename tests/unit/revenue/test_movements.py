"""What the expression says of spans, on DuckDB: each kind of movement, what is one movement, and on which day."""

from collections.abc import Iterable
from datetime import date
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.moves import DAY, DOLLAR, HOUR, MINUTE, Move, Row, moves, rows, span

from tidegate.revenue.netting import lasting, moved


def kinds(spans: Iterable[Row], **choices: str) -> list[tuple[str, float]]:
    return [(one.kind, one.amount) for one in moves(spans, **choices)]


def test_each_kind_once() -> None:
    life = [
        span(0, 10 * DAY, 100),
        span(10 * DAY, 20 * DAY, 150),
        span(20 * DAY, 30 * DAY, 90),
        span(40 * DAY, None, 30, subscription="sub_2", item="si_2"),
    ]
    assert moves(life) == [
        Move("new", 0, 100, 0, 100),
        Move("expansion", 10 * DAY, 50, 100, 150),
        Move("contraction", 20 * DAY, -60, 150, 90),
        Move("churn", 30 * DAY, -90, 90, 0),
        Move("reactivation", 40 * DAY, 30, 0, 30),
    ]


def test_currencies_are_classified_by_themselves() -> None:
    both = [span(0, None, 10), span(DAY, None, 20, currency="eur", item="si_2")]
    assert kinds(both) == [("new", 10), ("new", 20)]


def test_units_are_classified_by_themselves_and_a_units_customers_together() -> None:
    spans = [span(0, None, 10), span(DAY, None, 20, customer="cus_2", item="si_2")]
    assert kinds(spans) == [("new", 10), ("expansion", 20)]
    spans[1]["unit"] = "v"
    assert kinds(spans) == [("new", 10), ("new", 20)]


def test_what_changes_and_is_worth_the_same_is_no_movement() -> None:
    assert kinds([span(0, DAY, 10), span(DAY, None, 10, price="price_2")]) == [("new", 10)]


def test_a_customer_moved_to_another_of_the_same_contact_is_a_transfer_and_its_rows_stay() -> None:
    spans = [span(0, DAY, 10), span(DAY + 5, None, 10, customer="cus_2", subscription="sub_2", item="si_2")]
    assert moves(spans) == [Move("new", 0, 10, 0, 10), Move("transfer", DAY + 5, 0, 10, 10)]
    assert [(one["customer"], one["kind"], one["amount"]) for one in rows(spans)] == [
        ("cus_1", "new", 10 * DOLLAR),
        ("cus_1", "transfer", -10 * DOLLAR),
        ("cus_2", "transfer", 10 * DOLLAR),
    ]


def test_a_row_says_what_became_of_its_item() -> None:
    [_, row] = rows([span(0, DAY, 10), span(DAY, None, 30, price="price_2", product="prod_2")])
    assert (row["price"], row["product"]) == ("price_2", "prod_2")
    [_, gone] = rows([span(0, DAY, 10)])
    assert (gone["kind"], gone["price"]) == ("churn", "price_1")


@pytest.mark.parametrize(
    ("gap", "told"),
    [
        (0, [("new", 10)]),
        (60 * MINUTE, [("new", 10)]),
        (60 * MINUTE + 1, [("new", 10), ("churn", -10), ("reactivation", 10)]),
    ],
)
def test_cancelled_and_created_again_within_the_hour(gap: int, told: list[tuple[str, float]]) -> None:
    spans = [span(0, DAY, 10), span(DAY + gap, None, 10, subscription="sub_2", item="si_2")]
    assert [one for one in kinds(spans) if one[0] != "transfer"] == told


def test_changes_within_the_hour_are_one_movement_dated_at_the_last() -> None:
    spans = [span(0, None, 10), span(20 * MINUTE, None, 5, item="si_2"), span(50 * MINUTE, None, 1, item="si_3")]
    assert moves(spans) == [Move("new", 50 * MINUTE, 16, 0, 16)]
    assert kinds(spans, netting="instant") == [("new", 10), ("expansion", 5), ("expansion", 1)]
    assert kinds(spans, netting="30 minutes") == [("new", 15), ("expansion", 1)]


def test_a_chain_longer_than_an_hour_is_cut_at_each_first_change() -> None:
    at = [0, 40 * MINUTE, 80 * MINUTE, 100 * MINUTE, 150 * MINUTE]
    spans = [span(start, None, 1, item=f"si_{start}") for start in at]
    assert moves(spans) == [
        Move("new", 40 * MINUTE, 2, 0, 2),
        Move("expansion", 100 * MINUTE, 2, 2, 4),
        Move("expansion", 150 * MINUTE, 1, 4, 5),
    ]


def test_what_changes_nothing_begins_no_movement() -> None:
    """Else a price renamed 50 minutes before would cut an upgrade in two."""
    spans = [
        span(0, 10 * DAY, 10),
        span(10 * DAY, 10 * DAY + 50 * MINUTE, 10, price="price_2"),
        span(10 * DAY + 50 * MINUTE, 10 * DAY + 80 * MINUTE, 20),
        span(10 * DAY + 80 * MINUTE, None, 30),
    ]
    assert kinds(spans) == [("new", 10), ("expansion", 20)]


def test_netting_by_day_and_by_month_are_those_of_the_time_zone() -> None:
    spans = [
        span(23 * HOUR, 25 * HOUR, 10),
        span(25 * HOUR, 31 * DAY + HOUR, 20),
        span(31 * DAY + HOUR, None, 5),
    ]
    assert kinds(spans, netting="day") == [("new", 10), ("expansion", 10), ("contraction", -15)]
    assert moves(spans, zone="America/New_York", netting="day")[0] == Move("new", 25 * HOUR, 20, 0, 20)
    assert kinds(spans, netting="period") == [("new", 20), ("contraction", -15)]
    assert moves(spans, zone="America/New_York", netting="period") == [Move("new", 31 * DAY + HOUR, 5, 0, 5)]


FREE = [
    span(0, 10 * DAY, 10),
    span(10 * DAY, 20 * DAY, 0),
    span(20 * DAY, 30 * DAY, 10),
]


def test_who_goes_on_for_nothing_has_churned_or_by_policy_contracted() -> None:
    assert kinds(FREE) == [("new", 10), ("churn", -10), ("reactivation", 10), ("churn", -10)]
    told = kinds(FREE, zero="contraction")
    assert told == [("new", 10), ("contraction", -10), ("expansion", 10), ("churn", -10)]


def test_who_keeps_something_free_besides_has_contracted_by_policy() -> None:
    """What is free comes and goes without a movement, and still tells who stays."""
    paid, free = span(0, 10 * DAY, 10), span(DAY, None, 0, subscription="sub_2", item="si_2")
    assert kinds([paid, free], zero="contraction") == [("new", 10), ("contraction", -10)]
    assert kinds([paid, free | {"ends_at": paid["ends_at"]}], zero="contraction") == [("new", 10), ("churn", -10)]
    assert kinds([paid, free]) == [("new", 10), ("churn", -10)]


def test_who_pauses_has_left_under_either_policy() -> None:
    paused = [span(0, 10 * DAY, 10), span(10 * DAY, 20 * DAY, 0, counts=False), span(20 * DAY, None, 10)]
    for zero in ("churn", "contraction"):
        assert kinds(paused, zero=zero) == [("new", 10), ("churn", -10), ("reactivation", 10)]


def test_who_was_free_first_is_new_when_it_pays() -> None:
    assert kinds([span(0, DAY, 0), span(DAY, None, 10)], zero="contraction") == [("new", 10)]


def test_all_of_a_movement_is_of_the_day_of_its_last_change_and_a_period_is_of_its_year() -> None:
    over_midnight = [span(DAY - 10 * MINUTE, None, 10), span(DAY + 10 * MINUTE, None, 5, item="si_2")]
    assert [(one["kind"], one["day"]) for one in rows(over_midnight)] == [("new", date(2026, 1, 2))] * 2
    years = [span(0, 365 * DAY, 10), span(365 * DAY, None, 15)]
    assert kinds(years, netting="period") == [("new", 10), ("expansion", 5)]


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("UTC", date(2026, 4, 1)),
        ("America/New_York", date(2026, 3, 31)),
        ("Europe/Berlin", date(2026, 4, 1)),
        ("Asia/Kathmandu", date(2026, 4, 1)),
        ("Pacific/Kiritimati", date(2026, 4, 1)),
    ],
)
def test_the_day_is_the_time_zones(zone: str, day: date) -> None:
    [row] = rows([span(90 * DAY + 3 * HOUR, None, 10)], zone)  # 2026-04-01T03:00Z
    assert row["day"] == day


def test_months_end_by_the_clock_of_their_season() -> None:
    """New York is 5 hours behind in winter, 4 in summer: its October begins and its November ends otherwise."""
    first_hour = {"03:59Z": 273 * DAY + 4 * HOUR - 60, "04:00Z": 273 * DAY + 4 * HOUR}
    days = [rows([span(at, None, 1)], "America/New_York")[0]["day"] for at in first_hour.values()]
    assert days == [date(2026, 9, 30), date(2026, 10, 1)]
    winter = [334 * DAY + 5 * HOUR - 60, 334 * DAY + 5 * HOUR]
    days = [rows([span(at, None, 1)], "America/New_York")[0]["day"] for at in winter]
    assert days == [date(2026, 11, 30), date(2026, 12, 1)]


def test_amounts_beyond_double_precision_add_up() -> None:
    cents = 2**53 + 1
    spans = [span(0, DAY, 0) | {"mrr": cents}, span(DAY, None, 0) | {"mrr": 1}]
    assert [one["amount"] for one in rows(spans)] == [cents, 1 - cents]


@pytest.mark.parametrize(
    ("instants", "told"),
    [
        ([], {}),
        ([5], {5: 5}),
        ([0, 60, 61], {0: 60, 60: 60, 61: 61}),
        ([100, 0, 40, 40, 100, 101], {0: 40, 40: 40, 100: 101, 101: 101}),
    ],
)
def test_a_movement_lasts_from_its_first_change(instants: list[int], told: dict[int, int]) -> None:
    assert moved(instants, 60) == told


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=12), st.integers(0, 120))
def test_only_a_chain_that_lasts_needs_to_be_cut(instants: list[int], seconds: int) -> None:
    ordered = sorted(set(instants))
    begins = [at for at in ordered if not any(0 < at - one <= seconds for one in ordered)]
    ends = [*begins[1:], 2000]
    chains = [[at for at in ordered if one <= at < other] for one, other in zip(begins, ends, strict=True)]
    assert lasting([("u", "usd", at) for at in instants], seconds) == any(c[-1] - c[0] > seconds for c in chains)
    if not lasting([("u", "usd", at) for at in instants], seconds):
        assert moved(instants, seconds) == {at: chain[-1] for chain in chains for at in chain}


ITEMS = st.lists(
    st.tuples(st.integers(1, 3), st.integers(1, 200), st.integers(0, 5), st.sampled_from(["usd", "jpy"])),
    min_size=1,
    max_size=6,
)
"""Of an item, by the quarter hour: how long nothing stood, how long the span lasts, what it is worth."""


def lives(units: list[list[list[tuple[int, int, int, str]]]]) -> list[Row]:
    found: list[Row] = []
    for unit, items in enumerate(units):
        for number, changes in enumerate(items):
            at, currency = 0, changes[0][3]
            for gap, length, worth, _ in changes:
                start = at + (gap - 1) * 15 * MINUTE
                at = start + length * 5 * MINUTE
                named = {"unit": f"u{unit}", "customer": f"c{unit}", "item": f"i{unit}_{number}", "currency": currency}
                found.append(span(start, at, worth, **named))
            if len(changes) % 2:
                found[-1]["ends_at"] = None
    return found


@settings(max_examples=15)
@given(st.lists(st.lists(ITEMS, min_size=1, max_size=3), min_size=1, max_size=25), st.sampled_from(["60", "7"]))
def test_movements_are_what_a_walk_through_time_tells(
    units: list[list[list[tuple[int, int, int, str]]]], minutes: str
) -> None:
    spans = lives(units)
    told = rows(spans, netting=f"{minutes} minutes")
    for unit in {(one["unit"], one["currency"]) for one in spans}:
        mine = [one for one in spans if (one["unit"], one["currency"]) == unit]
        theirs = [one for one in told if (one["unit"], one["currency"]) == unit]
        assert sum(one["amount"] for one in theirs) == sum(one["mrr"] for one in mine if one["ends_at"] is None)
        found = {(one["moved_at"], one["kind"], one["opening"], one["closing"]) for one in theirs}
        assert found == walked(mine, int(minutes) * MINUTE)
        for item in {one["item"] for one in mine}:
            stock = sum(one["mrr"] for one in mine if one["item"] == item and one["ends_at"] is None)
            assert sum(one["amount"] for one in theirs if one["item"] == item) == stock


def walked(spans: list[Row], seconds: int) -> set[tuple[int, str, int, int]]:
    """The movements of one unit and currency, found by adding up at each instant."""

    def stock(at: int, item: str | None = None) -> int:
        return sum(
            one["mrr"]
            for one in spans
            if one["starts_at"] <= at < (one["ends_at"] or 2**62) and item in {None, one["item"]}
        )

    instants = sorted({at for one in spans for at in (one["starts_at"], one["ends_at"]) if at is not None})
    items = {one["item"] for one in spans}
    changed = [at for at in instants if any(stock(at, item) != stock(at - 1, item) for item in items)]
    found: set[tuple[int, str, int, int]] = set()
    before, highest = 0, 0
    for at in sorted(set(moved(changed, seconds).values())):
        now = stock(at)
        kind = "transfer" if now == before else "expansion" if now > before else "contraction"
        if now != before and before == 0:
            kind = "reactivation" if highest else "new"
        elif now != before and now == 0:
            kind = "churn"
        found.add((at, kind, before, now))
        highest = max(highest, now)
        before = now
    return found


@settings(max_examples=10)
@given(st.lists(st.lists(ITEMS, min_size=2, max_size=4), min_size=1, max_size=20), st.randoms(use_true_random=False))
def test_splitting_over_customers_of_one_contact_and_any_order_keep_the_total(
    units: list[list[list[tuple[int, int, int, str]]]], random: Random
) -> None:
    spans = lives(units)
    split = [one | {"customer": f"{one['customer']}_{int(one['item'][-1]) % 2}"} for one in spans]
    random.shuffle(split)
    assert moves(split) == moves(spans)
