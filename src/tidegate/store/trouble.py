"""Whose fault an error of the database is: that of the data it was given, or the database's own."""

from collections.abc import Callable
from typing import TypeVar

import psycopg
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from tidegate.errors import DatabaseBusy

T = TypeVar("T")

OF_THE_DATA = ("22", "23", "54", "P0")
"""Classes of SQLSTATE: data exceptions, broken constraints, more than the server can hold (such as JSON nested too
deeply), and what a trigger raises (postgresql.org/docs/current/errcodes-appendix.html).
"""
TRANSACTION_ROLLED_BACK = "40"
"""Deadlocks and the like."""
LOCK_NOT_AVAILABLE = "55P03"
"""Another transaction held a row for longer than `lock_timeout`."""
CANCELED = "57014"
"""A statement ended by `statement_timeout`, or by somebody's hand."""
NUL = {"22021", "22P05"}
"""Text and JSON with a NUL; the driver itself refuses the former before the server sees it, without a state."""
OUT_OF_RANGE = {"22003", "22008"}
"""A number, or a time, beyond what its column can hold."""
TRIES = 3


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


def held_by_others(error: BaseException) -> bool:
    """Whether others held a lock for longer than this transaction wanted to wait."""
    return _sqlstate(error) == LOCK_NOT_AVAILABLE


def took_too_long(error: BaseException) -> bool:
    """Whether a statement was ended since it ran longer than its session lets statements run."""
    return _sqlstate(error) == CANCELED


def was_given_nul(error: BaseException) -> bool:
    """Whether what the database was asked has a NUL in it: whoever asked said so, for it can store none."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return isinstance(cause, psycopg.DataError) and (cause.sqlstate in NUL or "NUL (0x00)" in str(cause))


def was_out_of_range(error: BaseException) -> bool:
    """Whether a number or a time that the database was given is beyond all that there can be."""
    return _sqlstate(error) in OUT_OF_RANGE


def has_too_many_digits(error: BaseException) -> bool:
    """Whether a number that was given is longer than Python reads any (4,300 digits), which no number of ours is."""
    return isinstance(error, ValueError) and "integer string conversion" in str(error)


def repeated(transaction: Callable[[], T], what: str, tries: int = TRIES) -> T:
    """Runs a transaction that stores `what`, again when others stood in its way: deadlocks, rows that stay locked.

    Raises DatabaseBusy when they do so every time, and every other error as it is.
    """
    for left in reversed(range(tries)):
        try:
            return transaction()
        except DBAPIError as error:
            if not worth_repeating(error) and not held_by_others(error):
                raise
            if not left:
                raise DatabaseBusy(what=what, problem=told(error), tries=tries) from error
    raise ValueError(f"a transaction needs one try at least, not {tries}")


def told(error: BaseException) -> str:
    """An error in one line: of the database's the server's own first line, without the statement and what it was given,
    which may be anybody's data.
    """
    if isinstance(error, DBAPIError) and error.orig:
        return (str(error.orig).strip().splitlines() or [type(error.orig).__name__])[0]
    return " ".join(str(error).split()) or type(error).__name__


def _sqlstate(error: BaseException) -> str | None:
    """What PostgreSQL called the error; None when it did not come from there."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return cause.sqlstate if isinstance(cause, psycopg.Error) else None
