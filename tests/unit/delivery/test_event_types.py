"""Every type of event that the outbox tells is documented, and nothing else is."""

from typing import get_args

from tidegate.delivery.event_types import EVENT_TYPES
from tidegate.delivery.outbox import EventType


def test_every_type_of_event_is_documented() -> None:
    assert list(EVENT_TYPES) == list(get_args(EventType))


def test_each_says_when_it_is_told_and_what_its_data_holds() -> None:
    assert all(one.when and one.data and all(one.data.values()) for one in EVENT_TYPES.values())
