"""Owners: who of your team looks after contacts, how they are told, and by which rule they get them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from tidegate.conditions.compile import compiled
from tidegate.conditions.contact_fields import CONTACT_FIELDS, CONTACTS
from tidegate.conditions.nodes import Node, tests
from tidegate.conditions.parse import parse
from tidegate.errors import LifecycleInvalid, ManagedByFile, OwnerUnknown
from tidegate.lifecycle import portfolio, routes
from tidegate.lifecycle.named import There, there
from tidegate.lifecycle.places import missing_places
from tidegate.lifecycle.routes import Digest
from tidegate.lifecycle.rules import named

FILE = "file"
LONGEST = 200
"""Characters of a key, a name or an e-mail address."""


@dataclass(frozen=True, slots=True)
class Owner:
    """A person of your team. `key`: as contacts name it. `destination` empty: alerts go to the default route; `when`:
    whom it looks after where nobody said so by hand.
    """

    key: str
    name: str = ""
    email: str = ""
    destination: str = ""
    digest: Digest = ""
    when: Mapping[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        """As the API, the file and `--json` have it."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def every(db: Connection) -> list[Owner]:
    """The owners, in the order in which their rules are asked."""
    return [_owner(row) for row in db.execute(_EVERY)]


def managed(db: Connection) -> dict[str, str]:
    """By key who wrote an owner: `file`, or "" for anybody."""
    return {row.key: row.managed_by for row in db.execute(_EVERY)}


def listing(db: Connection, livemode: bool | None = None) -> list[dict[str, Any]]:
    """Owners with how they stand, and whoever contacts name beside them: each as `Owner.as_json`, with known, contacts,
    mrr, health and by_currency as `portfolio.portfolio_by` has them, alerts, tasks. "" owns the rest. Of live or of
    test contacts; None: of live ones where there is a live account.
    """
    if livemode is None:
        livemode = db.scalar(text("select bool_or(livemode) from tidegate.connections"))
    worth = portfolio.of_owners(db, livemode)
    nothing: dict[str, Any] = {"mrr": [], "health": None, "by_currency": []}
    rows = db.execute(_LISTING, {"livemode": livemode}).mappings()
    return [dict(row) | worth.get(row["key"], nothing) for row in rows]


def define(db: Connection, owner: Owner, managed_by: str = "") -> bool:
    """Makes an owner, or replaces the one of that key; false: it was the same. Contacts that name its name or e-mail
    address name its key from then on, and its rule gives it contacts at once.

    Raises LifecycleInvalid, DestinationUnknown, and ManagedByFile.
    """
    _refuse_managed(db, owner.key, managed_by)
    _check(db, owner)
    known = db.execute(_ONE, {"key": owner.key}).one_or_none()
    if known is not None and _owner(known) == owner and known.managed_by == managed_by:
        return False
    condition = None if owner.when is None else json.dumps(owner.when)
    db.execute(_DEFINE, owner.as_json() | {"condition": condition, "managed_by": managed_by})
    settle(db)
    assign(db)
    return True


def remove(db: Connection, key: str, managed_by: str = "") -> int:
    """Removes an owner; whom somebody gave to it by hand keep its name. Returns how many still do. Raises OwnerUnknown
    and ManagedByFile.
    """
    require(db, key)
    _refuse_managed(db, key, managed_by)
    db.execute(text("delete from tidegate.owners where key = :key"), {"key": key})
    assign(db)
    return int(db.scalar(text("select count(*) from tidegate.contacts where owner = :key"), {"key": key}) or 0)


def release(db: Connection, key: str) -> None:
    """Lets what the file managed be changed elsewhere."""
    db.execute(text("update tidegate.owners set managed_by = '' where key = :key"), {"key": key})


def require(db: Connection, key: str) -> Owner:
    """An owner by its key. Raises OwnerUnknown, which names the nearest."""
    known = {one.key: one for one in every(db)}
    if key not in known:
        from difflib import get_close_matches

        near = get_close_matches(key, known, 1)
        raise OwnerUnknown(owner=key, nearest=f" Is it {near[0]}?" if near else "")
    return known[key]


def settle(db: Connection, contacts: Sequence[int] | None = None) -> int:
    """Lets contacts (internal keys; None: all) that name an owner by its name or e-mail address, in whatever case, name
    its key; returns how many.
    """
    return db.execute(_SETTLE, {"contacts": None if contacts is None else list(contacts)}).rowcount


def has_rules(db: Connection) -> bool:
    """Whether an owner gets contacts by a rule."""
    return bool(db.scalar(text("select exists (select from tidegate.owners where condition is not null)")))


def assign(db: Connection, as_of: datetime | None = None) -> int:
    """Gives every contact whose owner nobody named to the first owner whose rule holds; returns how many have another
    one now. `as_of`: asked as of then; None: as of the transaction's time.
    """
    branches: list[str] = []
    values: dict[str, Any] = {"as_of": as_of or db.scalar(text("select now()"))}
    for place, owner in enumerate(one for one in every(db) if one.when is not None):
        made = compiled(condition(owner)[0], f"o{place}_")
        values |= made.values | {f"owner{place}": owner.key}
        branches.append(f"when {made.sql} then cast(:owner{place} as text)")
    found = f"case {' '.join(branches)} else '' end" if branches else "''"
    return len(db.execute(text(_ASSIGN.format(found=found, contacts=CONTACTS)), values).all())


def condition(owner: Owner) -> tuple[Node, list[str]]:
    """The rule of an owner that has one, and what is wrong with it, in words."""
    node, wrong = parse(owner.when, CONTACT_FIELDS, named(), where="when")
    found = [f"{one.where}: {one.problem}" for one in wrong]
    if not wrong and any(test.field.name == "owner" for test in tests(node)):
        found.append("when: whom somebody owns cannot follow from its owner")
    return node, found


def idle(db: Connection) -> dict[str, list[str]]:
    """By key what the rule of an owner names and there is not any more, in words: a stage, a segment or a package that
    was removed since. So far as its rule asks for that it gives nobody.
    """
    known = there(db)
    found = {one.key: _missing(known, condition(one)[0]) for one in every(db) if one.when is not None}
    return {key: wrong for key, wrong in found.items() if wrong}


def _missing(known: There, node: Node) -> list[str]:
    return [f"when: {one}" for one in missing_places(node, known)]


def _check(db: Connection, owner: Owner) -> None:
    wrong: list[str] = []
    for what, said in (("key", owner.key), ("name", owner.name), ("e-mail address", owner.email)):
        if len(said) > LONGEST or not said.isprintable() or said != said.strip():
            wrong.append(f"its {what} is a line of up to {LONGEST} characters, without blanks around it")
    if not owner.key:
        wrong.append("it needs a key: a name or an e-mail address, as contacts name it")
    if owner.email and "@" not in owner.email:
        wrong.append(f"{owner.email!r} is no e-mail address")
    if owner.digest not in ("", "daily", "weekly"):
        wrong.append(f"a digest is daily or weekly, not {owner.digest!r}")
    if owner.when is not None:
        node, faults = condition(owner)
        wrong += [*faults, *_missing(there(db), node)]
    for other in every(db):
        same = {one.casefold() for one in (owner.key, owner.name, owner.email) if one}
        if other.key != owner.key and same & {one.casefold() for one in (other.key, other.name, other.email) if one}:
            wrong.append(f"{other.key} has that key, name or e-mail address already, and contacts could mean either")
    if wrong:
        raise LifecycleInvalid(problem=f"The owner {owner.key!r}: {'; '.join(wrong)}.")
    routes.require_taking(db, owner.destination)


def _refuse_managed(db: Connection, key: str, managed_by: str) -> None:
    if managed(db).get(key) == FILE and managed_by != FILE:
        raise ManagedByFile(what=f"The owner {key}")


def _owner(row: Any) -> Owner:
    return Owner(row.key, row.name, row.email, row.destination, row.digest, row.condition)


_COLUMNS = """
select key, name, email, destination, digest, condition, managed_by from tidegate.owners"""

_EVERY = text(f"{_COLUMNS} order by place, key")

_ONE = text(f"{_COLUMNS} where key = :key")

_DEFINE = text("""
insert into tidegate.owners as o (key, place, name, email, destination, digest, digest_since, condition, managed_by)
select :key, coalesce((select max(place) + 1 from tidegate.owners), 0), :name, :email, :destination, :digest,
  case when :digest <> '' then clock_timestamp() end, cast(:condition as jsonb), :managed_by
on conflict (key) do update set name = excluded.name, email = excluded.email, destination = excluded.destination,
  digest = excluded.digest, condition = excluded.condition, managed_by = excluded.managed_by,
  digest_since = case when excluded.digest <> '' then coalesce(o.digest_since, excluded.digest_since) end""")

_SETTLE = text("""
update tidegate.contacts c set owner = o.key from tidegate.owners o
where c.owner <> '' and c.owner <> o.key and lower(c.owner) in (lower(o.key), lower(o.name), lower(o.email))
  and (cast(:contacts as bigint[]) is null or c.key = any(cast(:contacts as bigint[])))""")

_ASSIGN = """
with found as materialized (
  select c.key, c.owner as before, {found} as owner {contacts} and (c.owner = '' or c.owner_by_rule)),
moved as (
  update tidegate.contacts c set owner = f.owner, owner_by_rule = f.owner <> '', updated_at = now()
  from found f where c.key = f.key and f.owner <> f.before returning c.key, f.before, f.owner)
insert into tidegate.contact_changes (action, contact, by, what, before)
select 'owner', key, 'rule', jsonb_build_object('owner', owner, 'before', before), '{{}}' from moved order by key
returning contact"""

_LISTING = text("""
with theirs as (
  select c.key, c.owner from tidegate.contacts c
  where c.merged_into is null and c.forgotten_at is null
    and (cast(:livemode as boolean) is null or c.livemode = :livemode)),
counted as (
  select owner as key, count(*) as contacts from theirs group by owner),
alerted as (
  select c.owner as key, count(*) as alerts from tidegate.alerts a join theirs c on c.key = a.contact
  where a.state in ('open', 'acknowledged', 'snoozed') group by c.owner),
tasked as (
  select c.owner as key, count(*) as tasks from tidegate.contact_tasks t join theirs c on c.key = t.contact
  where t.done_at is null group by c.owner)
select coalesce(o.key, n.key) as key, coalesce(o.name, '') as name, coalesce(o.email, '') as email,
  coalesce(o.destination, '') as destination, coalesce(o.digest, '') as digest, o.condition as "when",
  o.key is not null as known, coalesce(o.managed_by, '') as managed_by, coalesce(n.contacts, 0) as contacts,
  coalesce(a.alerts, 0) as alerts, coalesce(t.tasks, 0) as tasks
from tidegate.owners o full join counted n on n.key = o.key
left join alerted a on a.key = coalesce(o.key, n.key) left join tasked t on t.key = coalesce(o.key, n.key)
order by o.key is null, o.place, coalesce(o.key, n.key) = '', coalesce(o.key, n.key)""")
