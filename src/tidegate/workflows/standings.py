"""What contacts are given before a change and after it: kept in the database meanwhile, compared some at a time, so
that a preview of everybody takes no more memory than one of a few.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from tidegate.catalog import snapshot
from tidegate.entitlements import holders
from tidegate.entitlements.telling import standing_of
from tidegate.store.bulk import Texts

BATCH = 500
NAMED = 10_000
"""Contacts of each feature that are named; the others are only counted."""


@dataclass(slots=True)
class Differences:
    """Per feature the contacts that have another thing of it, {contact, before, now} (None: nothing is given), the
    first of them, in the order of their keys; how many more lost, gained or changed it (`unlisted`); and for how many
    contacts anything is another.
    """

    features: dict[str, list[dict[str, Any]]] = field(default_factory=dict[str, list[dict[str, Any]]])
    unlisted: dict[str, Counter[str]] = field(default_factory=dict[str, Counter[str]])
    concerned: int = 0

    def add(self, contact: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        """Adds what one contact was given, and is."""
        differ = [name for name in sorted({*before, *now}) if said(before.get(name)) != said(now.get(name))]
        self.concerned += bool(differ)
        for feature in differ:
            listed = self.features.setdefault(feature, [])
            told = {"contact": contact, "before": before.get(feature), "now": now.get(feature)}
            if len(listed) < NAMED:
                listed.append(told)
            else:
                self.unlisted.setdefault(feature, Counter())[kind(told)] += 1


def kind(told: Mapping[str, Any]) -> str:
    """Whether a contact gained a feature, lost it, or has it otherwise: `gained`, `lost`, `changed`."""
    if told["now"] is None:
        return "lost"
    return "gained" if told["before"] is None else "changed"


def note(db: Connection, contacts: Sequence[int], as_of: datetime) -> str:
    """Keeps what these contacts (internal keys) are given until the transaction ends; a digest of it, of which neither
    their order nor what they are called makes part.
    """
    db.execute(_TABLE)
    digest = 0
    for some in batches(contacts):
        found = _given(db, some, as_of)
        keys = sorted(found)
        columns = {
            "contacts": keys,
            "refs": Texts([found[key][0] for key in keys]),
            "given": Texts([said(found[key][1]) for key in keys]),
        }
        db.execute(_NOTE, columns)
        digest += sum(_digest(found[key][1]) for key in keys)
    return _shown(digest)


def compared(db: Connection, contacts: Sequence[int], as_of: datetime) -> tuple[str, Differences]:
    """The digest of what these contacts are given now, and how it differs from what was kept; nobody else was kept."""
    digest, differences = 0, Differences()
    for some in batches(contacts):
        before = {row.contact: (row.ref, json.loads(row.given)) for row in db.execute(_NOTED, {"contacts": list(some)})}
        now = _given(db, some, as_of)
        digest += sum(_digest(given) for _, given in now.values())
        for key in sorted({*before, *now}):
            ref, was = before.get(key, ("", {}))
            ref, is_ = now.get(key, (ref, {}))
            differences.add(ref, was, is_)
    return _shown(digest), differences


def batches(contacts: Sequence[int]) -> Iterator[Sequence[int]]:
    """So many contacts as are looked at together."""
    return (contacts[at : at + BATCH] for at in range(0, len(contacts), BATCH))


def said(value: Any) -> str:
    """A value as JSON, the same for the same value."""
    return json.dumps(value, sort_keys=True, default=str)


def _given(db: Connection, contacts: Sequence[int], as_of: datetime) -> dict[int, tuple[str, dict[str, Any]]]:
    """Per contact (internal key: live and test data may have one of the same id) its id, and what it is given."""
    catalog = snapshot.load(db)
    loaded = holders.load(db, contacts, as_of, features=())
    return {key: (holder.contact, standing_of(holder, catalog, as_of)[0]) for key, holder in loaded.items()}


def _digest(given: Mapping[str, Any]) -> int:
    return int.from_bytes(hashlib.sha256(said(given).encode()).digest())


def _shown(digest: int) -> str:
    return f"{digest % (1 << 256):064x}"


_TABLE = text("""
create temporary table if not exists standings_before (contact bigint primary key, ref text, given text)
on commit drop;
truncate standings_before""")
_NOTE = text("""
insert into standings_before (contact, ref, given)
select * from unnest(cast(:contacts as bigint[]), cast(:refs as text[]), cast(:given as text[]))""")
_NOTED = text("select contact, ref, given from standings_before where contact = any(cast(:contacts as bigint[]))")
