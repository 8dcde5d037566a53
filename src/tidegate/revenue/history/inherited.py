"""Discounts of a customer, which its subscriptions inherit: until when each was held, what changes when it goes."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from tidegate.pricing.facts import Facts
from tidegate.revenue.history.observed import Version
from tidegate.stripe_api.shapes.discounts import Discount
from tidegate.stripe_api.shapes.lines import InvoiceLine

OVER = frozenset({"canceled", "incomplete_expired"})


class Holding(NamedTuple):
    """A discount that a customer has or had; `until`: when it was taken away, epoch seconds (None: it was not). One
    whose time was over by itself says so in its own end.
    """

    discount: Discount
    until: int | None


def holdings(own: Discount | None, known: Iterable[tuple[Discount, int | None]]) -> list[Holding]:
    """A customer's discounts, the oldest first: its `own`, and those `known` that were taken away from it (when, epoch
    seconds; None: nobody says so). A customer has one at a time: each ends with the next at the latest.
    """
    gone = {one.identity: (one, at) for one, at in known if at is not None and _is_customers(one)}
    found = [Holding(one, _taken_away(one, at)) for one, at in gone.values()]
    if own is not None and own.identity not in gone:
        found.append(Holding(own, None))
    found.sort(key=lambda one: one.discount.starts_at or 0)
    for place, after in enumerate(found[1:]):
        begins, until = after.discount.starts_at, found[place].until
        if begins is not None and (until is None or begins < until):
            found[place] = found[place]._replace(until=begins)
    return found


def inherited(held: Sequence[Holding], instant: int) -> list[Discount]:
    """Those that are not taken away by an instant; some may begin only later."""
    return [one.discount for one in held if one.until is None or one.until > instant]


def with_ends(
    versions: Sequence[Version],
    held: Sequence[Holding],
    lines: Callable[[int], Mapping[str, Sequence[InvoiceLine]]],
) -> list[Version]:
    """The versions of a subscription, oldest first, and how it stood when a discount of its customer was taken away;
    `lines`: by item those of the last period that had begun by an instant.
    """
    found = list(versions)
    for at, name in sorted({(one.until, one.discount.identity or "") for one in held if one.until is not None}):
        standing = next((version for version in reversed(found) if version.at <= at), None)
        if standing is not None and standing.at < at and not _is_over(standing.facts):
            facts = replace(standing.facts, customer_discounts=inherited(held, at), lines=lines(at))
            found.insert(found.index(standing) + 1, Version(at, facts, name))
    return found


def _is_over(facts: Facts) -> bool:
    return facts.subscription.ended_at is not None or facts.subscription.status in OVER


def _is_customers(one: Discount) -> bool:
    return not (one.subscription or one.subscription_item or one.invoice or one.invoice_item)


def _taken_away(one: Discount, at: int) -> int | None:
    return None if one.ends_at is not None and one.ends_at <= at else at
