"""A span: what one subscription item was worth from one instant to another, and how that is known."""

from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Literal, NamedTuple

from tidegate.pricing.value import ItemValue, Value, millionths

Provenance = Literal["observed", "inferred"]


class Span(NamedTuple):
    """`mrr`, `listed`, `trial` and `usage` in millionths of a minor unit a month; times in epoch seconds; `ends_at`
    None: no end yet. `why_not`: why it counts for nothing. `source`: the event, reading or invoice that tells of it.
    `usage`: what the last closed period of a metered price came to, whether that is in `mrr` or not.
    """

    item: str
    starts_at: int
    ends_at: int | None
    currency: str
    mrr: int
    listed: int
    trial: int
    why_not: str
    price: str
    product: str
    quantity: int
    interval: str
    interval_count: int
    metered: bool
    provenance: Provenance
    source: str
    usage: int = 0


class State(NamedTuple):
    """What a subscription was worth from an instant on, by item."""

    at: int
    value: Value
    provenance: Provenance
    source: str


def spans(states: Sequence[State], end: int | None) -> list[Span]:
    """The spans of states that follow each other; the last one ends at `end` (None: it goes on).

    What says the same as the span before it, however it is known, prolongs that; what lasts for no time is left out.
    """
    open_: dict[str, Span] = {}
    found: list[Span] = []
    for state, after in zip_longest(states, states[1:]):
        if after and after.at <= state.at:
            continue
        now = {item.item: item for item in state.value.items}
        for item in [*open_]:
            if item not in now or not _goes_on(open_[item], state, now[item]):
                found += _closed(open_.pop(item), state.at)
        for item, value in now.items():
            if item not in open_:
                open_[item] = _opened(state, value)
    for span in open_.values():
        found += [span] if end is None else _closed(span, end)
    return sorted(found, key=lambda span: (span.starts_at, span.item))


def _opened(state: State, item: ItemValue) -> Span:
    why_not = state.value.why_not or (item.problem if not item.interval else "")
    return Span(
        item.item, state.at, None, state.value.currency, millionths(item.monthly), millionths(item.listed),
        millionths(item.trial), why_not, item.price, item.product, item.quantity, item.interval, item.interval_count,
        item.metered, state.provenance, state.source, 0 if why_not else millionths(item.usage),
    )  # fmt: skip


def _goes_on(span: Span, state: State, item: ItemValue) -> bool:
    same = _opened(state, item)
    return span._replace(starts_at=state.at, source=state.source) == same


def _closed(span: Span, at: int) -> Iterable[Span]:
    if at > span.starts_at:
        yield span._replace(ends_at=at)
