"""The whole history of a subscription: observed where versions tell, inferred from invoices before."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tidegate.pricing.policy import Policy
from tidegate.revenue.history import inferred, observed
from tidegate.revenue.history.evidence import Billed, groups
from tidegate.revenue.history.observed import Version
from tidegate.revenue.history.span import Span, spans


class History(NamedTuple):
    """What a subscription was worth; `changes_at`: when that changes next without a word of Stripe's, epoch seconds."""

    spans: list[Span]
    changes_at: int | None


def history(versions: Sequence[Version], billed: Iterable[Billed], policy: Policy, as_of: int) -> History:
    """The spans of a subscription up to an instant (epoch seconds); those that go on have no end.

    `versions` oldest first, at least one; `billed`: the lines of all its invoices.
    """
    first = versions[0].facts
    end, begin = observed.ends(versions), observed.begins(versions)
    pending = first.subscription.latest_invoice if first.subscription.pending_update else None
    before = inferred.states(
        first, groups(billed, pending_invoice=pending), policy, begin if end is None else min(begin, end)
    )
    after = observed.states(versions, policy, as_of)
    states = [state for state in [*before, *after] if state.at <= as_of and (end is None or state.at < end)]
    return History(spans(states, end), observed.next_change(versions, policy, as_of))
