"""Movements as one Ibis expression over spans, the same for every engine.

Times are epoch seconds, so that no engine's idea of time zones matters; amounts are millionths of a minor unit. Nothing
is joined but what Python says: every step is a window over the changes of a unit, in a currency, by time.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# ibis leaves most of its functions without types.

from typing import Any

import ibis
from ibis import _
from ibis.expr.types import Table

from tidegate.pricing.policy import Policy
from tidegate.revenue.quarters import QUARTER

SPANS = ibis.schema(
    {
        "unit": "string", "connection": "string", "customer": "string", "subscription": "string", "item": "string",
        "currency": "string", "starts_at": "int64", "ends_at": "int64", "mrr": "int64", "counts": "boolean",
        "price": "string", "product": "string",
    }
)  # fmt: skip
"""`unit`: whose movements they are. `counts`: it is subscribed to, be it for nothing. `ends_at` null: it goes on. Those
of an item do not overlap.
"""

WINDOWS = ibis.schema({"unit": "string", "currency": "string", "at": "int64", "moved_at": "int64"})
"""Instants of chains of changes that last longer than a movement, with the movement's last instant (`netting`)."""

QUARTERS = ibis.schema({"quarter": "int64", "day": "date"})
"""Quarters of an hour since the epoch, with the day that they belong to in the connection's time zone."""

_UNIT = ["unit", "currency"]
_ITEM = ["subscription", "item", "currency"]


def changes(spans: Table, policy: Policy) -> Table:
    """By how much each item changed at each instant, and whether it came or went (`active`: 1, -1, 0).

    `chain`: the last instant of the changes of a unit without a gap longer than a movement may last; `long`: they last
    longer than that, so that `netting` has to say which movement each change is of (`WINDOWS`).
    """
    changed = _changed(spans)
    # Where nothing is churn, who comes or goes for nothing is no change; else it tells who stays.
    kept = changed.filter(_.amount != 0 if policy.zero == "churn" else (_.amount != 0) | (_.active != 0))
    if policy.netting_seconds is None:
        return kept.mutate(chain=ibis.literal(0, "int64"), long=ibis.literal(False))
    by_unit = ibis.window(group_by=_UNIT, order_by="at")
    found = kept.mutate(before=_.at.lag().over(by_unit), after=_.at.lead().over(by_unit))
    begins = _.before.isnull() | (_.at - _.before > policy.netting_seconds)
    ends = _.after.isnull() | (_.after - _.at > policy.netting_seconds)
    found = found.mutate(begun=begins.ifelse(_.at, ibis.null("int64")), ended=ends.ifelse(_.at, ibis.null("int64")))
    found = found.mutate(first=_.begun.max().over(_up_to("at")), chain=_.ended.min().over(_from("at")))
    return found.mutate(long=_.chain - _.first > policy.netting_seconds).drop(*_CHAINING)


_CHAINING = ["before", "after", "begun", "ended", "first"]


def movements(changes: Table, windows: Table, quarters: Table, policy: Policy) -> Table:
    """The rows of table `movements`: the changes of items, each with the kind, opening and closing of its movement."""
    found = _dated(changes, windows, quarters, policy)
    before, by_then = _before("moved_at"), _up_to("moved_at")
    found = found.mutate(
        opening=ibis.coalesce(_.amount.sum().over(before), 0),
        closing=_.amount.sum().over(by_then),
        stayed=ibis.coalesce(_.active.sum().over(before), 0),
        staying=_.active.sum().over(by_then),
    )
    worth = (_.closing > 0).ifelse(_.moved_at, ibis.null("int64"))
    found = found.mutate(worth=worth).mutate(worth_since=_.worth.min().over(ibis.window(group_by=_UNIT)))
    found = found.mutate(kind=_kind(found, stays=policy.zero == "contraction")).filter(_.amount != 0)
    found = _with_day(found, quarters, "moved_at")
    amounts = {name: _bigint(found[name]) for name in ("amount", "opening", "closing")}
    return found.mutate(**amounts).select(
        "unit", "connection", "customer", *_ITEM, "at", "moved_at", "day", "kind", "amount", "opening", "closing",
        "price", "product",
    )  # fmt: skip


def compiled(policy: Policy, dialect: str) -> tuple[str, str]:
    """`changes` and `movements` as SELECTs, over tables ledger_spans, ledger_changes, ledger_windows and
    ledger_quarters.
    """
    first = changes(ibis.table(SPANS, name="ledger_spans"), policy)
    made = ibis.table(first.schema(), name="ledger_changes")
    windows, quarters = ibis.table(WINDOWS, name="ledger_windows"), ibis.table(QUARTERS, name="ledger_quarters")
    both = first, movements(made, windows, quarters, policy)
    return str(ibis.to_sql(both[0], dialect=dialect)), str(ibis.to_sql(both[1], dialect=dialect))


def _changed(spans: Table) -> Table:
    """The begin of each span against the one that ended there, and its end where no other begins."""
    by_item = ibis.window(group_by=_ITEM, order_by="starts_at")
    found = spans.mutate(active=_.counts.ifelse(1, 0).cast("int64"))
    found = found.mutate(
        old_end=_.ends_at.lag().over(by_item),
        old_mrr=_.mrr.lag().over(by_item),
        old_active=_.active.lag().over(by_item),
        next_start=_.starts_at.lead().over(by_item),
    )
    follows = (_.old_end == _.starts_at).fill_null(False)
    named = ["unit", "connection", "customer", *_ITEM, "price", "product"]
    begun = found.select(
        *named,
        at=_.starts_at,
        amount=_.mrr - follows.ifelse(_.old_mrr, 0),
        active=_.active - follows.ifelse(_.old_active, 0),
    )
    ends = found.filter(_.ends_at.notnull() & ~(_.next_start == _.ends_at).fill_null(False))
    return begun.union(ends.select(*named, at=_.ends_at, amount=-_.mrr, active=-_.active))


def _dated(changes: Table, windows: Table, quarters: Table, policy: Policy) -> Table:
    """The changes, each with the last instant of the movement that it belongs to."""
    if policy.netting_seconds is None:
        return _by_calendar(changes, quarters, month=policy.netting == "period")
    named = windows.select("unit", "currency", "at", named=_.moved_at)
    found = changes.left_join(named, [*_UNIT, "at"])
    return found.mutate(moved_at=ibis.coalesce(_.named, _.chain)).drop(
        "named", "unit_right", "currency_right", "at_right"
    )


def _by_calendar(changes: Table, quarters: Table, *, month: bool) -> Table:
    """A movement is all that changed on a day, or in a month, of the connection's time zone."""
    found = _with_day(changes, quarters, "at").mutate(span=_.day.year() * 12 + _.day.month() if month else _.day)
    same = ibis.window(group_by=[*_UNIT, "span"])
    return found.mutate(moved_at=_.at.max().over(same)).drop("span", "day", "quarter")


def _kind(moves: Table, *, stays: bool) -> Any:
    """`stays`: who is subscribed for nothing has not left (policy `zero`: contraction)."""
    rose, fell = (_.opening <= 0) & (_.closing > 0), (_.opening > 0) & (_.closing <= 0)
    before = (_.worth_since < _.moved_at).fill_null(False)
    cases: list[tuple[Any, Any]] = [(_.opening == _.closing, "transfer")]
    if stays:
        cases += [(rose & before & (_.stayed > 0), "expansion"), (fell & (_.staying > 0), "contraction")]
    cases += [(rose & before, "reactivation"), (rose, "new"), (fell, "churn"), (_.closing > _.opening, "expansion")]
    return ibis.cases(*((condition.resolve(moves), name) for condition, name in cases), else_="contraction")


def _with_day(rows: Table, quarters: Table, column: str) -> Table:
    return rows.mutate(quarter=_floor(rows[column], QUARTER)).join(quarters, "quarter")


def _up_to(by: str) -> Any:
    """Everything of a unit up to an instant, all that is of that instant included."""
    return ibis.range_window(preceding=(None, 0), group_by=_UNIT, order_by=by)


def _before(by: str) -> Any:
    return ibis.range_window(preceding=(None, 1), group_by=_UNIT, order_by=by)


def _from(by: str) -> Any:
    return ibis.range_window(following=(0, None), group_by=_UNIT, order_by=by)


def _bigint(value: Any) -> Any:
    """Sums are of a wider type on most engines; ibis takes them for bigint and would leave out the plain cast."""
    return value.cast("decimal(38, 0)").cast("int64")


def _floor(value: Any, by: int) -> Any:
    return (value // by).cast("int64")
