"""What is wrong with this installation: its settings, its folder, its address, what it can take right now."""

from tidegate.errors.base import TidegateError, Unreachable, UsageError


class ConfigurationError(UsageError):
    """{problem}"""


class SecretKeyLost(ConfigurationError):
    """The stored credential of {what} cannot be decrypted with the secret key of {file}. If that was changed, or
    TIDEGATE_SECRET_KEY was set or unset since, put the old key back; if it is lost, run
    `tidegate connect --name {what}` with the Stripe key again: nothing else depends on it.
    """


class AssetMissing(ConfigurationError):
    """The page's assets are not built: {path} is missing. Run `make assets`, or install a released package, which
    contains them.
    """


class PortTaken(ConfigurationError):
    """The address {host}:{port} cannot be served: {problem}. Choose another with `--host` and `--port`, or set
    TIDEGATE_HOST and TIDEGATE_PORT.
    """


class PostgresProgramsMissing(ConfigurationError):
    """This needs pg_dump and psql of PostgreSQL {version} or newer, and neither the package of the embedded server has
    them here nor are they on the path. Install them (Debian: `apt install postgresql-client-{version}`).
    """


class BackupFailed(TidegateError):
    """There is no backup at {file}: {problem}. Mend that and run `tidegate backup` again."""


class BackupUnreadable(UsageError):
    """{file} cannot be restored: {problem}"""


class RestoreRefused(UsageError):
    """Nothing was restored: {problem}"""


class RestoreFailed(TidegateError):
    """{file} was not restored, and the database stays as it was: {problem}."""


class HubBusy(Unreachable):
    """The request was not taken: {problem}. Nothing was done; send it again."""
