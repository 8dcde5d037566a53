"""Whose fault an error of the database is: that of the data it was given, or the database's own."""

import psycopg
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

OF_THE_DATA = ("22", "23", "54", "P0")
"""Classes of SQLSTATE: data exceptions, broken constraints, more than the server can hold (such as JSON nested too
deeply), and what a trigger raises (postgresql.org/docs/current/errcodes-appendix.html).
"""
TRANSACTION_ROLLED_BACK = "40"
"""Deadlocks and the like."""


def connection_lost(error: BaseException) -> bool:
    """Whether the connection is gone, so that nothing more can be done in its transaction."""
    return isinstance(error, DBAPIError) and error.connection_invalidated


def of_the_data(error: BaseException) -> bool:
    """Whether the same data would fail again on a sound database; so is every error that is not the database's.

    False for locks, deadlocks, time-outs, a full disk, a missing table, a pool without a free connection.
    """
    if (state := _sqlstate(error)) is not None:
        return state[:2] in OF_THE_DATA
    return not isinstance(error, SQLAlchemyError | psycopg.OperationalError | psycopg.InterfaceError | MemoryError)


def worth_repeating(error: BaseException) -> bool:
    """Whether the transaction only stood in the way of another one, and may be repeated at once."""
    return (_sqlstate(error) or "").startswith(TRANSACTION_ROLLED_BACK)


def _sqlstate(error: BaseException) -> str | None:
    """What PostgreSQL called the error; None when it did not come from there."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return cause.sqlstate if isinstance(cause, psycopg.Error) else None
