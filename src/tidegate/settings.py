"""The only reader of the environment: every setting, its default and what it is for."""

import os
from functools import lru_cache
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


def default_home() -> Path:
    """`~/.tidegate`; for root `/var/lib/tidegate`: PostgreSQL never runs as root, and /root is closed to others."""
    return Path("/var/lib/tidegate") if os.geteuid() == 0 else Path.home() / ".tidegate"


class Settings(BaseSettings):
    """Read from the environment, names without prefix where the field has a common one."""

    model_config = SettingsConfigDict(extra="ignore", populate_by_name=True)

    home: Path = Field(default_factory=default_home, validation_alias="TIDEGATE_HOME")
    """Folder of the embedded database, the secret key file and logs."""
    database_url: str = Field(default="", validation_alias="DATABASE_URL")
    """PostgreSQL 15 or newer, direct or session-pooled, as `postgresql://…`; empty: the embedded one under
    TIDEGATE_HOME.
    """
    secret_key: SecretStr = Field(default=SecretStr(""), validation_alias="TIDEGATE_SECRET_KEY")
    """Encrypts credentials at rest (a Fernet key); empty: a 0600 file under TIDEGATE_HOME, made at first start."""
    stripe_api_key: SecretStr = Field(default=SecretStr(""), validation_alias="STRIPE_API_KEY")
    """Key that `tidegate connect` takes when none is given; a restricted read-only key is enough."""
    stripe_api_base: str = Field(default="", validation_alias="TIDEGATE_STRIPE_API_BASE")
    """Base address of Stripe's API for `tidegate connect`; empty: Stripe itself. For a sandbox or a recording proxy."""
    host: str = Field(default="127.0.0.1", validation_alias="TIDEGATE_HOST")
    """Address that `tidegate serve` binds."""
    port: int = Field(default=8420, validation_alias="TIDEGATE_PORT")
    """Port that `tidegate serve` binds."""
    worker_concurrency: int = Field(default=4, ge=1, le=64, validation_alias="TIDEGATE_WORKER_CONCURRENCY")
    """Background tasks that one worker runs at a time."""
    import_readers: int = Field(default=24, ge=1, le=128, validation_alias="TIDEGATE_IMPORT_READERS")
    """Pages of Stripe's lists that an import reads at a time."""
    webhook_tolerance: int = Field(default=300, ge=1, validation_alias="TIDEGATE_WEBHOOK_TOLERANCE")
    """Seconds that a webhook's signature may be old."""
    webhook_max_bytes: int = Field(default=2_000_000, ge=1_000, validation_alias="TIDEGATE_WEBHOOK_MAX_BYTES")
    """Largest webhook body that is taken, in bytes."""
    poll_seconds: int = Field(default=300, ge=10, validation_alias="TIDEGATE_POLL_SECONDS")
    """How often `/v1/events` is read to catch up, in seconds."""
    inbox_attempts: int = Field(default=8, ge=1, validation_alias="TIDEGATE_INBOX_ATTEMPTS")
    """Failures after which an event is parked for a person to look at."""
    log_level: str = Field(default="WARNING", validation_alias="TIDEGATE_LOG_LEVEL")
    """Level of the log on stderr: DEBUG, INFO, WARNING or ERROR."""

    @property
    def embedded(self) -> bool:
        """Whether the embedded database serves."""
        return not self.database_url


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The process's settings, read once."""
    return Settings()
