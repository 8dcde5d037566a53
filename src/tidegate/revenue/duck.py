"""The movements of spans by DuckDB, in memory: for rebuilds, previews and exports."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyarrow leaves its functions without types.

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from tidegate.pricing.policy import Policy
from tidegate.revenue.netting import windows
from tidegate.revenue.quarters import QUARTER, days_of

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from tidegate.revenue.expression import Compiled


def derive(db: "DuckDBPyConnection", policy: Policy, zone: ZoneInfo, into: str = "ledger_movements") -> None:
    """Makes a view of the rows of `expression.movements`, of those of table ledger_spans (`expression.SPANS`), which
    has to stay as it is.

    Units become numbers, and what a movement only repeats of its span stays there (`expression.CODED`). What Python has
    to say (days, and long chains of changes) is worked out of the changes first.
    """
    import pyarrow

    from tidegate.revenue import expression

    sql = _compiled(policy)
    db.execute(_UNITS)
    db.execute(f"create or replace temp table ledger_changes as with ledger_spans as ({_CODED}) {sql.changes}")
    quarters = db.execute(f'select distinct "at" // {QUARTER} from ledger_changes').fetchall()
    days = days_of((quarter for (quarter,) in quarters), zone)
    chains = db.execute(f"select distinct unit, '', \"at\" from ({sql.chained}) where long").fetchall()
    named = windows(chains, policy.netting_seconds or 0)

    def given(name: str, schema: Any, columns: Mapping[str, Sequence[Any]]) -> None:
        table: Any = pyarrow.table(columns, schema=schema.to_pyarrow())
        db.register("given", table)
        db.execute(f"create or replace temp table {name} as select * from given")
        db.unregister("given")

    of_window = {"unit": [one.unit for one in named], "at": [one.at for one in named]}
    of_window |= {"moved_at": [one.moved_at for one in named]}
    given("ledger_windows", expression.windows_of(expression.CODED), of_window)
    given("ledger_quarters", expression.QUARTERS, {"quarter": list(days), "day": list(days.values())})
    db.execute(f"create or replace temp table {into}_coded as {sql.movements}")
    db.execute(f"create or replace temp view {into} as {_NAMED.format(coded=f'{into}_coded')}")
    for table in ("changes", "units", "windows", "quarters"):
        db.execute(f"drop table ledger_{table}")


_UNITS = """
create or replace temp table ledger_units as
select unit, currency, row_number() over () as code from ledger_spans group by unit, currency"""

_CODED = """
select s.rowid as span, u.code as unit, s.subscription, s.item, s.currency, s.starts_at, s.ends_at, s.mrr, s.counts
from main.ledger_spans s join ledger_units u on u.unit = s.unit and u.currency = s.currency"""

_NAMED = """
select s.unit, s.connection, s.customer, s.subscription, s.item, s.currency, c."at", c.moved_at, c."day", c.kind,
  c.amount, c.opening, c.closing, s.price, s.product
from {coded} c join main.ledger_spans s on s.rowid = c.span"""


@cache
def _compiled(policy: Policy) -> "Compiled":
    from tidegate.revenue import expression

    return expression.compiled(policy, "duckdb", expression.CODED)
