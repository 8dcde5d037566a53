"""Features, package versions and the catalog that they make, as values (pure)."""

from collections.abc import Mapping
from dataclasses import dataclass

from tidegate.catalog.terms import FeatureType, Reset, Terms


@dataclass(frozen=True, slots=True)
class Feature:
    """A feature of the catalog. `reset`: of a metered one, where the terms say none; `meter`: the event name of the
    meter in Stripe that its usage is told to, empty: none.
    """

    key: str
    type: FeatureType
    unit: str = ""
    reset: Reset = "month"
    name: str = ""
    meter: str = ""


@dataclass(frozen=True, slots=True)
class PackageVersion:
    """A published version of a package: what it gives of each feature. `kind`: base or add_on."""

    package: str
    version: int
    kind: str
    features: Mapping[str, Terms]


@dataclass(frozen=True, slots=True)
class Catalog:
    """What grants are read with. `default`: the newest version of the package of whoever has no base package."""

    features: Mapping[str, Feature]
    versions: Mapping[tuple[str, int], PackageVersion]
    default: PackageVersion | None = None
    revision: int = 0

    def newest(self, package: str) -> PackageVersion | None:
        """The newest published version of a package; None: there is none."""
        found = [one for (key, _), one in self.versions.items() if key == package]
        return max(found, key=lambda one: one.version, default=None)
