"""How much more often one group converts than all others: pure arithmetic on counts, with how sure that is."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from tidegate.lifecycle.proportions import FEW, wilson

SCARCE = 5
"""Conversions, and contacts that did not convert; with fewer in all, neither."""


class Group(NamedTuple):
    """Contacts that have something in common: by what (`property`, `usage` or `action`), its name and value.
    `held_out`: whom it is compared with instead of all others, (contacts, converted): chance alone parted them.
    """

    by: str
    name: str
    value: str
    contacts: int
    converted: int
    held_out: tuple[int, int] | None = None


def compared(groups: Iterable[Group], contacts: int, converted: int) -> list[dict[str, Any]]:
    """Each group against all others of the cohort, or against its hold-out; those that convert most often first, small
    samples last: {by, name, value, against, contacts, converted, rate, low, high, others: {contacts, converted, rate},
    lift, small}.

    `against`: `others` or `hold_out`, whose figures stand in `others`. `low`, `high`: the 95 % interval of the rate
    (`proportions.wilson`). `lift`: the rate as a multiple of the others'; None where none of those converted. `small`:
    too few to say anything. Groups without others are left out: nothing can be compared with them.
    """
    found = [_compared(one, *(one.held_out or (contacts - one.contacts, converted - one.converted))) for one in groups]
    told = [one for one in found if one is not None]
    return sorted(told, key=lambda one: (one["small"], -_size(one["lift"]), *(one[name] for name in _NAMES)))


_NAMES = ("by", "name", "value", "against")


def _size(lift: float | None) -> float:
    return float("inf") if lift is None else lift


def _compared(one: Group, others: int, others_converted: int) -> dict[str, Any] | None:
    if others <= 0 or one.contacts <= 0:
        return None
    rate, other = one.converted / one.contacts, others_converted / others
    low, high = wilson(one.converted, one.contacts)
    conversions, remained = one.converted + others_converted, one.contacts + others - one.converted - others_converted
    return {
        **{name: getattr(one, name) for name in ("by", "name", "value", "contacts", "converted")},
        "against": "others" if one.held_out is None else "hold_out",
        "rate": round(rate, 6),
        "low": round(low, 6),
        "high": round(high, 6),
        "others": {"contacts": others, "converted": others_converted, "rate": round(other, 6)},
        "lift": round(rate / other, 4) if other else None,
        "small": min(one.contacts, others) < FEW or min(conversions, remained) < SCARCE,
    }
