"""The movements of spans by DuckDB, in memory: for rebuilds, previews and exports."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyarrow leaves its functions without types.

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from tidegate.pricing.policy import Policy
from tidegate.revenue.netting import Window, windows
from tidegate.revenue.quarters import QUARTER, days_of

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def derive(db: "DuckDBPyConnection", policy: Policy, zone: ZoneInfo, into: str = "ledger_movements") -> None:
    """Writes the rows of `expression.movements` into a new table, of those of table ledger_spans (`expression.SPANS`).

    What Python has to say (days, and long chains of changes) is worked out of the spans first.
    """
    import pyarrow

    from tidegate.revenue import expression

    changes, movements = _compiled(policy)
    db.execute(f"create or replace temp table ledger_changes as {changes}")
    quarters = db.execute(f'select distinct "at" // {QUARTER} from ledger_changes').fetchall()
    days = days_of((quarter for (quarter,) in quarters), zone)
    chains = db.execute('select distinct unit, currency, "at" from ledger_changes where long').fetchall()
    named = windows(chains, policy.netting_seconds or 0)

    def given(name: str, schema: Any, columns: Mapping[str, Sequence[Any]]) -> None:
        table: Any = pyarrow.table(columns, schema=schema.to_pyarrow())
        db.register("given", table)
        db.execute(f"create or replace temp table {name} as select * from given")
        db.unregister("given")

    of_window = {name: [one[place] for one in named] for place, name in enumerate(Window._fields)}
    given("ledger_windows", expression.WINDOWS, of_window)
    given("ledger_quarters", expression.QUARTERS, {"quarter": list(days), "day": list(days.values())})
    db.execute(f"create or replace temp table {into} as {movements}")
    db.execute("drop table ledger_changes; drop table ledger_windows; drop table ledger_quarters")


@cache
def _compiled(policy: Policy) -> tuple[str, str]:
    from tidegate.revenue import expression

    return expression.compiled(policy, "duckdb")
