"""Merges two contacts that are one: everything of the second becomes the first's; and parts them again exactly."""

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, text

from tidegate.contacts.directory import Contact
from tidegate.errors import ContactInvalid

FILLED = ("name", "email", "owner")
"""What the first contact takes over where it has nothing itself."""


def require_mergeable(kept: Contact, other: Contact) -> None:
    """Raises ContactInvalid for what cannot be one contact."""
    if kept.key == other.key:
        raise ContactInvalid(problem=f"{kept.ref} and {other.ref} are one contact already")
    if kept.kind != other.kind:
        raise ContactInvalid(problem=f"{kept.ref} and {other.ref} are of two kinds; a user may join an account instead")
    if kept.livemode != other.livemode:
        raise ContactInvalid(problem=f"one of {kept.ref} and {other.ref} is of live data, the other of test data")


def merge(db: Connection, kept: Contact, other: Contact) -> dict[str, Any]:
    """Moves ids, e-mails, domains, members and links of `other` to `kept`, and returns what parting them needs.

    In the caller's transaction, which holds `linking.lock`.
    """
    pair = {"kept": kept.key, "other": other.key}
    before = {
        "kept": kept.key,
        "other": other.key,
        "contacts": _rows(db, "contacts", "key = :kept", pair),
        "ids": _rows(db, "contact_ids", "contact = :other", pair),
        "links": _rows(db, "links", "contact = :other", pair),
        "kept_emails": _rows(db, "contact_emails", "contact = :kept", pair),
    }
    for name, statements in _MOVED.items():
        before[name] = _rows(db, *statements.rows, pair)
        before[f"{name}_new"] = [dict(row) for row in db.execute(statements.copy, pair).mappings()]
        db.execute(statements.drop, pair)
    db.execute(text("update tidegate.contact_ids set contact = :kept where contact = :other"), pair)
    db.execute(text("update tidegate.links set contact = :kept where contact = :other"), pair)
    db.execute(_FILL, pair)
    before["filled"] = _rows(db, "contacts", "key = :kept", pair)
    db.execute(text("update tidegate.contacts set merged_into = :kept where key = :other"), pair)
    return before


def part(db: Connection, before: Mapping[str, Any]) -> list[str]:
    """Gives back to the second contact what it had; what was changed since by hand stays as it is, and is told.

    Raises ContactInvalid while either of them is merged into yet another.
    """
    pair = {"kept": before["kept"], "other": before["other"]}
    _require_partable(db, pair)
    told: list[str] = []
    db.execute(text("update tidegate.contacts set merged_into = null where key = :other"), pair)
    moved = db.execute(_IDS_BACK, pair | {"rows": json.dumps(before["ids"])}).rowcount
    if moved < len(before["ids"]):
        told.append(f"{len(before['ids']) - moved} ids were taken away or given to others since")
    moved = db.execute(_LINKS_BACK, pair | {"rows": json.dumps(before["links"])}).rowcount
    if moved < len(before["links"]):
        told.append(f"{len(before['links']) - moved} customers were linked anew since and stay where they are")
    for name, statements in _MOVED.items():
        db.execute(statements.uncopy, pair | {"rows": json.dumps(before[f"{name}_new"])})
        db.execute(statements.restore, {"rows": json.dumps(before[name])})
    for name in (*FILLED, "properties"):
        was, filled = before["contacts"][0][name], before["filled"][0][name]
        if was != filled:
            values = pair | {"was": json.dumps(was), "filled": json.dumps(filled)}
            if not db.execute(_UNFILL[name], values).rowcount:
                told.append(f"the {name} was changed since and stays")
    return told


def give_emails_back(db: Connection, before: Mapping[str, Any]) -> None:
    """Gives the first contact the addresses again that it had, of which following another customer took one away."""
    db.execute(_MOVED["emails"].restore, {"rows": json.dumps(before["kept_emails"])})


def differences(kept: Contact, other: Contact) -> dict[str, dict[str, Any]]:
    """Where the two say different things: {field: {kept, given_up}}; of properties each by its name. Addresses are no
    difference: one contact may have many.
    """
    pairs: dict[str, tuple[Any, Any]] = {
        name: (getattr(kept, name), getattr(other, name)) for name in ("name", "owner")
    }
    both = kept.properties.keys() & other.properties.keys()
    pairs |= {f"properties.{name}": (kept.properties[name], other.properties[name]) for name in sorted(both)}
    return {name: {"kept": a, "given_up": b} for name, (a, b) in pairs.items() if a and b and a != b}


def _require_partable(db: Connection, pair: dict[str, Any]) -> None:
    rows = {row.key: row for row in db.execute(_STATE, pair)}
    kept, other = rows[pair["kept"]], rows[pair["other"]]
    if kept.merged_into is not None:
        raise ContactInvalid(problem=f"{kept.ref} was merged into another contact itself; undo that first")
    if other.merged_into != kept.key:
        raise ContactInvalid(problem=f"{other.ref} is not merged into {kept.ref}")


def _rows(db: Connection, table: str, where: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    statement = text(f"select to_jsonb(t) from tidegate.{table} t where {where}")
    return list(db.scalars(statement, values))


class _Moved:
    """The statements that move rows of a table whose key holds the contact: copied where the first has none, dropped,
    and restored as they were.
    """

    def __init__(self, table: str, whose: str, columns: str, key: tuple[str, ...]) -> None:
        self.rows = (table, f't."{whose}" = :other')
        keys = ", ".join(f'"{name}"' for name in (whose, *key))
        into = f"tidegate.{table}"
        self.copy = text(f"""
insert into {into} ("{whose}", {columns}) select :kept, {columns} from {into} where "{whose}" = :other
on conflict do nothing returning {", ".join(f'"{name}"' for name in key)}""")
        self.drop = text(f'delete from {into} where "{whose}" = :other')
        same = " and ".join(f't."{name}" = r."{name}"' for name in key)
        self.uncopy = text(f"""
delete from {into} t using jsonb_populate_recordset(null::{into}, cast(:rows as jsonb)) r
where t."{whose}" = :kept and {same}""")
        self.restore = text(f"""
insert into {into} select * from jsonb_populate_recordset(null::{into}, cast(:rows as jsonb))
on conflict ({keys}) do nothing""")


_MOVED = {
    "emails": _Moved("contact_emails", "contact", "folded, email, followed", ("folded",)),
    "domains": _Moved("contact_domains", "contact", "domain", ("domain",)),
    "members": _Moved("contact_members", "account", '"user", role', ("user",)),
    "accounts": _Moved("contact_members", "user", "account, role", ("account",)),
}

_FILL = text("""
update tidegate.contacts c set
  name = case when c.name = '' then o.name else c.name end,
  email = case when c.email = '' then o.email else c.email end,
  owner = case when c.owner = '' then o.owner else c.owner end,
  owner_by_rule = case when c.owner = '' then o.owner_by_rule else c.owner_by_rule end,
  properties = o.properties || c.properties, updated_at = now()
from tidegate.contacts o where c.key = :kept and o.key = :other""")

_UNFILL = {
    name: text(f"update tidegate.contacts set {name} = {value} where key = :kept and {name} = {filled}")
    for name, value, filled in (
        *((name, "cast(:was as jsonb) #>> '{}'", "cast(:filled as jsonb) #>> '{}'") for name in FILLED),
        ("properties", "cast(:was as jsonb)", "cast(:filled as jsonb)"),
    )
}

_IDS_BACK = text("""
update tidegate.contact_ids i set contact = :other
from jsonb_populate_recordset(null::tidegate.contact_ids, cast(:rows as jsonb)) r
where i.livemode = r.livemode and i.kind = r.kind and i.external_id = r.external_id and i.contact = :kept""")

# A link that somebody made anew since is no longer the one that was moved.
_LINKS_BACK = text("""
update tidegate.links l set contact = :other
from jsonb_populate_recordset(null::tidegate.links, cast(:rows as jsonb)) r
where l.connection = r.connection and l.customer = r.customer and l.contact = :kept and l.linked_at = r.linked_at""")

_STATE = text("""
select key, merged_into, kind || ':' || external_id as ref from tidegate.contacts where key in (:kept, :other)
for update""")
