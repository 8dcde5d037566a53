"""Whom an error of the database is put down to."""

import psycopg
import pytest
from psycopg import errors
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolExhausted

from tidegate.store.trouble import connection_lost, of_the_data, worth_repeating


@pytest.mark.parametrize(
    ("error", "datas", "again"),
    [
        (errors.InvalidTextRepresentation(), True, False),
        (errors.UniqueViolation(), True, False),
        (errors.CheckViolation(), True, False),
        (errors.RaiseException(), True, False),
        (errors.ProgramLimitExceeded(), True, False),
        (errors.StatementTooComplex(), True, False),
        (errors.LockNotAvailable(), False, False),
        (errors.DeadlockDetected(), False, True),
        (errors.SerializationFailure(), False, True),
        (errors.QueryCanceled(), False, False),
        (errors.DiskFull(), False, False),
        (errors.OutOfMemory(), False, False),
        (errors.ReadOnlySqlTransaction(), False, False),
        (errors.AdminShutdown(), False, False),
        (errors.UndefinedTable(), False, False),
        (psycopg.OperationalError("the connection is lost"), False, False),
        (psycopg.InterfaceError("the connection is closed"), False, False),
    ],
    ids=lambda one: type(one).__name__ if isinstance(one, Exception) else "",
)
def test_errors_of_the_database(error: Exception, datas: bool, again: bool) -> None:
    """As the driver raises them, and as SQLAlchemy does."""
    for one in (error, DBAPIError("select 1", None, error)):
        assert (of_the_data(one), worth_repeating(one)) == (datas, again)


@pytest.mark.parametrize(
    ("error", "datas"), [(ValueError("no"), True), (PoolExhausted(), False), (MemoryError(), False)]
)
def test_other_errors(error: Exception, datas: bool) -> None:
    assert of_the_data(error) is datas
    assert not worth_repeating(error)
    assert not connection_lost(error)


def test_a_lost_connection() -> None:
    cause = psycopg.OperationalError("gone")
    assert connection_lost(OperationalError("select 1", None, cause, connection_invalidated=True))
    assert not connection_lost(OperationalError("select 1", None, cause))
