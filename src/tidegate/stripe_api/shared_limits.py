"""The pace of each limit as a row in PostgreSQL, so that all processes and machines draw from one budget.

The statements are `pace` in SQL, on the database's clock: one UPDATE is one reservation, whoever comes second waits for
the row. The table is unlogged: after a crash of the database it is empty and rows appear again as they are asked for.
"""

from typing import Any

from sqlalchemy import Engine, Row, TextClause, text
from sqlalchemy.exc import OperationalError

from tidegate.errors import DatabaseUnreachable
from tidegate.stripe_api.pace import (
    FLOOR,
    INTERACTIVE_SHARE,
    LATE,
    LONGEST_PAUSE,
    REGAINED,
    SETTLING,
    SLOWER,
    Slots,
)

# One moment for the whole statement; a wait for the row's lock makes a slot begin that much in the past, never early.
NOW = "statement_timestamp()"
RATE = f"""least(ceiling, slowed_to + ceiling * {REGAINED}
    * greatest(0, extract(epoch from {NOW} - slowed_at)::double precision))"""
SHARED = f"greatest(tat, paused_until, {NOW})"
DUE = f"greatest(case when tat >= {NOW} - {LATE} * interval '1 second' then tat else {NOW} end, paused_until)"
OWN = f"greatest(interactive_tat, paused_until, {NOW})"
THIS_ROW = "where connection = :connection and endpoint = :endpoint"
SLOTS = f"""{THIS_ROW} returning extract(epoch from granted_at - clock_timestamp())::double precision as first_in,
    1 / {RATE} as step"""

RESERVE = text(f"""
    update tidegate.rate_budget set
        granted_at = {DUE},
        tat = {DUE} + (:count / {RATE}) * interval '1 second'
    {SLOTS}""")

RESERVE_INTERACTIVE = text(f"""
    update tidegate.rate_budget set
        granted_at = least({SHARED}, {OWN}),
        interactive_tat = case when {OWN} < {SHARED}
            then {OWN} + (1 / ({RATE} * {INTERACTIVE_SHARE})) * interval '1 second' else interactive_tat end,
        tat = {SHARED} + (1 / {RATE}) * interval '1 second'
    {SLOTS}""")

UNTIL = f"{NOW} + :pause * interval '1 second'"
SETTLED = f"{NOW} > slowed_at + {SETTLING} * interval '1 second'"
SLOW = text(f"""
    update tidegate.rate_budget set
        paused_until = greatest(paused_until, {UNTIL}),
        slowed_to = case when {SETTLED} then greatest(least({FLOOR}, ceiling), {SLOWER} * {RATE}) else slowed_to end,
        slowed_at = case when {SETTLED} then {UNTIL} else slowed_at end
    {THIS_ROW} returning slowed_at = {UNTIL} as slowed""")

# A changed ceiling starts afresh: what was learned under the old one says little about the new.
OPEN = text("""
    insert into tidegate.rate_budget (connection, endpoint, ceiling, slowed_to)
    values (:connection, :endpoint, :ceiling, :ceiling)
    on conflict (connection, endpoint) do update set ceiling = excluded.ceiling, slowed_to = excluded.ceiling
    where rate_budget.ceiling <> excluded.ceiling""")


class SharedLimits:
    """The limits of one connection (`lanes.Limits`); every call is one statement on a pooled connection of its own."""

    def __init__(self, engine: Engine, connection: str) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._connection = connection
        self._opened: set[str] = set()

    def reserve(self, row: str, ceiling: float, count: int, *, interactive: bool) -> Slots:
        """See `lanes.Limits.reserve`."""
        if interactive:
            found = self._run(RESERVE_INTERACTIVE, row, ceiling, {})
        else:
            found = self._run(RESERVE, row, ceiling, {"count": float(count)})
        return Slots(found.first_in, found.step, count)

    def slow(self, row: str, ceiling: float, retry_after: float) -> bool:
        """See `lanes.Limits.slow`."""
        return bool(self._run(SLOW, row, ceiling, {"pause": min(retry_after, LONGEST_PAUSE)}).slowed)

    def _run(self, statement: TextClause, row: str, ceiling: float, values: dict[str, float]) -> Row[Any]:
        key = {"connection": self._connection, "endpoint": row}
        if row not in self._opened:
            self._execute(OPEN, {**key, "ceiling": ceiling})
            self._opened.add(row)
        if (found := self._execute(statement, {**key, **values})) is None:
            self._execute(OPEN, {**key, "ceiling": ceiling})
            found = self._execute(statement, {**key, **values})
        assert found is not None, f"rate_budget lost the row {key} it has just got"
        return found

    def _execute(self, statement: TextClause, values: dict[str, str | float]) -> Row[Any] | None:
        try:
            return self._once(statement, values)
        except OperationalError as error:
            if not error.connection_invalidated:
                raise self._explained(error) from error
        try:  # the server went away and may be back; a slot reserved twice costs one slot
            return self._once(statement, values)
        except OperationalError as error:
            raise self._explained(error) from error

    def _once(self, statement: TextClause, values: dict[str, str | float]) -> Row[Any] | None:
        with self._engine.connect() as connection:
            result = connection.execute(statement, values)
            return result.one_or_none() if result.returns_rows else None

    def _explained(self, error: OperationalError) -> Exception:
        if getattr(error.orig, "sqlstate", None) is not None and not error.connection_invalidated:
            return error
        problem = (str(error.orig).strip().splitlines() or ["no reason given"])[0]
        return DatabaseUnreachable(url=self._engine.url.render_as_string(hide_password=True), problem=problem)
