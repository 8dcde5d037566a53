"""Rings: never lost, never more often than the pause allows."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tidegate.api.rings import Rings


def test_the_first_event_rings_at_once_and_the_next_after_the_pause() -> None:
    rings = Rings(0.2)
    rings.want("a", 10.0)
    assert rings.take(10.0) == ["a"]
    rings.want("a", 10.1)
    assert rings.next() == 10.2
    assert rings.take(10.1) == []
    assert rings.take(10.2) == ["a"]
    assert rings.next() is None


def test_connections_do_not_hold_each_other_back() -> None:
    rings = Rings(0.2)
    rings.want("a", 10.0)
    assert rings.take(10.0) == ["a"]
    rings.want("b", 10.1)
    assert rings.take(10.1) == ["b"]


@given(st.lists(st.integers(0, 400), max_size=60))
def test_every_event_is_followed_by_a_ring_and_rings_keep_their_distance(gaps: list[int]) -> None:
    rings = Rings(200)
    now, events, rung = 0, [], []
    for gap in gaps:
        now += gap
        while (due := rings.next()) is not None and due <= now:
            rung += [due for _ in rings.take(due)]
        rings.want("a", now)
        events.append(now)
    while (due := rings.next()) is not None:
        rung += [due for _ in rings.take(due)]
    assert all(any(event <= at <= event + 200 for at in rung) for event in events)
    assert all(later - earlier >= 200 for earlier, later in pairwise(rung))
