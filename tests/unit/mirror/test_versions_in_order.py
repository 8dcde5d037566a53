"""Versions of one second: their events' previous attributes say which came first; event ids do not."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tidegate.mirror.versions import Stored, in_order
from tidegate.sandbox.state import previous

STATES = st.lists(st.fixed_dictionaries({"status": st.sampled_from("abc"), "n": st.integers(0, 2)}), max_size=6)


def told(event: str, data: dict[str, Any], before: dict[str, Any] | None = None, at: int = 10) -> Stored:
    return Stored(at, event, previous(before, data) if before is not None else None, json.dumps(data))


BEGUN, PAID, PAUSED = {"status": "incomplete"}, {"status": "active"}, {"status": "paused"}


def test_a_first_payment_in_the_second_of_its_creation_comes_after_it() -> None:
    created, updated = told("evt_9", BEGUN), told("evt_1", PAID, BEGUN)
    assert in_order([updated, created]) == [created, updated]


def test_there_and_back_is_told_by_what_stood_before() -> None:
    there, back = told("evt_2", PAUSED, PAID), told("evt_1", PAID, PAUSED)
    assert in_order([told("evt_0", PAID, at=9), back, there])[1:] == [there, back]
    assert in_order([told("evt_0", PAUSED, at=9), back, there])[1:] == [back, there]


def test_what_fits_nowhere_stays_in_its_place() -> None:
    read = told("", PAUSED)
    event = told("evt_1", PAID, BEGUN)
    assert in_order([event, read]) == [event, read]
    assert in_order([read, event]) == [read, event]


@given(STATES, st.randoms())
def test_any_course_of_states_is_found_from_events_in_any_order(states: list[dict[str, Any]], chance: Any) -> None:
    course = [one for n, one in enumerate(states) if n == 0 or one != states[n - 1]]
    events = [told(f"evt_{n}", one, course[n - 1]) for n, one in enumerate(course) if n]
    shuffled = chance.sample(events, len(events))
    found = in_order([told("evt_first", one, at=9) for one in course[:1]] + shuffled)
    assert len(found) == len(course)
    if len({json.dumps(one, sort_keys=True) for one in course}) == len(course):  # else there is more than one way
        assert [json.loads(one.body) for one in found] == course
