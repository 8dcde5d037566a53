"""What suggestions are made of: products and prices as they are subscribed to, and what is proposed of them (pure)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class PriceSeen:
    """A price with the live subscriptions that have it. `interval` is empty for what is sold once; `amount` is in minor
    units, None with tiers; `mapped`: it has a mapping of its own, or is ignored.
    """

    id: str
    active: bool = True
    currency: str = "usd"
    interval: str = "month"
    interval_count: int = 1
    amount: int | None = None
    nickname: str = ""
    lookup_key: str = ""
    metered: bool = False
    mapped: bool = False
    subscriptions: int = 0
    customers: int = 0
    contacts: int = 0


@dataclass(frozen=True, slots=True)
class ProductSeen:
    """A product with the live subscriptions that have it: in how many it is `alone`, in how many it `leads` the others,
    in how many its quantity is above 1 (`many`). `given`: Stripe's own features of it, as (lookup key, name).
    """

    id: str
    name: str
    active: bool = True
    unit_label: str = ""
    mapped: bool = False
    subscriptions: int = 0
    customers: int = 0
    contacts: int = 0
    alone: int = 0
    leads: int = 0
    many: int = 0
    prices: tuple[PriceSeen, ...] = ()
    given: tuple[tuple[str, str], ...] = ()

    @property
    def recurring(self) -> list[PriceSeen]:
        """Its prices that a subscription may have."""
        return [one for one in self.prices if one.interval]


@dataclass(frozen=True, slots=True)
class Known:
    """What the catalog has: the types of features by key, and the keys of packages that are published."""

    features: Mapping[str, str] = field(default_factory=dict[str, str])
    packages: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A proposal. `features`, `package` and `mappings` are entries as tidegate.yaml has them; what the catalog has
    already is left out. The counts are of live subscriptions that it covers.
    """

    kind: Literal["package", "feature"]
    key: str
    why: str
    mappings: tuple[dict[str, Any], ...]
    features: tuple[dict[str, Any], ...] = ()
    package: dict[str, Any] | None = None
    subscriptions: int = 0
    customers: int = 0
    contacts: int = 0

    @property
    def name(self) -> str:
        """What it is accepted by: `package:pro`."""
        return f"{self.kind}:{self.key}"


@dataclass(frozen=True, slots=True)
class Left:
    """What is subscribed to and not judged, a product or one price `of` it: a person has to say what it is."""

    id: str
    name: str
    why: str
    subscriptions: int
    of: Literal["product", "price"] = "product"
