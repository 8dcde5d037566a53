"""Movements as one Ibis expression over spans, the same for every engine.

Times are epoch seconds, so that no engine's idea of time zones matters; amounts are millionths of a minor unit.
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
"""`unit`: whose movements they are. `counts`: it is subscribed to, be it for nothing. `ends_at` null: it goes on."""

WINDOWS = ibis.schema({"unit": "string", "currency": "string", "at": "int64", "moved_at": "int64"})
"""Instants of chains of changes that last longer than a movement, with the movement's last instant (`netting`)."""

QUARTERS = ibis.schema({"quarter": "int64", "day": "date"})
"""Quarters of an hour since the epoch, with the day that they belong to in the connection's time zone."""

_UNIT = ["unit", "currency"]
_INSTANT = [*_UNIT, "at"]
_ITEM = ["unit", "connection", "customer", "subscription", "item", "currency", "at"]


def movements(spans: Table, windows: Table, quarters: Table, policy: Policy) -> Table:
    """The rows of table `movements`: the changes of items, each with the kind, opening and closing of its movement."""
    changes = _changes(spans)
    instants = _dated(_instants(changes, policy), windows, quarters, policy)
    moves = _classified(instants, policy)
    rows = changes.filter(_.amount != 0).join(
        instants.select("unit", "currency", "at", "moved_at"), ["unit", "currency", "at"]
    )
    rows = rows.join(moves, ["unit", "currency", "moved_at"])
    rows = _with_day(rows, quarters, "moved_at")
    amounts = {name: _bigint(rows[name]) for name in ("amount", "opening", "closing")}
    return rows.mutate(**amounts).select(
        *_ITEM, "moved_at", "day", "kind", "amount", "opening", "closing", "price", "product"
    )


def instants(spans: Table, policy: Policy) -> Table:
    """The instants at which a unit changed. `long`: they belong to a chain without a gap that lasts longer than a
    movement may, so that `netting` has to say which movement each is of (`WINDOWS`).
    """
    chained = _chained(_instants(_changes(spans), policy), policy)
    chain = ibis.window(group_by=[*_UNIT, "chain"])
    lasts = _.at.max().over(chain) - _.at.min().over(chain)
    return chained.select("unit", "currency", "at", long=lasts > (policy.netting_seconds or 0))


def compiled(policy: Policy, dialect: str) -> tuple[str, str]:
    """`instants` and `movements` as SELECTs over tables ledger_spans, ledger_windows and ledger_quarters."""
    spans, windows, quarters = (
        ibis.table(schema, name=name)
        for schema, name in ((SPANS, "ledger_spans"), (WINDOWS, "ledger_windows"), (QUARTERS, "ledger_quarters"))
    )
    both = instants(spans, policy), movements(spans, windows, quarters, policy)
    return str(ibis.to_sql(both[0], dialect=dialect)), str(ibis.to_sql(both[1], dialect=dialect))


def _changes(spans: Table) -> Table:
    """By how much each item changed at each instant; `active`: whether it came or went."""
    key = ["unit", "connection", "customer", "subscription", "item", "currency"]
    begun = spans.select(
        *key, at=_.starts_at, delta=_.mrr, active=_.counts.ifelse(1, 0).cast("int64"), begins=ibis.literal(True),
        price=_.price, product=_.product,
    )  # fmt: skip
    ended = spans.filter(_.ends_at.notnull()).select(
        *key, at=_.ends_at, delta=-_.mrr, active=_.counts.ifelse(-1, 0).cast("int64"), begins=ibis.literal(False),
        price=_.price, product=_.product,
    )  # fmt: skip
    both = begun.union(ended)
    return both.group_by(_ITEM).aggregate(
        amount=_.delta.sum(),
        active=_.active.sum(),
        price=ibis.coalesce(_.price.max(where=_.begins), _.price.max()),
        product=ibis.coalesce(_.product.max(where=_.begins), _.product.max()),
    )


def _instants(changes: Table, policy: Policy) -> Table:
    """The instants at which a unit changed, and by how much in all."""
    found = changes.group_by(_INSTANT).aggregate(
        net=_.amount.sum(),
        active=_.active.sum(),
        changed=(_.amount != 0).any(),
    )
    # Where nothing is churn, who comes or goes for nothing is no change; else it tells who stays.
    return found.filter(_.changed) if policy.zero == "churn" else found.filter(_.changed | (_.active != 0))


def _chained(instants: Table, policy: Policy) -> Table:
    """The instants with the number of the chain that each belongs to: without a gap longer than a movement may last."""
    by_unit = ibis.window(group_by=_UNIT, order_by="at")
    found = instants.mutate(gap=_.at - _.at.lag().over(by_unit))
    found = found.mutate(begins=(_.gap.isnull() | (_.gap > (policy.netting_seconds or 0))).ifelse(1, 0))
    return found.mutate(chain=_.begins.sum().over(ibis.cumulative_window(group_by=_UNIT, order_by="at")))


def _dated(instants: Table, windows: Table, quarters: Table, policy: Policy) -> Table:
    """The instants, each with the last instant of the movement that it belongs to."""
    if policy.netting_seconds is None:
        return _by_calendar(instants, quarters, month=policy.netting == "period")
    chain = ibis.window(group_by=[*_UNIT, "chain"])
    found = _chained(instants, policy).mutate(last=_.at.max().over(chain))
    named = windows.select("unit", "currency", "at", named=_.moved_at)
    found = found.left_join(named, _INSTANT)
    return found.select("unit", "currency", "at", "net", "active", "changed", moved_at=ibis.coalesce(_.named, _.last))


def _by_calendar(instants: Table, quarters: Table, *, month: bool) -> Table:
    """A movement is all that changed on a day, or in a month, of the connection's time zone."""
    found = _with_day(instants, quarters, "at").mutate(span=_.day.year() * 12 + _.day.month() if month else _.day)
    same = ibis.window(group_by=[*_UNIT, "span"])
    found = found.mutate(moved_at=_.at.max().over(same))
    return found.select("unit", "currency", "at", "net", "active", "changed", "moved_at")


def _with_day(rows: Table, quarters: Table, column: str) -> Table:
    return rows.mutate(quarter=_floor(rows[column], QUARTER)).join(quarters, "quarter")


def _classified(instants: Table, policy: Policy) -> Table:
    """Movements of each unit and currency with their kind, opening and closing."""
    moves = instants.group_by(["unit", "currency", "moved_at"]).aggregate(
        net=_.net.sum(), active=_.active.sum(), changed=_.changed.any()
    )
    so_far = ibis.cumulative_window(group_by=_UNIT, order_by="moved_at")
    moves = moves.mutate(closing=_.net.sum().over(so_far), staying=_.active.sum().over(so_far))
    moves = moves.mutate(opening=_.closing - _.net, stayed=_.staying - _.active)
    moves = moves.mutate(highest=_.opening.max().over(so_far))
    kind = _kind(moves, stays=policy.zero == "contraction")
    return moves.filter(_.changed).select("unit", "currency", "moved_at", "opening", "closing", kind=kind)


def _kind(moves: Table, *, stays: bool) -> Any:
    """`stays`: who is subscribed for nothing has not left (policy `zero`: contraction)."""
    rose, fell = (_.opening <= 0) & (_.closing > 0), (_.opening > 0) & (_.closing <= 0)
    before = _.highest > 0
    cases: list[tuple[Any, Any]] = [(_.net == 0, "transfer")]
    if stays:
        cases += [(rose & before & (_.stayed > 0), "expansion"), (fell & (_.staying > 0), "contraction")]
    cases += [(rose & before, "reactivation"), (rose, "new"), (fell, "churn"), (_.net > 0, "expansion")]
    return ibis.cases(*((condition.resolve(moves), name) for condition, name in cases), else_="contraction")


def _bigint(value: Any) -> Any:
    """Sums are of a wider type on most engines; ibis takes them for bigint and would leave out the plain cast."""
    return value.cast("decimal(38, 0)").cast("int64")


def _floor(value: Any, by: int) -> Any:
    return (value // by).cast("int64")
