"""Features: what a product can do, be configured to, or count."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, select, text, update
from sqlalchemy.dialects.postgresql import insert

from tidegate.catalog import snapshot
from tidegate.catalog.keys import checked_key
from tidegate.catalog.tables import features
from tidegate.catalog.terms import FEATURE_TYPES, RESETS, Terms, read_terms
from tidegate.errors import CatalogInvalid, CatalogUnknown, ManagedByFile

LONGEST_METER = 100
"""The most characters of a meter's event name (`maxLength` of github.com/stripe/openapi)."""


def define(
    db: Connection,
    key: str,
    type_: str,
    *,
    name: str = "",
    unit: str = "",
    reset: str = "month",
    meter: str = "",
    managed_by: str = "",
) -> bool:
    """Makes a feature, or changes one; false when it is so already. Its type stays: terms and usage hang on it.
    `meter`: the event name of Stripe's meter that what is used from now on is told to; empty: none.

    Raises CatalogInvalid, ManagedByFile.
    """
    key = checked_key("feature", key)
    if type_ not in FEATURE_TYPES:
        raise CatalogInvalid(problem=f"The feature {key} has the type {type_!r}; use {', '.join(FEATURE_TYPES)}.")
    if reset not in RESETS:
        raise CatalogInvalid(problem=f"The feature {key} resets every {reset!r}; use {', '.join(RESETS)}.")
    if meter and type_ != "metered":
        raise CatalogInvalid(problem=f"The feature {key} is {type_}, and only what is metered can name a meter.")
    if len(meter) > LONGEST_METER or meter != meter.strip():
        raise CatalogInvalid(
            problem=f"The feature {key} names the meter {meter!r}; it is the event name of a meter in Stripe, at most "
            f"{LONGEST_METER} characters and none of them blank at its ends."
        )
    values = {"name": name, "type": type_, "unit": unit, "reset": reset, "meter": meter, "managed_by": managed_by}
    known = db.execute(select(features).where(features.c.key == key)).mappings().first()
    if known is not None:
        _refuse_change(known, values)
    if known is not None and all(known[column] == value for column, value in values.items()):
        return False
    db.execute(insert(features).values(key=key, **values).on_conflict_do_update(index_elements=["key"], set_=values))
    snapshot.changed(db)
    return True


def _refuse_change(known: RowMapping, values: Mapping[str, Any]) -> None:
    if known["type"] != values["type"]:
        raise CatalogInvalid(
            problem=f"The feature {known['key']} is {known['type']} and cannot become {values['type']}: terms and "
            "usage are counted in it. Make another feature."
        )
    if known["managed_by"] and not values["managed_by"]:
        raise ManagedByFile(what=f"The feature {known['key']}")


def remove(db: Connection, key: str, *, by_file: bool = False) -> None:
    """Removes a feature that nothing names. Raises CatalogUnknown, CatalogInvalid, ManagedByFile."""
    known = one(db, key)
    if known["managed_by"] and not by_file:
        raise ManagedByFile(what=f"The feature {key}")
    if used := _uses(db, key):
        raise CatalogInvalid(problem=f"The feature {key} is still named by {used}; take it out there first.")
    for statement in _FORGET:
        db.execute(statement, {"key": key})
    db.execute(delete(features).where(features.c.key == key))
    snapshot.changed(db)


def holders(db: Connection, key: str) -> list[int]:
    """The contacts (internal keys) to whom a grant or an override gives something of the feature."""
    return list(db.scalars(_HOLDERS, {"feature": key}))


def given_by(db: Connection, key: str) -> list[dict[str, Any]]:
    """What gives the feature to whoever has it: the newest versions of packages, and mappings in force, each {package,
    version, mapping, source, terms}; what it is not is None.
    """
    return [dict(row) for row in db.execute(_GIVEN_BY, {"key": key}).mappings()]


def release(db: Connection, key: str) -> None:
    """Lets the page and the API change what the file managed."""
    db.execute(update(features).where(features.c.key == key).values(managed_by=""))


def every(db: Connection) -> list[dict[str, Any]]:
    """All features, by key."""
    return [dict(row) for row in db.execute(select(features).order_by(features.c.key)).mappings()]


def one(db: Connection, key: str) -> dict[str, Any]:
    """A feature. Raises CatalogUnknown, with the nearest known key."""
    row = db.execute(select(features).where(features.c.key == key)).mappings().first()
    if row is None:
        known = list(db.scalars(select(features.c.key)))
        raise CatalogUnknown(what="feature", key=key, nearest=nearest(key, known), list="features")
    return dict(row)


def nearest(key: str, known: list[str]) -> str:
    """` Did you mean …?`, or nothing."""
    found = get_close_matches(key, known, n=1)
    return f" Did you mean {found[0]}?" if found else ""


def terms_of(db: Connection, given: Mapping[str, Any], where: str) -> dict[str, Terms]:
    """The terms that `given` says by feature. Raises CatalogUnknown, TermsInvalid."""
    return {key: read_terms(key, one(db, key)["type"], said, where) for key, said in given.items()}


def _uses(db: Connection, key: str) -> str:
    """What names a feature, as a sentence part; empty when nothing does."""
    row = db.execute(_USES, {"key": key}).one()
    named = {"package versions": row.versions, "mappings": row.mappings, "overrides": row.overrides}
    return ", ".join(f"{count:,} {what}" for what, count in named.items() if count)


# A version that nobody holds and that a newer one replaced names nothing any more.
_USES = text("""
select (select count(*) from tidegate.package_versions v where v.features ? :key and (
    v.published_at is null
    or v.version = (select max(version) from tidegate.package_versions where package = v.package
      and published_at is not null)
    or exists (select from tidegate.grants g where g.package = v.package and g.version = v.version)
    or exists (select from tidegate.overrides o
      where o.package = v.package and o.version = v.version and o.revoked_at is null))) as versions,
  (select count(*) from tidegate.mappings m where feature = :key and (
    removed_at is null or exists (select from tidegate.grants g where g.mapping = m.id))) as mappings,
  (select count(*) from tidegate.overrides where feature = :key and revoked_at is null) as overrides""")

_HOLDERS = text("""
with giving as (select package, version from tidegate.package_versions where jsonb_exists(features, :feature))
select contact from tidegate.grants g
where feature = :feature or (package, version) in (select package, version from giving)
union
select contact from tidegate.overrides
where revoked_at is null and (feature = :feature or (package, version) in (select package, version from giving))
order by 1""")

_GIVEN_BY = text("""
select v.package, v.version, null as mapping, null as source, v.features -> :key as terms
from tidegate.package_versions v
where v.features ? :key and v.version = (
  select max(version) from tidegate.package_versions n where n.package = v.package and n.published_at is not null)
union all
select null, null, m.id, coalesce(m.price, m.product), m.terms from tidegate.mappings m
where m.feature = :key and m.removed_at is null
order by 1, 4""")

_FORGET = (
    text("""
delete from tidegate.kept_mappings where mapping in (select id from tidegate.mappings where feature = :key)"""),
    text("delete from tidegate.mappings where feature = :key"),
    text("delete from tidegate.overrides where feature = :key"),
)
