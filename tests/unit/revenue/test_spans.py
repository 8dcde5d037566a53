"""How states become spans, and that a history says the same however it is cut."""

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.histories import AS_OF, BORN, lived, spans, told, version
from tests.support.priced import DAY, Json, item, price

from tidegate.pricing.value import ItemValue, Value, millionths
from tidegate.revenue.history import span
from tidegate.revenue.history.span import Provenance, State


def state(at: int, monthly: int, provenance: Provenance = "observed", why_not: str = "", of: str = "si_1") -> State:
    worth = Fraction(monthly)
    one = ItemValue(of, "price_1", "prod_1", 1, "month", 1, False, worth, worth, Fraction(0), ())
    return State(at, Value("usd", (one,), why_not, None), provenance, "evt_1")


def test_what_says_the_same_prolongs_the_span_and_keeps_its_source() -> None:
    [one] = span.spans([state(1, 10), state(5, 10)._replace(source="evt_2")], None)
    assert (one.starts_at, one.ends_at, one.source) == (1, None, "evt_1")


def test_another_provenance_begins_another_span() -> None:
    assert [one.ends_at for one in span.spans([state(1, 10, "inferred"), state(5, 10)], 9)] == [5, 9]


def test_the_last_of_an_instant_holds() -> None:
    found = span.spans([state(1, 10), state(5, 99), state(5, 20), state(9, 30), state(9, 20)], None)
    assert [(one.starts_at, one.ends_at, one.mrr) for one in found] == [(1, 5, 10_000_000), (5, None, 20_000_000)]


def test_an_item_that_comes_back_has_two_spans() -> None:
    found = span.spans([state(1, 10), state(3, 5, of="si_2"), state(6, 10)], None)
    assert [(one.item, one.starts_at, one.ends_at) for one in found] == [
        ("si_1", 1, 3),
        ("si_2", 3, 6),
        ("si_1", 6, None),
    ]


def test_usage_stands_beside_what_counts_and_is_none_where_nothing_does() -> None:
    def used(at: int, usage: int, why_not: str = "") -> State:
        told = state(at, 0, why_not=why_not)
        return told._replace(value=told.value._replace(items=(told.value.items[0]._replace(usage=Fraction(usage)),)))

    found = span.spans([used(1, 10), used(5, 10), used(7, 20), used(9, 20, "it is unpaid")], None)
    assert [(one.starts_at, one.mrr, one.usage) for one in found] == [(1, 0, 10_000_000), (7, 0, 20_000_000), (9, 0, 0)]


def test_no_states_no_spans() -> None:
    assert span.spans([], None) == span.spans([], 5) == []


@pytest.mark.parametrize(("exact", "stored"), [(Fraction(5000, 3), 1_666_666_667), (Fraction(-1, 2_000_000), -1)])
def test_amounts_are_stored_in_millionths_halves_away_from_zero(exact: Fraction, stored: int) -> None:
    assert millionths(exact) == stored


STATES = ("active", "past_due", "trialing", "paused", "unpaid")


def subscriptions() -> st.SearchStrategy[Json]:
    items = st.lists(
        st.builds(lambda amount, quantity: item(price(amount), quantity), st.integers(0, 9_999), st.integers(0, 5)),
        min_size=1,
        max_size=3,
    )
    return st.builds(lambda those, status: lived(*those, status=status), items, st.sampled_from(STATES))


@given(st.lists(st.tuples(st.integers(1, 300), subscriptions()), min_size=1, max_size=6))
def test_spans_of_an_item_follow_each_other_and_end_at_now(changes: list[tuple[int, Json]]) -> None:
    at, versions = BORN, []
    for days, of in changes:
        at += days * DAY
        versions.append(version(at, of, f"evt_{at}"))
    found = spans(versions, at=max(at, AS_OF))
    for one in {one.item for one in found}:
        mine = [each for each in found if each.item == one]
        assert all(a.ends_at is not None and a.ends_at <= b.starts_at for a, b in pairwise(mine))
    doubled = [each for one in versions for each in (one, one._replace(at=one.at + 60, source="again"))]
    assert told(spans(doubled, at=max(at + 60, AS_OF))) == told(found)
    standing = [one for one in found if one.ends_at is None]
    assert {one.item for one in standing} == {one.id for one in versions[-1].facts.items}
