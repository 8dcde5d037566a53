"""The catalog as a whole: features and published package versions, read once and kept while its revision stands."""

from typing import cast
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, text

from tidegate.catalog.contents import Catalog, Feature, PackageVersion
from tidegate.catalog.terms import FeatureType, Reset, stored_terms
from tidegate.store.driver import rows


def revision(db: Connection) -> int:
    """A number that grows with every change of the catalog."""
    return next((row.revision for row in rows(db, _REVISION, {})), 0)


def changed(db: Connection) -> None:
    """Tells every process, when the transaction commits, that the catalog is another."""
    db.execute(text("update tidegate.catalog_state set revision = revision + 1"))


def load(db: Connection) -> Catalog:
    """The catalog as it stands."""
    at = revision(db)
    features = {
        row.key: Feature(
            row.key, cast("FeatureType", row.type), row.unit, cast("Reset", row.reset), row.name, row.meter
        )
        for row in rows(db, _FEATURES, {})
    }
    versions: dict[tuple[str, int], PackageVersion] = {}
    default: PackageVersion | None = None
    for row in rows(db, _VERSIONS, {}):
        terms = {key: stored_terms(said) for key, said in row.features.items()}
        versions[row.package, row.version] = one = PackageVersion(row.package, row.version, row.kind, terms)
        if row.is_default:
            default = one
    return Catalog(features, versions, default, at)


def at(db: Connection, revision: int) -> Catalog:
    """The catalog of this revision, or a newer one, kept for the next who asks in this process.

    Not for a transaction that changes the catalog: what it sees is not what others see.
    """
    kept = _KEPT.get(db.engine)
    if kept is None or kept.revision != revision:
        _KEPT[db.engine] = kept = load(db)
    return kept


_KEPT: WeakKeyDictionary[Engine, Catalog] = WeakKeyDictionary()

_REVISION = text("select revision from tidegate.catalog_state")

_FEATURES = text("select key, type, unit, reset, name, meter from tidegate.features order by key")

_VERSIONS = text("""
select v.package, v.version, v.features, p.kind, p.is_default
from tidegate.package_versions v join tidegate.packages p on p.key = v.package
where v.published_at is not null order by v.package, v.version""")
