"""Packages and their versions: drafted, published, and held by subscriptions until they are migrated."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select, text
from sqlalchemy.dialects.postgresql import insert

from tidegate.catalog import snapshot
from tidegate.catalog.features import nearest, terms_of
from tidegate.catalog.keys import checked_key
from tidegate.catalog.prices import checked_prices
from tidegate.catalog.tables import packages
from tidegate.errors import CatalogInvalid, CatalogUnknown, ManagedByFile

KINDS = ("base", "add_on")


def define(
    db: Connection,
    key: str,
    *,
    name: str = "",
    kind: str = "base",
    is_default: bool = False,
    prices: Sequence[Mapping[str, Any]] = (),
    managed_by: str = "",
) -> bool:
    """Makes a package without a version, or changes what all its versions share; false when it is so already.

    Raises CatalogInvalid, ManagedByFile.
    """
    key = checked_key("package", key)
    if kind not in KINDS:
        raise CatalogInvalid(problem=f"The package {key} has the kind {kind!r}; use {' or '.join(KINDS)}.")
    if is_default and kind != "base":
        raise CatalogInvalid(problem=f"The package {key} is an add-on; only a base package can be the default.")
    values: dict[str, Any] = {
        "name": name,
        "kind": kind,
        "is_default": is_default,
        "prices": checked_prices(key, prices),
        "managed_by": managed_by,
    }
    known = db.execute(select(packages).where(packages.c.key == key)).mappings().first()
    if known is not None and known["managed_by"] and not managed_by:
        raise ManagedByFile(what=f"The package {key}")
    if known is not None and all(known[column] == value for column, value in values.items()):
        return False
    if is_default:
        db.execute(text("update tidegate.packages set is_default = false where is_default and key <> :k"), {"k": key})
    db.execute(insert(packages).values(key=key, **values).on_conflict_do_update(index_elements=["key"], set_=values))
    snapshot.changed(db)
    return True


def draft(db: Connection, key: str, features: Mapping[str, Any], *, by_file: bool = False) -> bool:
    """Keeps what the package's next version is to give, by feature; false when its newest version says the same.

    Nobody gets anything of it until it is published. Raises CatalogUnknown, TermsInvalid, ManagedByFile.
    """
    _refuse_managed(db, key, by_file)
    said = {name: terms.as_json() for name, terms in terms_of(db, features, f"the package {key}").items()}
    newest = newest_version(db, key)
    if newest is not None and newest["features"] == said:
        db.execute(
            text("delete from tidegate.package_versions where package = :k and published_at is null"), {"k": key}
        )
        return False
    db.execute(_DRAFT, {"key": key, "features": json.dumps(said), "version": newest["version"] + 1 if newest else 1})
    return True


def publish(db: Connection, key: str, *, by_file: bool = False) -> int:
    """Publishes the draft and returns its version. Subscribers stay on theirs until they are migrated.

    Raises CatalogUnknown, ManagedByFile, and CatalogInvalid when there is no draft.
    """
    _refuse_managed(db, key, by_file)
    version = db.scalar(_PUBLISH, {"key": key})
    if version is None:
        raise CatalogInvalid(problem=f"The package {key} has no draft to publish; change its features first.")
    snapshot.changed(db)
    return int(version)


def migrate(db: Connection, key: str, *, to: int | None = None, subscriptions: Sequence[str] | None = None) -> int:
    """Moves subscriptions to a version of the package, by default its newest; returns how many moved. None: all, and
    the overrides that give the package, too.

    Refresh their contacts in the same transaction. Raises CatalogUnknown, CatalogInvalid.
    """
    one(db, key)
    known = db.scalars(_VERSIONS, {"key": key}).all()
    if not known or (to is not None and to not in known):
        shown = ", ".join(str(version) for version in known) or "none"
        raise CatalogInvalid(problem=f"The package {key} has no published version {to or ''}; there is {shown}.")
    only = list(subscriptions) if subscriptions is not None else None
    wanted = {"key": key, "to": to or known[-1]}
    moved = int(db.scalar(_MIGRATE, wanted | {"only": only}) or 0)
    return moved if only is not None else moved + db.execute(_MIGRATE_OVERRIDES, wanted).rowcount


def holders(db: Connection, key: str) -> list[int]:
    """The contacts (internal keys) that a subscription or an override gives the package to."""
    return list(db.scalars(_HOLDERS, {"key": key}))


def release(db: Connection, key: str) -> None:
    """Lets the page and the API change what the file managed."""
    db.execute(text("update tidegate.packages set managed_by = '' where key = :key"), {"key": key})


def _refuse_managed(db: Connection, key: str, by_file: bool) -> None:
    if one(db, key)["managed_by"] and not by_file:
        raise ManagedByFile(what=f"The package {key}")


def newest_version(db: Connection, key: str) -> dict[str, Any] | None:
    """The newest published version: `version`, `features`, `published_at`."""
    row = db.execute(_NEWEST, {"key": key}).mappings().first()
    return dict(row) if row is not None else None


def one(db: Connection, key: str) -> dict[str, Any]:
    """A package. Raises CatalogUnknown, with the nearest known key."""
    row = db.execute(select(packages).where(packages.c.key == key)).mappings().first()
    if row is None:
        known = list(db.scalars(select(packages.c.key)))
        raise CatalogUnknown(what="package", key=key, nearest=nearest(key, known), list="packages")
    return dict(row)


def every(db: Connection) -> list[dict[str, Any]]:
    """All packages with their newest version and their draft."""
    return [dict(row) for row in db.execute(_EVERY).mappings()]


def show(db: Connection, key: str) -> dict[str, Any]:
    """A package with all its versions and what is mapped to it."""
    found = one(db, key)
    versions = db.execute(_SHOWN_VERSIONS, {"key": key}).mappings()
    mapped = db.execute(_MAPPED, {"key": key}).mappings()
    return found | {"versions": [dict(row) for row in versions], "mappings": [dict(row) for row in mapped]}


def to_move(db: Connection) -> dict[str, dict[str, int]]:
    """How many subscriptions and overrides are of each version of each package, of those that `migrate` counts."""
    found: dict[str, dict[str, int]] = {}
    for row in db.execute(_TO_MOVE):
        found.setdefault(row.package, {})[str(row.version)] = row.moving
    return found


def uses(db: Connection, key: str) -> dict[str, int]:
    """How many mappings, overrides and grants name a package: what stands in the way of its removal."""
    row = db.execute(_USES, {"key": key}).one()
    return {"mappings": row.mappings, "overrides": row.overrides, "grants": row.grants}


def remove(db: Connection, key: str, *, by_file: bool = False) -> None:
    """Removes a package that nothing names. Raises CatalogUnknown, CatalogInvalid, ManagedByFile."""
    _refuse_managed(db, key, by_file)
    if used := ", ".join(f"{count:,} {what}" for what, count in uses(db, key).items() if count):
        raise CatalogInvalid(problem=f"The package {key} is still named by {used}; take it out there first.")
    db.execute(_FORGET_KEPT, {"key": key})
    for table in ("mappings", "overrides", "package_versions", "holdings"):
        db.execute(text(f"delete from tidegate.{table} where package = :key"), {"key": key})
    db.execute(text("delete from tidegate.packages where key = :key"), {"key": key})
    snapshot.changed(db)


_FORGET_KEPT = text("""
delete from tidegate.kept_mappings where mapping in (select id from tidegate.mappings where package = :key)""")

_DRAFT = text("""
insert into tidegate.package_versions (package, version, features)
values (:key, :version, cast(:features as jsonb))
on conflict (package, version) do update set features = excluded.features""")

_PUBLISH = text("""
update tidegate.package_versions set published_at = clock_timestamp()
where package = :key and published_at is null returning version""")

_VERSIONS = text("""
select version from tidegate.package_versions where package = :key and published_at is not null order by version""")

ENDED = "g.status in ('canceled', 'incomplete_expired')"
"""SQL: whether the subscription of a grant `g` is over; one that is paused or overdue may give something again."""

_STANDING = "revoked_at is null and (expires_at is null or expires_at > now())"

# One that left the package, or ended, moves, too, though it is not counted: it would come back to what nobody else has.
_MIGRATE = text(f"""
with moved as (
  update tidegate.holdings set version = :to, since = now()
  where package = :key and version <> :to
    and (cast(:only as text[]) is null or subscription = any(cast(:only as text[])))
  returning connection, subscription, package)
select count(*) from moved m where exists (
  select from tidegate.grants g
  where g.connection = m.connection and g.subscription = m.subscription and g.package = m.package and not {ENDED})""")

_MIGRATE_OVERRIDES = text(f"""
update tidegate.overrides set version = :to where package = :key and version <> :to and {_STANDING}""")

_TO_MOVE = text(f"""
select package, version, count(*) as moving from (
  select distinct g.package, g.version, g.connection, g.subscription from tidegate.grants g
  where g.package is not null and not {ENDED}
  union all
  select package, version, null, id::text from tidegate.overrides where package is not null and {_STANDING}) m
group by package, version""")

_HOLDERS = text("""
select contact from tidegate.grants where package = :key
union
select contact from tidegate.overrides where package = :key and revoked_at is null order by 1""")

_NEWEST = text("""
select version, features, published_at from tidegate.package_versions
where package = :key and published_at is not null order by version desc limit 1""")

_EVERY = text("""
select p.key, p.name, p.kind, p.is_default, p.prices, p.managed_by, newest.version, newest.features,
  newest.published_at, draft.features as draft
from tidegate.packages p
left join lateral (
  select version, features, published_at from tidegate.package_versions v
  where v.package = p.key and published_at is not null order by version desc limit 1) newest on true
left join tidegate.package_versions draft on draft.package = p.key and draft.published_at is null
order by p.key""")

_SHOWN_VERSIONS = text("""
select version, features, published_at from tidegate.package_versions where package = :key order by version""")

_MAPPED = text("""
select id, connection, price, product, per_quantity, managed_by from tidegate.mappings
where package = :key and removed_at is null order by connection, product, price""")

_USES = text("""
select (select count(*) from tidegate.mappings where package = :key and removed_at is null) as mappings,
  (select count(*) from tidegate.overrides where package = :key and revoked_at is null) as overrides,
  (select count(*) from tidegate.grants where package = :key) as grants""")
