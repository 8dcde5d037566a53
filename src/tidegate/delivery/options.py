"""What every destination may say of itself; each kind adds its own."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

Mode = Literal["live", "test", "both"]


class Options(BaseModel):
    """A destination. `events`: patterns of what it is sent, such as `billing_event.*`, or
    `billing_event.recorded:Subscription Billed` for those of one name; `properties`: what of contacts is kept in sync
    with it; `rename`: names of events and properties, as they are called there; `mode`: of which contacts, where live
    and test data meet.

    `rate`: requests a second at most; `in_flight`: requests at a time; `timeout`: seconds; `retry_days`: after which
    one message that fails while others pass is given up; `pause_days`: after which a destination at which all fail is
    paused; `allow_private`: it may be on a private network or on this machine.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    secret: ClassVar[frozenset[str]] = frozenset()
    """Options that are encrypted and never shown."""
    required_scheme: ClassVar[tuple[str, ...]] = ("https", "http")

    events: tuple[str, ...] | None = None
    properties: tuple[str, ...] | None = None
    rename: Mapping[str, str] = Field(default_factory=dict[str, str])
    mode: Mode | None = None
    rate: float | None = Field(default=None, gt=0, le=10_000)
    in_flight: int = Field(default=8, ge=1, le=64)
    timeout: float = Field(default=15, gt=0, le=120)
    retry_days: float = Field(default=3, gt=0, le=3660)
    pause_days: float = Field(default=3, gt=0, le=3660)
    allow_private: bool = False

    @field_validator("events", "properties", mode="before")
    @classmethod
    def _listed(cls, said: Any) -> Any:
        return (said,) if isinstance(said, str) else said

    def called(self, name: str) -> str:
        """What a name is called there."""
        return self.rename.get(name, name)

    def renamed(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Properties by what they are called there."""
        return {self.called(name): value for name, value in values.items()}


class HttpOptions(Options):
    """A destination with a URL of yours."""

    url: str

    @field_validator("url")
    @classmethod
    def _plain(cls, url: str) -> str:
        return checked_url(url)


def checked_url(url: str) -> str:
    """A URL that can be spoken to. Raises ValueError."""
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("a URL begins with https:// (or http://) and a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError(
            "a URL holds no user or password, for it is shown; say an Authorization header under `headers`"
        )
    if parts.fragment:
        raise ValueError("a URL that is sent to has no # part")
    _ = parts.port  # raises ValueError
    return url


def pattern_of(events: Sequence[str]) -> str:
    """Patterns as one regular expression that PostgreSQL understands; empty for none."""
    return "|".join(f"^{_translated(one)}$" for one in events)


def wants(events: Sequence[str], type_: str, name: str = "") -> bool:
    """Whether one of the patterns fits what is told."""
    pattern = pattern_of(events)
    return bool(pattern) and any(re.search(pattern, said) for said in (type_, f"{type_}:{name}"))


def _translated(glob: str) -> str:
    return "".join(".*" if one == "*" else "." if one == "?" else re.escape(one) for one in glob)
