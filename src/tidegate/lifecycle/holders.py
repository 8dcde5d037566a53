"""How many contacts hold each package, version, mapping and feature now, and which they are."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, text

from tidegate.catalog import packages
from tidegate.lifecycle.held import GIVES, STANDS


def by_package(db: Connection, livemode: bool | None) -> dict[str, int]:
    """How many contacts hold each package. `livemode` None: of live and of test data."""
    return {row.key: row.contacts for row in db.execute(_BY_PACKAGE, {"livemode": livemode})}


def by_feature(db: Connection, livemode: bool | None) -> dict[str, int]:
    """The same of each feature, as far as something of it is granted."""
    return {row.key: row.contacts for row in db.execute(_BY_FEATURE, {"livemode": livemode})}


def by_version(db: Connection, livemode: bool | None, package: str | None = None) -> dict[str, dict[str, int]]:
    """How many contacts hold each version of each package, or of one: by a subscription, by an override, or because it
    is the default's newest. Who has two subscriptions may hold two versions.
    """
    values = {"livemode": livemode, "package": package, "as_of": datetime.now(UTC)}
    found: dict[str, dict[str, int]] = {}
    for row in db.execute(_BY_VERSION, values):
        versions = found.setdefault(row.package, {})
        versions[str(row.version)] = versions.get(str(row.version), 0) + row.contacts
    return found


def by_mapping(db: Connection, only: Sequence[int] | None = None) -> dict[str, int]:
    """How many contacts each mapping, or each of these, gives something, by its number."""
    values = {"only": only and list(only), "as_of": datetime.now(UTC)}
    return {str(row.mapping): row.contacts for row in db.execute(_BY_MAPPING, values)}


def of_packages(db: Connection, rows: Sequence[Mapping[str, Any]], livemode: bool | None) -> list[dict[str, Any]]:
    """The packages with `contacts`, how many hold each, and `contacts_by_version`."""
    held, versions = by_package(db, livemode), by_version(db, livemode, rows[0]["key"] if len(rows) == 1 else None)
    return [
        {**row, "contacts": held.get(row["key"], 0), "contacts_by_version": versions.get(row["key"], {})}
        for row in rows
    ]


def of_package(db: Connection, key: str, livemode: bool | None) -> dict[str, Any]:
    """A package, as `packages.show` has it, with `contacts`, also of each version. Raises CatalogUnknown."""
    found, held = packages.show(db, key), by_version(db, livemode, key).get(key, {})
    versions = [row | {"contacts": held.get(str(row["version"]), 0)} for row in found["versions"]]
    return found | {"contacts": by_package(db, livemode).get(key, 0), "versions": versions}


def of_mappings(db: Connection, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The mappings with `contacts`, how many each gives something."""
    held = by_mapping(db, [row["id"] for row in rows])
    return [{**row, "contacts": held.get(str(row["id"]), 0)} for row in rows]


def by_default(db: Connection, package: str, version: int | None) -> bool:
    """Whether contacts without a base package have this version."""
    return bool(db.scalar(_IS_DEFAULT, {"package": package, "version": version}))


OF_VERSION = f"""
    select g.contact from tidegate.grants g where g.package = :package and g.version = :version and {GIVES}
    union all
    select v.contact from tidegate.overrides v where v.package = :package and v.version = :version and {STANDS}"""
"""SQL: contacts to whom `:version` of `:package` is given."""

OF_MAPPING = f"""
    select g.contact from tidegate.grants g where g.mapping = :mapping and {GIVES}"""
"""SQL: contacts to whom `:mapping` gives something."""

_UNGIVEN = f"""
    select l.contact from tidegate.contact_lifecycle l where {{package}} = any(l.packages)
    except (
      select g.contact from tidegate.grants g where g.package = {{package}} and {GIVES}
      union all
      select v.contact from tidegate.overrides v where v.package = {{package}} and {STANDS})"""
"""SQL: contacts who hold a package that nothing gives them: the default."""

OF_DEFAULT = f"{OF_VERSION} union all ({_UNGIVEN.format(package=':package')})"
"""SQL: the same of the default's newest version, with those who hold it because they have no base package."""

_DEFAULT = """
  select v.package, max(v.version) as version
  from tidegate.packages p join tidegate.package_versions v on v.package = p.key and v.published_at is not null
  where p.is_default group by v.package"""

_IS_DEFAULT = text(f"select exists (select from ({_DEFAULT}) d where d.package = :package and d.version = :version)")

_OF_MODE = "c.merged_into is null and (cast(:livemode as boolean) is null or c.livemode = :livemode)"

_BY = f"""
select p.key, count(*) as contacts
from tidegate.contact_lifecycle l
join tidegate.contacts c on c.key = l.contact and {_OF_MODE}
cross join lateral unnest({{keys}}) as p(key)
group by p.key"""
_BY_PACKAGE, _BY_FEATURE = text(_BY.format(keys="l.packages")), text(_BY.format(keys="l.features"))

_ASKED = "(cast(:package as text) is null or {package} = :package)"

_BY_VERSION = text(f"""
with default_ as ({_DEFAULT})
select package, version, count(*) as contacts from (
  select g.package, g.version, g.contact from tidegate.grants g
  where g.package is not null and {_ASKED.format(package="g.package")} and {GIVES}
  union
  select v.package, v.version, v.contact from tidegate.overrides v
  where v.package is not null and {_ASKED.format(package="v.package")} and {STANDS}) each
join tidegate.contacts c on c.key = each.contact and {_OF_MODE}
group by package, version
union all
select d.package, d.version, count(*)
from default_ d cross join ({_UNGIVEN.format(package="(select package from default_)")}) u
join tidegate.contacts c on c.key = u.contact and {_OF_MODE}
where {_ASKED.format(package="d.package")}
group by d.package, d.version""")

_BY_MAPPING = text(f"""
select mapping, count(*) as contacts from (
  select distinct g.mapping, g.contact from tidegate.grants g
  where (cast(:only as bigint[]) is null or g.mapping = any(cast(:only as bigint[]))) and {GIVES}) each
join tidegate.contacts c on c.key = each.contact and c.merged_into is null
group by mapping""")
