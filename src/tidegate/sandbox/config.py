"""What a sandbox is started with, checked when it is made."""

from dataclasses import dataclass, field
from typing import Literal

from tidegate.errors import ConfigurationError
from tidegate.sandbox.clock import add_interval
from tidegate.sandbox.old_versions import VERSIONS
from tidegate.sandbox.state import API_VERSION

DEFAULT_AS_OF = 1_788_220_800
"""2026-09-01T00:00:00Z in UTC epoch seconds: the instant at which a sandbox's clock stands unless told otherwise."""

DEFAULT_KEY = "sk_test_51TidegateSandboxOpenKey00000000"
LIVE_KEY = "sk_live_51TidegateSandboxOpenKey00000000"
FAULT_KINDS = ("429", "500", "reset", "truncate", "slow")


@dataclass(frozen=True)
class SandboxConfig:
    """How large the simulated company is and how its API behaves.

    `as_of` is where the sandbox's clock starts (UTC epoch seconds); `months` is how much history lies before it.
    `latency` is in seconds. `rate` and `endpoint_rate` are requests per second, None for no limit. Profile "company"
    is a history of a small software company; "bulk" holds exactly the given numbers of customers, subscriptions and
    invoices beside one product and one price. `livemode` makes it a live account, of which a key of test mode sees
    nothing; without `activated` Stripe has not cleared it to take payments. `events_version` is the API version that
    /v1/events tells events in. `connected` is how many accounts are connected to it as to a Connect platform, each a
    small company of its own. `key` is the open one of its mode unless given. With `ahead` so many months of the history
    are still to come: the clock starts that much before `as_of`, and the company has no test clock.

    Raises ConfigurationError for values that make no sense.
    """

    port: int = 0
    customers: int = 300
    months: int = 12
    seed: int = 1
    as_of: int = DEFAULT_AS_OF
    latency: float = 0.0
    rate: float | None = None
    endpoint_rate: float | None = None
    faults: str = ""
    profile: Literal["company", "bulk"] = "company"
    subscriptions: int = 0
    invoices: int = 0
    lines_per_invoice: int = 2
    key: str = ""
    ahead: int = 0
    livemode: bool = False
    activated: bool = True
    events_version: str = API_VERSION
    connected: int = 0
    fault_rates: dict[str, float] = field(default_factory=dict[str, float], init=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("port", "customers", "months", "latency", "subscriptions", "invoices", "connected", "ahead"):
            if getattr(self, name) < 0:
                raise ConfigurationError(
                    problem=f"The sandbox's {name} must not be negative, got {getattr(self, name)}."
                )
        if self.ahead > self.months:
            raise ConfigurationError(
                problem=f"Of the sandbox's {self.months} months of history {self.ahead} cannot be ahead."
            )
        for name in ("rate", "endpoint_rate"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ConfigurationError(
                    problem=f"The sandbox's {name} must be above 0 requests a second, got {value}."
                )
        if not 1 <= self.lines_per_invoice <= 250:
            raise ConfigurationError(
                problem=f"The sandbox's lines_per_invoice must be 1 to 250, got {self.lines_per_invoice}."
            )
        if self.profile not in ("company", "bulk"):
            raise ConfigurationError(problem=f"The sandbox has the profiles company and bulk, not {self.profile}.")
        check_version(self.events_version, "--events-version")
        if f"_{'test' if self.livemode else 'live'}_" in self.key[:8]:
            raise ConfigurationError(
                problem=f"The key {self.key[:8]}… is not of the account's mode, {'live' if self.livemode else 'test'}."
            )
        if not self.key:
            object.__setattr__(self, "key", LIVE_KEY if self.livemode else DEFAULT_KEY)
        self.fault_rates.update(parse_faults(self.faults))

    @property
    def starts(self) -> int:
        """Where the clock starts, UTC epoch seconds."""
        return add_interval(self.as_of, "month", -self.ahead)


def check_version(version: str, where: str) -> None:
    """Passes for an API version that the sandbox tells events in. Raises ConfigurationError naming those it knows."""
    if version not in VERSIONS:
        raise ConfigurationError(
            problem=f"{where}: the sandbox tells events in the API versions {' and '.join(VERSIONS)}, not {version!r}."
        )


def parse_faults(text: str) -> dict[str, float]:
    """The probability of each fault in `429=0.05,500=0.02,reset=0.01,truncate=0.01,slow=0.01`, each from 0 to 1.

    Raises ConfigurationError naming the part that is wrong.
    """
    rates: dict[str, float] = {}
    known = ", ".join(FAULT_KINDS)
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        kind, equals, number = part.partition("=")
        if kind not in FAULT_KINDS or not equals:
            raise ConfigurationError(
                problem=f"--faults does not understand {part!r}: write KIND=PROBABILITY, KIND one of {known}."
            )
        if kind in rates:
            raise ConfigurationError(problem=f"--faults names {kind} twice.")
        try:
            rates[kind] = float(number)
        except ValueError:
            raise ConfigurationError(problem=f"--faults needs a number for {kind}, got {number!r}.") from None
        if not 0 <= rates[kind] <= 1:
            raise ConfigurationError(problem=f"--faults needs a probability from 0 to 1 for {kind}, got {number}.")
    if sum(rates.values()) > 1:
        raise ConfigurationError(problem="The probabilities of --faults add up to more than 1.")
    return rates
