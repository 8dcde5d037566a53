"""Changes of the catalog that may give or take something, each to be previewed and then done by its token."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, text

from tidegate.catalog import features as catalog_features
from tidegate.catalog import ignoring, journal, kept, mappings, packages, snapshot
from tidegate.catalog.mappings import Wanted
from tidegate.contacts import linking
from tidegate.errors import CatalogInvalid
from tidegate.mirror import changed as mirror_changed
from tidegate.workflows.previewing import Change
from tidegate.workflows.refresh import tell_unmapped


def set_mapping(wanted: Wanted, *, keep_holders: bool = True) -> Change:
    """Maps a price or product, or maps it anew. With `keep_holders` subscriptions that have something of it keep that;
    the result says how many do.
    """
    source = (wanted.connection, wanted.price, wanted.product)

    def do(db: Connection) -> dict[str, Any]:
        result = map_source(db, wanted, keep_holders)
        tell_unmapped(db, wanted.connection)
        return result

    said = {name: getattr(wanted, name) for name in _DESCRIBING}
    what = {"change": "mapping.set", **said, "keep_holders": keep_holders}
    return Change(what, lambda db: mappings.touched(db, *source), do)


_DESCRIBING = ("connection", "price", "product", "package", "feature", "terms", "per_quantity", "managed_by")


def map_source(db: Connection, wanted: Wanted, keep_holders: bool) -> dict[str, Any]:
    """Sets a mapping, in the caller's transaction; what waits unmapped is told by the caller, once for many."""
    source = (wanted.connection, wanted.price, wanted.product)
    known = mappings.in_force(db, *source)
    held = kept.keep(db, *source) if keep_holders and mappings.differs(db, wanted) else 0
    freed = kept.let_go(db, *source) if not keep_holders else 0
    number, changed = mappings.set_(db, wanted)
    if changed or freed:
        said = mappings.shown(mappings.one(db, number))
        replaced = mappings.shown(known) if known is not None and known["id"] != number else None
        journal.note(db, wanted.by, "mapping.set", said, mapping=number, replaces=replaced, kept=held)
        _called_anew(db, *source)
    return {"mapping": number, "changed": changed or freed > 0, "keep_holders": keep_holders, "kept": held}


def remove_mapping(db: Connection, mapping: int, by: str, *, keep_holders: bool = True) -> Change:
    """Takes a mapping out of force. `db` reads what it is of. Raises CatalogUnknown."""
    row = mappings.one(db, mapping)
    source = (row["connection"], row["price"], row["product"])

    def do(db: Connection) -> dict[str, Any]:
        result = unmap(db, mapping, by, keep_holders)
        tell_unmapped(db, row["connection"])
        return result

    what = {"change": "mapping.removed", "mapping": mapping, "keep_holders": keep_holders}
    return Change(what, lambda db: mappings.touched(db, *source), do)


def release_kept(connection: str, price: str | None, product: str | None, by: str) -> Change:
    """Ends what subscriptions keep of a price, or of a product's prices: they get what it means now, if anything."""

    def do(db: Connection) -> dict[str, Any]:
        freed = kept.let_go(db, connection, price, product)
        if freed:
            journal.note(db, by, "mapping.released", price or product or "", freed=freed)
        tell_unmapped(db, connection)
        return {"price": price, "product": product, "changed": freed > 0, "released": freed}

    what = {"change": "mapping.released", "connection": connection, "price": price, "product": product}
    return Change(what, lambda db: mappings.touched(db, connection, price, product), do)


def ignore_price(connection: str, price: str, by: str, *, heed: bool = False) -> Change:
    """Lets a price mean nothing, so that it waits for no mapping; or with `heed` lets it wait again."""

    def do(db: Connection) -> dict[str, Any]:
        if heed:
            changed = ignoring.heed(db, connection, price)
        else:
            changed = ignoring.ignore(db, connection, price, by)
        if changed:
            journal.note(db, by, "price.heeded" if heed else "price.ignored", price, connection=connection)
            tell_unmapped(db, connection)
        return {"connection": connection, "price": price, "ignored": not heed, "changed": changed}

    what = {"change": "price.ignored", "connection": connection, "price": price, "heed": heed}
    return Change(what, lambda _db: (), do)


def unmap(db: Connection, mapping: int, by: str, keep_holders: bool, by_file: bool = False) -> dict[str, Any]:
    """Takes a mapping out of force, as `map_source` sets one."""
    row = mappings.one(db, mapping)
    source = (row["connection"], row["price"], row["product"])
    held = kept.keep(db, *source) if keep_holders else 0
    if not keep_holders:
        kept.let_go(db, *source)
    mappings.remove(db, mapping, by_file=by_file)
    journal.note(db, by, "mapping.removed", mappings.shown(row), mapping=mapping, kept=held)
    _called_anew(db, *source)
    return {"mapping": mapping, "changed": True, "keep_holders": keep_holders, "kept": held}


def define_feature(key: str, type_: str, by: str, **said: Any) -> Change:
    """Makes a feature or changes it (the arguments of `features.define`). Another reset is another limit for whoever
    has the feature on terms that say none.
    """

    def touched(db: Connection) -> Sequence[int]:
        known = next((row for row in catalog_features.every(db) if row["key"] == key), None)
        if known is None or known["reset"] == said.get("reset", "month"):
            return ()
        return _everybody(db) if _is_by_default(db, key) else catalog_features.holders(db, key)

    def do(db: Connection) -> dict[str, Any]:
        changed = catalog_features.define(db, key, type_, **said)
        if changed:
            journal.note(db, by, "feature.defined", key, **said)
        return {"feature": key, "changed": changed}

    return Change({"change": "feature.defined", "feature": key, **said}, touched, do)


def define_package(key: str, by: str, **said: Any) -> Change:
    """Makes a package or changes what all its versions share (the arguments of `packages.define`)."""

    def touched(db: Connection) -> Sequence[int]:
        known = _package(db, key)
        if bool(known and known["is_default"]) != bool(said.get("is_default", False)):
            return _everybody(db)
        if known is not None and known["kind"] != said.get("kind", "base"):
            return _everybody(db) if known["is_default"] else packages.holders(db, key)
        return ()

    def do(db: Connection) -> dict[str, Any]:
        changed = packages.define(db, key, **said)
        if changed:
            journal.note(db, by, "package.defined", key, **said)
            for row in db.execute(_MAPPED_TO, {"key": key}):
                _called_anew(db, row.connection, row.price, row.product)
        return {"package": key, "changed": changed}

    return Change({"change": "package.defined", "package": key, **said}, touched, do)


def publish_package(
    key: str, by: str, *, features: Mapping[str, Any] | None = None, by_file: bool = False, move: bool = False
) -> Change:
    """Publishes a package's draft, or these features. Subscribers stay on their version, or with `move` get the new
    one at once; whoever has the package by default gets it.
    """

    def do(db: Connection) -> dict[str, Any]:
        if features is not None and not packages.draft(db, key, features, by_file=by_file):
            newest = packages.newest_version(db, key)
            return {"package": key, "version": newest["version"] if newest else None, "changed": False}
        version = packages.publish(db, key, by_file=by_file)
        journal.note(db, by, "package.published", key, version=version)
        moved = _migrated(db, key, version, by, None) if move else 0
        stay = {"stay": 0, "stay_with_nothing": 0} if move else _on_older(db, key, version)
        return {"package": key, "version": version, "changed": True, "moved": moved, **stay}

    def touched(db: Connection) -> Sequence[int]:
        return _everybody(db) if _is_default(db, key) else packages.holders(db, key) if move else ()

    what = {"change": "package.published", "package": key, "features": features and dict(features), "move": move}
    return Change(what, touched, do)


def migrate_package(key: str, by: str, *, to: int | None = None, subscriptions: Sequence[str] | None = None) -> Change:
    """Moves subscriptions (None: all, and overrides) to a version of a package, by default its newest."""

    def do(db: Connection) -> dict[str, Any]:
        newest = packages.newest_version(db, key)
        reached = to or (newest["version"] if newest else None)
        moved = _migrated(db, key, to, by, subscriptions)
        return {"package": key, "version": reached, "moved": moved, "changed": moved > 0}

    what = {"change": "package.migrated", "package": key, "to": to, "subscriptions": subscriptions}
    return Change(what, lambda db: packages.holders(db, key), do)


def _migrated(db: Connection, key: str, to: int | None, by: str, subscriptions: Sequence[str] | None) -> int:
    """Moves subscriptions, and overrides, and writes it down; returns how many moved."""
    moved = packages.migrate(db, key, to=to, subscriptions=subscriptions)
    if moved:
        newest = packages.newest_version(db, key)
        journal.note(db, by, "package.migrated", key, to=to or (newest["version"] if newest else None), moved=moved)
    return moved


def remove_package(db: Connection, key: str, by: str, *, by_file: bool = False) -> None:
    """Removes a package that nothing names and nobody has by default.

    Raises CatalogUnknown, CatalogInvalid, ManagedByFile.
    """
    if packages.one(db, key)["is_default"]:
        raise CatalogInvalid(problem=f"The package {key} is the default; make another the default, or none, first.")
    packages.remove(db, key, by_file=by_file)
    journal.note(db, by, "package.removed", key)


def remove_feature(db: Connection, key: str, by: str, *, by_file: bool = False) -> None:
    """Removes a feature that nothing names. Raises CatalogUnknown, CatalogInvalid, ManagedByFile, ContactsBusy."""
    linking.lock(db)  # or a refresh could just grant something by one of its mappings
    catalog_features.remove(db, key, by_file=by_file)
    journal.note(db, by, "feature.removed", key)


def _called_anew(db: Connection, connection: str, price: str | None, product: str | None) -> None:
    """Queues whoever was billed for a price, or a product: billing events are told by what it is mapped to."""
    mirror_changed.note_objects(db, connection, "prices" if price else "products", [price or product or ""])


def _package(db: Connection, key: str) -> dict[str, Any] | None:
    row = db.execute(text("select * from tidegate.packages where key = :key"), {"key": key}).mappings().first()
    return dict(row) if row is not None else None


def _is_default(db: Connection, key: str) -> bool:
    known = _package(db, key)
    return known is not None and known["is_default"]


def _is_by_default(db: Connection, feature: str) -> bool:
    """Whether the default package gives the feature."""
    default = snapshot.load(db).default
    return default is not None and feature in default.features


def _everybody(db: Connection) -> list[int]:
    return list(db.scalars(text("select key from tidegate.contacts where merged_into is null order by key")))


def _on_older(db: Connection, key: str, version: int) -> dict[str, int]:
    """How many contacts stay on an older version, by subscriptions or overrides; and on one that gives nothing."""
    row = db.execute(_ON_OLDER, {"key": key, "version": version}).one()
    return {"stay": row.stay, "stay_with_nothing": row.with_nothing}


_MAPPED_TO = text("""
select connection, price, product from tidegate.mappings where package = :key and removed_at is null order by id""")

_ON_OLDER = text(f"""
select count(distinct held.contact) as stay,
  count(distinct held.contact) filter (where v.features = '{{}}'::jsonb) as with_nothing
from (
  select g.contact, g.version from tidegate.grants g where g.package = :key and not {packages.ENDED}
  union all
  select contact, version from tidegate.overrides
  where package = :key and revoked_at is null and (expires_at is null or expires_at > now())) held
join tidegate.package_versions v on v.package = :key and v.version = held.version
where held.version <> :version""")
