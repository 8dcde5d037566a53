"""What is wrong with the database, and with queries that people write."""

from tidegate.errors.base import TidegateError, Unreachable, UsageError
from tidegate.errors.installation import ConfigurationError


class EmbeddedServerError(ConfigurationError):
    """The embedded PostgreSQL under {home} could not be used: {problem} {remedy}"""


class EmbeddedServerFull(EmbeddedServerError):
    """The embedded PostgreSQL under {home} has no room on its disk: {problem} Make room there, or move the folder to a
    larger disk and set TIDEGATE_HOME. What was stored stays, and the next command goes on with it.
    """


class EmbeddedServerLost(Unreachable):
    """The embedded PostgreSQL under {home} was lost: {problem}. {remedy} What was stored stays, and the next command
    starts it again.
    """


class DatabaseTooOld(ConfigurationError):
    """The database is PostgreSQL {version}; Tidegate needs 15 or newer. Point DATABASE_URL at a newer server, or
    unset it to use the embedded one.
    """


class TransactionPooling(ConfigurationError):
    """The database at {url} is reached through a transaction-pooling proxy, which loses locks and temporary tables
    between statements. Point DATABASE_URL at the server itself or at a session-pooled port.
    """


class MigrationNeeded(ConfigurationError):
    """The database schema is at {found}, this program needs {wanted}. Run `tidegate migrate`."""


class SchemaTooNew(ConfigurationError):
    """The database was migrated by a newer Tidegate (it asks for {oldest_code} or newer, this is {version}). Upgrade
    this installation.
    """


class DatabaseBusy(TidegateError):
    """The database could not store {what}: {problem} (tried {tries} times). Another session holds these rows locked;
    `select * from pg_stat_activity` shows which. What was stored until then stays, and the work goes on when it is
    tried again.
    """


class ContactsBusy(DatabaseBusy):
    """Contacts are being changed by another command, which takes its time, so nothing was done. Try again in a moment;
    `tidegate status` and `select * from pg_stat_activity` show what runs.
    """


class DatabaseUnreachable(Unreachable):
    """The database at {url} could not be reached: {problem}. Check that the server runs and that DATABASE_URL is
    right.
    """


class DatabaseFull(Unreachable):
    """The database at {url} has no room on its disk: {problem}. Make room there and run the command again: what was
    stored stays, and it goes on from there.
    """


class NotReadOnly(UsageError):
    """Only reading is allowed here: {problem}"""


class ReaderRefused(UsageError):
    """No log-in with the rights of the role tidegate_reader can be had: {problem}"""


class QueryRefused(UsageError):
    """The query failed: {problem}"""
