"""Under which identifier usage counts once, and when a summary tells whether it was counted."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.entitlements.access import Access
from tidegate.entitlements.buckets import Debit, Source
from tidegate.entitlements.forwards import payer_of, state_named
from tidegate.errors import UsageError
from tidegate.outbound.fields.shapes import checked
from tidegate.outbound.metering import events
from tidegate.outbound.metering.events import Meter, counted
from tidegate.outbound.metering.meters import lacking

SUM = Meter("mtr_1", "calls", True, "stripe_customer_id", "value", "sum")


def decimals(*values: Any) -> list[Decimal]:
    return [Decimal(str(one)) for one in values]


@pytest.mark.parametrize(
    ("total", "told", "doubtful", "verdict"),
    [
        (None, [], [3], False),
        ("3", [], [3], True),
        ("8", [5], [3], True),
        ("5", [5], [3], False),
        ("6", [5], [3], None),
        ("12.5", [5], [3, "4.5"], True),
        ("5", [5], [3, "4.5"], False),
        ("8", [5], [3, "4.5"], None),  # one of the two
        (None, [5], [3], None),  # what was surely counted is missing
        ("3", [3], [0], None),
        ("3", [5, -2], [3], None),  # something given back could make up for another
        ("0", [], [-3], None),
    ],
)
def test_what_a_summary_tells(total: Any, told: list[Any], doubtful: list[Any], verdict: bool | None) -> None:
    said = None if total is None else Decimal(total)
    assert counted(SUM, said, decimals(*told), decimals(*doubtful)) is verdict


def test_what_counts_events_tells_by_their_number_and_what_keeps_one_value_tells_nothing() -> None:
    count = SUM._replace(formula="count")
    assert counted(count, Decimal(2), decimals(7, 9), decimals(100)) is False
    assert counted(count, Decimal(3), decimals(7, 9), decimals(100)) is True
    assert counted(SUM._replace(formula="last"), Decimal(3), [], decimals(3)) is None
    assert counted(SUM._replace(plain=False), Decimal(3), [], decimals(3)) is None


amounts = st.lists(st.integers(1, 10**6), max_size=5)


@given(amounts, st.lists(st.integers(1, 10**6), min_size=1, max_size=4), st.data())
def test_whatever_is_said_of_all_or_none_is_so(told: list[int], doubtful: list[int], data: st.DataObject) -> None:
    """Stripe counted a part of what is in doubt: `counted` says true only for all of it, and false only for none."""
    part = data.draw(st.lists(st.sampled_from(range(len(doubtful))), unique=True))
    total = sum(told) + sum(doubtful[one] for one in part)
    verdict = counted(SUM, Decimal(total) if total else None, decimals(*told), decimals(*doubtful))
    assert verdict is (False if not part else True if len(part) == len(doubtful) else None)


@given(st.lists(st.tuples(st.text(max_size=9), st.text(max_size=9)), unique=True, min_size=2, max_size=9))
def test_no_two_rows_have_one_identifier(keys: list[tuple[str, str]]) -> None:
    made = [events.identifier("acct_1:False", "sync", *one) for one in keys]
    assert len(set(made)) == len(keys)
    assert made == [events.identifier("acct_1:False", "sync", *one) for one in keys]
    assert max(len(one) for one in made) <= 100
    assert events.identifier("acct_1:True", "sync", *keys[0]) not in made


def test_only_what_stripe_says_of_this_event_proves_that_it_was_counted() -> None:
    said = {"status": 400, "message": "An event already exists with identifier tidegate-1."}
    assert events.was_known(said, "tidegate-1")
    assert not events.was_known(said, "tidegate-2")
    assert not events.was_known(said | {"status": 500}, "tidegate-1")
    assert not events.was_known({"status": 400, "message": "No such customer: 'tidegate-1'"}, "tidegate-1")


def test_an_event_has_the_meter_s_own_keys() -> None:
    meter = SUM._replace(customer_key="who", value_key="n")
    made = events.event(meter, "tidegate-1", "cus_1", "2", 60, {"region": "eu"})
    assert made["payload"] == {"who": "cus_1", "n": "2", "region": "eu"}


def test_a_name_that_no_meter_has_is_told_with_the_nearest() -> None:
    assert lacking({"calls": SUM}, "calls") == ""
    assert "perhaps calls" in lacking({"calls": SUM}, "call")
    assert "it has calls" in lacking({"calls": SUM}, "zzz")
    assert "the mirror has none" in lacking({}, "calls")


GOOD = {"event_name": "calls", "customer": "cus_1", "value": 3, "timestamp": 60}


@pytest.mark.parametrize(
    ("said", "field", "problem"),
    [
        ({"value": "1234567890.1234567"}, "value", "it has 17 digits, and Stripe takes 15"),
        ({"value": "many"}, "value", "it takes a number"),
        ({"timestamp": 1_700_000_000_000}, "timestamp", "these are milliseconds"),
        ({"event_name": "x" * 101}, "event_name", "101 characters"),
    ],
)
def test_values_that_stripe_takes_not(said: dict[str, Any], field: str, problem: str) -> None:
    [(_, [wrong])] = checked("meter_events", "create", [GOOD | said])
    assert (wrong.path, problem in wrong.problem) == (field, True)


@pytest.mark.parametrize("name", GOOD)
def test_what_every_event_needs(name: str) -> None:
    [(_, [wrong])] = checked("meter_events", "create", [{key: value for key, value in GOOD.items() if key != name}])
    assert (wrong.path, wrong.lacks) == (name, True)


@pytest.mark.parametrize(("said", "shown"), [(3, "3"), ("3.50", "3.5"), (-2, "-2"), (1e15, "1000000000000000")])
def test_a_value_is_its_shortest_decimal(said: Any, shown: str) -> None:
    [(payload, problems)] = checked("meter_events", "create", [GOOD | {"value": said}])
    assert (payload["value"], problems) == (shown, [])


def test_a_state_that_there_is_not_is_refused() -> None:
    assert state_named("failed") == "failed"
    with pytest.raises(UsageError, match="it is one of waiting, intended, sent"):
        state_named("lost")


# Who pays.


def source(**said: Any) -> Source:
    from datetime import UTC, datetime

    from tidegate.catalog.terms import Terms

    at = datetime(2026, 1, 1, tzinfo=UTC)
    granted = said.pop("granted", True)
    return Source("base", Terms(limit=1), Access(granted, ""), 1, at, at, via=said)


def standing(buckets: list[tuple[str, list[Source]]], sources: list[Source]) -> Any:
    from datetime import UTC, datetime

    from tidegate.catalog.contents import Feature
    from tidegate.entitlements.buckets import Bucket
    from tidegate.entitlements.resolve import Entitlement

    at = datetime(2026, 1, 1, tzinfo=UTC)
    made = tuple(Bucket(key, 1, 0, at, None, at, 0, None, tuple(some), "month") for key, some in buckets)
    return Entitlement(Feature("calls", "metered"), True, "granted", sources=tuple(sources), buckets=made)


def test_whose_subscription_fills_the_debited_bucket_pays() -> None:
    from datetime import UTC, datetime

    at = datetime(2026, 1, 1, tzinfo=UTC)
    ada, bo = source(connection="a", customer="cus_ada"), source(connection="b", customer="cus_bo")
    gift, gone = source(override=7), source(connection="c", customer="cus_gone", granted=False)
    both = standing([("one", [ada]), ("two", [bo])], [gone, ada, bo])
    assert payer_of(both, [Debit("two", at, 1)]) == ("b", "cus_bo")
    assert payer_of(both, [Debit("one", at, 1)]) == ("a", "cus_ada")
    assert payer_of(standing([("gift", [gift])], [gift, gone, bo]), [Debit("gift", at, 1)]) == ("b", "cus_bo")
    assert payer_of(standing([], [gone])) == ("c", "cus_gone")
    assert payer_of(standing([("gift", [gift])], [gift]), [Debit("gift", at, 1)]) is None
