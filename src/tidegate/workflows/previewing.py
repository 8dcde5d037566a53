"""Changes with a preview: tried in a transaction, told per feature who loses and gains what, and done by its token."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, text

from tidegate.catalog import snapshot
from tidegate.contacts import linking
from tidegate.entitlements import holders
from tidegate.entitlements.grants import derive_grants
from tidegate.entitlements.telling import standing_of
from tidegate.errors import PreviewStale
from tidegate.workflows.refresh import refresh_contacts

BATCH = 500


@dataclass(frozen=True, slots=True)
class Change:
    """A change of the catalog or of contacts. `what` describes it in full, for the token.

    `touched(db)` tells the contacts (internal keys) whose entitlements it may change, before it is done or after;
    `do(db)` does it and returns what the caller wants to know of it.
    """

    what: dict[str, Any]
    touched: Callable[[Connection], Sequence[int]]
    do: Callable[[Connection], Any]


@dataclass(slots=True)
class Preview:
    """What a change does: `features` has per feature the contacts that it changes for, as {contact, before, now} (None:
    nothing is given); `contacts` is how many were looked at; `result` what `do` returned. `done`: it was carried out.
    """

    token: str
    contacts: int
    features: dict[str, list[dict[str, Any]]] = field(default_factory=dict[str, list[dict[str, Any]]])
    result: Any = None
    done: bool = False

    def as_json(self, listed: int | None = None) -> dict[str, Any]:
        """As the API and `--json` answer it, with at most `listed` contacts of each feature (None: all of them).

        `totals` counts all, by feature.
        """
        totals = {feature: _counted(changes) for feature, changes in self.features.items()}
        return {
            "token": self.token,
            "done": self.done,
            "contacts": self.contacts,
            **{name: sum(one[name] for one in totals.values()) for name in ("lost", "gained", "changed")},
            "totals": totals,
            "features": {feature: changes[:listed] for feature, changes in self.features.items()},
            "result": self.result,
        }


def _counted(changes: Sequence[dict[str, Any]]) -> dict[str, int]:
    lost = sum(1 for one in changes if one["now"] is None)
    gained = sum(1 for one in changes if one["before"] is None)
    return {"lost": lost, "gained": gained, "changed": len(changes) - lost - gained}


def preview(engine: Engine, change: Change) -> Preview:
    """Tries the change and takes it back: nothing stays but the answer. Raises what the change raises."""
    with engine.connect() as db, db.begin() as trying:
        found, _ = _carry_out(db, change)
        trying.rollback()
    return found


def commit(engine: Engine, change: Change, token: str | None) -> Preview:
    """Does the change, when what it does is still what the preview of this token told (None: whatever it does).

    Raises PreviewStale, and then nothing was done.
    """
    with engine.begin() as db:
        found, contacts = _carry_out(db, change)
        if token is not None and token != found.token:
            raise PreviewStale(problem="what it would change now differs from what was shown.")
        for some in _batches(contacts):
            refresh_contacts(db, some)
    found.done = True
    return found


def _carry_out(db: Connection, change: Change) -> tuple[Preview, list[int]]:
    """What the change does, and the contacts that it touched before or afterwards."""
    linking.lock(db)
    as_of: datetime = db.execute(text("select clock_timestamp()")).scalar_one()
    contacts = _touched(db, change)
    before = _standings(db, contacts, as_of)
    result = change.do(db)
    contacts = sorted({*contacts, *_touched(db, change)})
    for some in _batches(contacts):
        derive_grants(db, some)
    now = _standings(db, contacts, as_of)
    digest = hashlib.sha256(json.dumps([change.what, before, now], sort_keys=True, default=str).encode())
    found = Preview(digest.hexdigest()[:32], len(contacts), result=result)
    for key in sorted({*before, *now}):
        ref, was = before.get(key, ("", {}))
        ref, is_ = now.get(key, (ref, {}))
        for feature in sorted({*was, *is_}):
            if was.get(feature) != is_.get(feature):
                told = {"contact": ref, "before": was.get(feature), "now": is_.get(feature)}
                found.features.setdefault(feature, []).append(told)
    return found, contacts


def _touched(db: Connection, change: Change) -> list[int]:
    return sorted(set(change.touched(db)))


def _standings(db: Connection, contacts: Sequence[int], as_of: datetime) -> dict[int, tuple[str, dict[str, Any]]]:
    """Per contact (internal key: live and test data may have one of the same id) its id, and what it is given."""
    catalog = snapshot.load(db)
    found: dict[int, tuple[str, dict[str, Any]]] = {}
    for some in _batches(contacts):
        for key, holder in holders.load(db, some, as_of, features=()).items():
            found[key] = holder.contact, standing_of(holder, catalog, as_of)[0]
    return found


def _batches(contacts: Sequence[int]) -> list[Sequence[int]]:
    return [contacts[at : at + BATCH] for at in range(0, len(contacts), BATCH)]
