"""Movements as one Ibis expression over spans, the same for every engine.

Times are epoch seconds, so that no engine's idea of time zones matters; amounts are millionths of a minor unit. Ends of
an item's spans meet the begins of others; all else is a window over the changes of a unit, in a currency, by time.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# ibis leaves most of its functions without types.

from typing import Any, NamedTuple

import ibis
from ibis import _
from ibis.expr import datatypes as dtypes
from ibis.expr import operations
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

CODED = ibis.schema(
    {
        "span": "int64", "unit": "int64", "subscription": "string", "item": "string", "currency": "string",
        "starts_at": "int64", "ends_at": "int64", "mrr": "int64", "counts": "boolean",
    }
)  # fmt: skip
"""The same, shorter: `unit` is a number for unit and currency, `span` one that stands for the rest of the row."""

QUARTERS = ibis.schema({"quarter": "int64", "day": "date"})
"""Quarters of an hour since the epoch, with the day that they belong to in the connection's time zone."""

_ITEM = ["subscription", "item", "currency"]


class _Keys(NamedTuple):
    """Columns of a table of spans, or of changes: what names a unit in a currency, and what a change tells beside."""

    unit: list[str]
    told: list[str]

    @classmethod
    def of(cls, table: Table) -> "_Keys":
        if "span" in table.columns:
            return cls(["unit"], ["span"])
        return cls(["unit", "currency"], ["connection", "customer", "subscription", "item", "price", "product"])


def windows_of(spans: ibis.Schema) -> ibis.Schema:
    """Instants of chains of changes that last longer than a movement, with the movement's last instant (`netting`)."""
    unit = _Keys.of(ibis.table(spans, name="ledger_spans")).unit
    return ibis.schema({**{name: spans[name] for name in unit}, "at": "int64", "moved_at": "int64"})


WINDOWS = windows_of(SPANS)


def changes(spans: Table, policy: Policy) -> Table:
    """By how much each item changed at each instant, and what its unit is worth after it (`stock`); where it matters,
    whether the item came or went (`active`: 1, -1, 0), and how many of the unit's are subscribed to then (`staying`).

    `begins`, `ends`: no other change of the unit is so near before, or after, that both could be of one movement.
    """
    keys = _Keys.of(spans)
    changed = _changed(spans, keys)
    # Where nothing is churn, who comes or goes for nothing is no change; else it tells who stays.
    kept: Any = changed.filter(_.amount != 0 if policy.zero == "churn" else (_.amount != 0) | (_.active != 0))
    by_unit = ibis.window(group_by=keys.unit, order_by="at")
    before, after = kept.at.lag().over(by_unit), kept.at.lead().over(by_unit)
    seconds = policy.netting_seconds
    near: dict[str, Any] = {"begins": ibis.literal(False), "ends": ibis.literal(False)}
    if seconds is not None:
        near = {"begins": ~(kept.at - before <= seconds).fill_null(False),
                "ends": ~(after - kept.at <= seconds).fill_null(False)}  # fmt: skip
    found: Any = kept.mutate(stock=_bigint(kept.amount.sum().over(_up_to(keys))), **near)
    if policy.zero == "churn":
        return found.drop("active")
    return found.mutate(staying=_bigint(found.active.sum().over(_up_to(keys))))


def chained(changes: Table, policy: Policy) -> Table:
    """The changes that are no movement by themselves. `chain`: the last instant of the changes of a unit without a gap
    longer than a movement may last; `long`: they last longer than that, so that `netting` has to say which movement
    each change is of (`windows_of`).
    """
    keys = _Keys.of(changes)
    rest = changes.filter(~(_.begins & _.ends))
    if policy.netting_seconds is None:
        return rest.mutate(chain=ibis.literal(0, "int64"), long=ibis.literal(False))
    found = rest.mutate(
        first=_.begins.ifelse(_.at, ibis.null("int64")).max().over(_up_to(keys)),
        chain=_.ends.ifelse(_.at, ibis.null("int64")).min().over(_from(keys)),
    )
    return found.mutate(long=_.chain - _.first > policy.netting_seconds).drop("first")


def movements(changes: Table, windows: Table, quarters: Table, policy: Policy) -> Table:
    """The rows of table `movements`: the changes of items, each with the kind, opening and closing of its movement."""
    keys = _Keys.of(changes)
    found = _valued(changes, _dated(changes, windows, quarters, policy), policy)
    worth = (_.closing > 0).ifelse(_.moved_at, ibis.null("int64"))
    found = found.mutate(worth_since=worth.min().over(ibis.window(group_by=keys.unit)))
    found = found.mutate(kind=_kind(found, stays=policy.zero == "contraction")).filter(_.amount != 0)
    return _with_day(found, quarters, "moved_at").select(
        *keys.told, *keys.unit, "at", "moved_at", "day", "kind", "amount", "opening", "closing"
    )


class Compiled(NamedTuple):
    """The expression as SELECTs over tables ledger_spans, ledger_changes, ledger_windows and ledger_quarters."""

    changes: str
    chained: str
    movements: str


def compiled(policy: Policy, dialect: str, of: ibis.Schema = SPANS) -> Compiled:
    """The expression for an engine, over spans of schema `SPANS` or `CODED`."""
    first = changes(ibis.table(of, name="ledger_spans"), policy)
    made = ibis.table(first.schema(), name="ledger_changes")
    windows, quarters = ibis.table(windows_of(of), name="ledger_windows"), ibis.table(QUARTERS, name="ledger_quarters")
    steps = first, chained(made, policy), movements(made, windows, quarters, policy)
    return Compiled(*(str(ibis.to_sql(step, dialect=dialect)) for step in steps))


def _changed(spans: Table, keys: _Keys) -> Table:
    """The begin of each span against the one that ended there, and its end where no other begins."""
    named = list(dict.fromkeys([*_ITEM, *keys.unit, *keys.told]))
    told = spans.mutate(active=_.counts.ifelse(1, 0).cast("int64"))
    begun = told.select(*named, "mrr", "active", at=_.starts_at)
    ended = told.filter(_.ends_at.notnull()).select(*named, "mrr", "active", at=_.ends_at)
    both = begun.outer_join(ended, [*_ITEM, "at"], rname="old_{name}")
    kept = list(dict.fromkeys([*keys.unit, *keys.told, "at"]))
    return both.select(
        **{name: ibis.coalesce(both[name], both[f"old_{name}"]) for name in kept},
        amount=_.mrr.fill_null(0) - _.old_mrr.fill_null(0),
        active=_.active.fill_null(0) - _.old_active.fill_null(0),
    )


def _dated(changes: Table, windows: Table, quarters: Table, policy: Policy) -> Table:
    """The changes that are no movement by themselves, each with the last instant of the movement that it belongs to."""
    keys, chains = _Keys.of(changes), chained(changes, policy)
    if policy.netting_seconds is None:
        return _by_calendar(changes, quarters, keys, month=policy.netting == "period")
    found = chains.left_join(windows.rename(named="moved_at"), [*keys.unit, "at"], rname="other_{name}")
    return found.mutate(moved_at=ibis.coalesce(_.named, _.chain)).select(*changes.columns, "moved_at")


def _by_calendar(changes: Table, quarters: Table, keys: _Keys, *, month: bool) -> Table:
    """A movement is all that changed on a day, or in a month, of the connection's time zone."""
    found = _with_day(changes, quarters, "at").mutate(of=_.day.year() * 12 + _.day.month() if month else _.day)
    same = ibis.window(group_by=[*keys.unit, "of"])
    return found.mutate(moved_at=_.at.max().over(same)).select(*changes.columns, "moved_at")


def _valued(changes: Table, dated: Table, policy: Policy) -> Table:
    """What a unit was worth before each movement and after it (`opening`, `closing`); where it matters, how many of its
    items were subscribed to (`stayed`, `staying`).
    """
    same = ibis.window(group_by=[*_Keys.of(changes).unit, "moved_at"])
    alone: Any = changes.filter(_.begins & _.ends).mutate(moved_at=_.at)
    rest: Any = dated

    def after(column: Any) -> Any:
        return (rest.at == rest.moved_at).ifelse(column, ibis.null("int64")).max().over(same)

    def moved(column: Any) -> Any:
        return _bigint(column.sum().over(same))

    ours = {"opening": alone.stock - alone.amount, "closing": alone.stock}
    theirs = {"opening": after(rest.stock) - moved(rest.amount), "closing": after(rest.stock)}
    if policy.zero == "contraction":
        ours |= {"stayed": alone.staying - alone.active}
        theirs |= {"stayed": after(rest.staying) - moved(rest.active), "staying": after(rest.staying)}
    found = alone.mutate(**ours)
    if policy.netting_seconds is None:
        return rest.mutate(**theirs).select(*found.columns)
    return found.union(rest.mutate(**theirs).select(*found.columns))


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


def _up_to(keys: _Keys) -> Any:
    """Everything of a unit up to an instant, all that is of that instant included."""
    return ibis.range_window(preceding=(None, 0), group_by=keys.unit, order_by="at")


def _from(keys: _Keys) -> Any:
    return ibis.range_window(following=(0, None), group_by=keys.unit, order_by="at")


def _bigint(value: Any) -> Any:
    """Sums are of a wider type on most engines; ibis takes them for bigint, and its `cast` would leave that one out."""
    return operations.Cast(value, dtypes.int64).to_expr()


def _floor(value: Any, by: int) -> Any:
    return (value // by).cast("int64")
