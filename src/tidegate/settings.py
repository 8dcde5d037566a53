"""The only reader of the environment: every setting, its default and what it is for."""

import ipaddress
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


def default_home() -> Path:
    """`~/.tidegate`; for root `/var/lib/tidegate`: PostgreSQL never runs as root, and /root is closed to others."""
    return Path("/var/lib/tidegate") if os.geteuid() == 0 else Path.home() / ".tidegate"


class Settings(BaseSettings):
    """Read from the environment: TIDEGATE_ and the field's name, or the common name where there is one."""

    model_config = SettingsConfigDict(env_prefix="TIDEGATE_", extra="ignore", populate_by_name=True)

    home: Path = Field(default_factory=default_home)
    """Folder of the embedded database, the secret key file and logs."""
    database_url: str = Field(default="", validation_alias="DATABASE_URL")
    """PostgreSQL 15 or newer, direct or session-pooled, as `postgresql://…`; empty: the embedded one under
    TIDEGATE_HOME.
    """
    secret_key: SecretStr = Field(default=SecretStr(""))
    """Encrypts credentials at rest (a Fernet key; several parted by commas while it is rotated, newest first); empty: a
    0600 file under TIDEGATE_HOME, made at first start.
    """
    stripe_api_key: SecretStr = Field(default=SecretStr(""), validation_alias="STRIPE_API_KEY")
    """Key that `tidegate connect` takes when none is given; a restricted read-only key is enough."""
    stripe_api_base: str = Field(default="")
    """Base address of Stripe's API for `tidegate connect`; empty: Stripe itself. For a sandbox or a recording proxy."""
    stripe_app_client_id: str = Field(default="")
    """Client id (`ca_…`) of your own Stripe App, by which accounts are connected without a key; empty: by key alone."""
    stripe_app_key: SecretStr = Field(default=SecretStr(""))
    """Secret key of the account that the Stripe App belongs to, of the mode in which accounts are connected."""
    stripe_app_link: str = Field(default="")
    """Install link of the Stripe App where it is not the public one, such as that of an external test."""
    stripe_connect_client_id: str = Field(default="")
    """Client id (`ca_…`) of your existing Connect platform, to connect further accounts to it by OAuth."""
    host: str = Field(default="127.0.0.1")
    """Address that `tidegate serve` binds."""
    port: int = Field(default=8420)
    """Port that `tidegate serve` binds."""
    public_url: str = Field(default="")
    """Where people find the page, such as `https://tidegate.example.com`, for links that are handed out; empty: where
    it is served.
    """
    trusted_proxies: str = Field(default="127.0.0.1,::1")
    """Addresses and networks, parted by commas, of the proxies in front of `tidegate serve`, such as `10.0.0.0/24`:
    what these say of a request's scheme and client (`X-Forwarded-Proto`, `X-Forwarded-For`) is believed.
    """
    oidc_issuer: str = Field(default="")
    """OpenID provider that people sign in with, such as `https://accounts.google.com`; empty: none. Where it sends them
    back to is TIDEGATE_PUBLIC_URL and `/login/provider/back`.
    """
    oidc_client_id: str = Field(default="")
    """What the provider knows this installation by."""
    oidc_client_secret: SecretStr = Field(default=SecretStr(""))
    """The secret that the provider gave for it."""
    oidc_domains: str = Field(default="")
    """Domains of e-mail addresses, parted by commas, whose people come in without an invitation; empty: nobody does."""
    oidc_role: str = Field(default="viewer")
    """Role of those who come in so and whose claims give none: viewer, operator, admin; empty: they stay out."""
    oidc_role_claim: str = Field(default="")
    """Claim of the provider that gives the role, such as `groups`; it holds at each signing in."""
    oidc_roles: str = Field(default="")
    """What the claim's values mean, as `VALUE=ROLE,…`; empty: they are names of roles."""
    worker_concurrency: int = Field(default=4, ge=1, le=64)
    """Background tasks that one worker runs at a time."""
    import_readers: int = Field(default=24, ge=1, le=128)
    """Pages of Stripe's lists that an import reads at a time."""
    webhook_tolerance: int = Field(default=300, ge=1)
    """Seconds that a webhook's signature may be old."""
    webhook_max_bytes: int = Field(default=2_000_000, ge=1_000)
    """Largest webhook body that is taken, in bytes."""
    poll_seconds: int = Field(default=300, ge=10)
    """How often `/v1/events` is read to catch up, in seconds."""
    sweep_hour: int = Field(default=3, ge=0, le=23)
    """Hour of the night, in the account's time zone (without one: UTC), at which every list is read again: some changes
    have no event.
    """
    inbox_attempts: int = Field(default=8, ge=1)
    """Failures after which an event is parked for a person to look at."""
    retention_inbox_days: int = Field(default=30, ge=1)
    """Days that events stay in the inbox after they were handled."""
    retention_jobs_days: int = Field(default=7, ge=1)
    """Days that finished jobs stay in the queue."""
    retention_runs_days: int = Field(default=90, ge=1)
    """Days that imports, sweeps, audits and revoked tokens stay; the last of each kind always does."""
    retention_usage_days: int = Field(default=90, ge=7)
    """Days that single debits of usage stay, with their idempotency keys; what is used in all stays counted."""
    retention_outbox_days: int = Field(default=14, ge=1)
    """Days that what the outbox tells stays, whoever has read it."""
    retention_movements_days: int = Field(default=90, ge=1)
    """Days that movements of revenue are kept once a recomputation says otherwise."""
    retention_requests_days: int = Field(default=30, ge=1)
    """Days that requests of syncs stay, with what they changed; until then a run can be taken back."""
    retention_lifecycle_days: int = Field(default=730, ge=100)
    """Days that the past of contacts stays: stages and segments that they left, scores of health, alerts that are over,
    changes of entitlements. What holds now, and open alerts, always do.
    """
    log_level: str = Field(default="WARNING")
    """Level of the log on stderr: DEBUG, INFO, WARNING or ERROR."""

    @field_validator("trusted_proxies")
    @classmethod
    def _addresses(cls, given: str) -> str:
        for one in _parted(given):
            try:
                ipaddress.ip_network(one)
            except ValueError as error:
                raise ValueError(f"{error}; give addresses and networks, such as 10.0.0.7,172.16.0.0/12") from error
        return given

    @property
    def proxies(self) -> list[str]:
        """The addresses and networks of `trusted_proxies`."""
        return _parted(self.trusted_proxies)

    @property
    def retention(self) -> dict[str, int]:
        """How many days things are kept, as `workflows.operation.retention` names them."""
        return {
            "inbox": self.retention_inbox_days,
            "jobs": self.retention_jobs_days,
            "runs": self.retention_runs_days,
            "usage": self.retention_usage_days,
            "outbox": self.retention_outbox_days,
            "movements": self.retention_movements_days,
            "requests": self.retention_requests_days,
            "lifecycle": self.retention_lifecycle_days,
        }

    @property
    def page(self) -> str:
        """The address of the page, without a slash at its end."""
        return self.public_url.rstrip("/") or f"http://{self.host}:{self.port}"

    @property
    def embedded(self) -> bool:
        """Whether the embedded database serves."""
        return not self.database_url


def _parted(given: str) -> list[str]:
    return [one.strip() for one in given.split(",") if one.strip()]


def variable(name: str) -> str:
    """The environment variable that a field of Settings is read from."""
    alias = Settings.model_fields[name].validation_alias
    return str(alias) if alias else f"TIDEGATE_{name.upper()}"


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The process's settings, read once."""
    return Settings()


def environment() -> Mapping[str, str]:
    """What `{env: NAME}` of tidegate.yaml may name: the whole environment."""
    return dict(os.environ)
