"""Changes with a preview: tried in a transaction, told per feature who loses and gains what, and done by its token."""

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection, Engine, text

from tidegate.contacts import linking
from tidegate.entitlements.grants import derive_grants
from tidegate.errors import ContactsBusy, DatabaseBusy, PreviewNeeded, PreviewStale
from tidegate.lifecycle import due
from tidegate.store.trouble import repeated
from tidegate.workflows import standings
from tidegate.workflows.refresh import refresh_contacts
from tidegate.workflows.standings import kind, said

_T = TypeVar("_T")


class Prepared(NamedTuple):
    """What preparing a change did: contacts (internal keys) whose entitlements may change by it, those that it made,
    and what the token covers beside entitlements, as JSON.
    """

    contacts: Collection[int] = ()
    made: Collection[int] = ()
    covered: Any = None


def nothing(_db: Connection) -> Prepared:
    """Prepares nothing."""
    return Prepared()


def as_it_is(_found: "Preview") -> None:
    """Corrects nothing."""


def at_once(_engine: Engine) -> None:
    """Settles nothing first."""


def nobody(_db: Connection) -> None:
    """Waits for nobody."""


def no_more(_db: Connection) -> None:
    """Ends nothing."""


class Apart(NamedTuple):
    """How a change is done that concerns every customer of a connection, so that nobody has to wait until all are
    looked at: `do(db)` does what is quick and queues the rest, `finish(engine)` does that by batches; what is left when
    it ends before its time a worker does. `needed(db)`: whether the change is such a one.
    """

    needed: Callable[[Connection], bool]
    do: Callable[[Connection], Any]
    finish: Callable[[Engine], None]


@dataclass(frozen=True, slots=True)
class Change:
    """A change of the catalog or of contacts. `what` describes it in full, for the token.

    `touched(db)` tells the contacts (internal keys) whose entitlements it may change, before it is done or after;
    `do(db)` does it and returns what the caller wants to know of it. `prepare(db)` does the part of it that only tells
    whom it concerns by being done, and changes no grants; `correct` mends what is told of it. `apart`: how it is done
    where all in one transaction would take too long; what it does is the preview's then. `silent`: nothing happens to a
    contact by it, so nobody is told how its stage, segments and alerts become others; `afterwards(db)` ends it once all
    is derived of what it did. `beforehand(engine)` settles what is to be told before it is done; `turn(db)` waits for
    whom it must not meet.
    """

    what: dict[str, Any]
    touched: Callable[[Connection], Sequence[int]]
    do: Callable[[Connection], Any]
    prepare: Callable[[Connection], Prepared] = nothing
    correct: Callable[["Preview"], None] = as_it_is
    apart: Apart | None = None
    silent: bool = False
    beforehand: Callable[[Engine], None] = at_once
    turn: Callable[[Connection], None] = nobody
    afterwards: Callable[[Connection], None] = no_more


@dataclass(slots=True)
class Preview:
    """What a change does: `features` has per feature the contacts that it changes for, as {contact, before, now} (None:
    nothing is given), the first `standings.NAMED`, and `unlisted` how many more lose, gain or have another; `concerned`
    for how many contacts anything changes; `contacts` is how many were looked at; `result` what `do` returned. `done`:
    it was carried out.
    """

    token: str
    contacts: int
    features: dict[str, list[dict[str, Any]]] = field(default_factory=dict[str, list[dict[str, Any]]])
    unlisted: dict[str, Counter[str]] = field(default_factory=dict[str, Counter[str]])
    concerned: int = 0
    result: Any = None
    done: bool = False

    def token_if_harmless(self) -> str:
        """Its token, where nobody loses anything or has something else afterwards. Raises PreviewNeeded."""
        if self.hurts:
            raise PreviewNeeded(count=f"{self.concerned:,}")
        return self.token

    @property
    def hurts(self) -> bool:
        """Whether somebody loses something, or has something else afterwards."""
        return any(one["lost"] or one["changed"] for one in self.totals().values())

    def totals(self) -> dict[str, dict[str, int]]:
        """By feature, how many contacts lose it, gain it or have another of it: {lost, gained, changed}."""
        found: dict[str, dict[str, int]] = {}
        for feature, changes in self.features.items():
            counted = Counter(kind(one) for one in changes) + self.unlisted.get(feature, Counter())
            found[feature] = {name: counted[name] for name in ("lost", "gained", "changed")}
        return found

    def as_json(self, listed: int | None = None) -> dict[str, Any]:
        """As the API and `--json` answer it, with at most `listed` contacts of each feature (None: all that are
        named). `totals` counts all, by feature.
        """
        totals = self.totals()
        return {
            "token": self.token,
            "done": self.done,
            "contacts": self.contacts,
            **{name: sum(one[name] for one in totals.values()) for name in ("lost", "gained", "changed")},
            "totals": totals,
            "features": {feature: changes[:listed] for feature, changes in self.features.items()},
            "result": self.result,
        }


def preview(engine: Engine, change: Change) -> Preview:
    """Tries the change and takes it back: nothing stays but the answer. Raises what the change raises, ContactsBusy."""
    return tried(engine, lambda db: _carry_out(db, change)[0])


def tried(engine: Engine, trying: Callable[[Connection], _T]) -> _T:
    """Does something and takes it back, on what is stored at its beginning.

    Nobody is kept from contacts meanwhile: it does not take `linking.lock`, and when others hold a row that it would
    write it begins anew, before PostgreSQL would call it a deadlock. Raises ContactsBusy when they always do.
    """

    def once() -> _T:
        with engine.connect().execution_options(isolation_level="REPEATABLE READ") as db, db.begin() as doing:
            db.execute(text("set local lock_timeout = '900ms'"))
            found = trying(db)
            doing.rollback()
        return found

    try:
        return repeated(once, "a preview", tries=5)
    except DatabaseBusy as error:
        raise ContactsBusy() from error


def commit(engine: Engine, change: Change, token: str | None) -> Preview:
    """Does the change, when what it does is still what the preview of this token told (None: whatever it does).

    Raises PreviewStale, ContactsBusy, and then nothing was done.
    """
    change.beforehand(engine)
    if change.apart is not None:
        with engine.connect() as db:
            apart = change.apart.needed(db)
        if apart:
            return _commit_apart(engine, change, change.apart, token)
    with engine.begin() as db:
        linking.lock(db)
        change.turn(db)
        if change.silent:
            due.silently(db)
        found, contacts = _carry_out(db, change)
        _require(found, token)
        for some in standings.batches(contacts):
            refresh_contacts(db, some, silent=change.silent)
        change.afterwards(db)
    if change.apart is not None:
        change.apart.finish(engine)
    found.done = True
    return found


def _commit_apart(engine: Engine, change: Change, apart: Apart, token: str | None) -> Preview:
    found = preview(engine, change)
    _require(found, token)
    with engine.begin() as db:
        linking.lock(db)
        contacts = {*_touched(db, change)}
        if said(apart.do(db)) != said(found.result):
            raise PreviewStale(problem="something else changed meanwhile.")
        for some in standings.batches(sorted(contacts | {*_touched(db, change)})):
            refresh_contacts(db, some)
    apart.finish(engine)
    found.done = True
    return found


def _require(found: Preview, token: str | None) -> None:
    if token is not None and token != found.token:
        raise PreviewStale(problem="what it would change now differs from what was shown.")


def settle(engine: Engine, change: Change, token: str | None = None, *, anyway: bool = False) -> Preview:
    """Does the change: as the preview of this token told, or without one when it takes nothing from anybody or it is
    to be done `anyway`.

    Raises PreviewNeeded, PreviewStale, and what the change raises; nothing was done then.
    """
    if token is None and not anyway:
        token = preview(engine, change).token_if_harmless()
    return commit(engine, change, token)


def _carry_out(db: Connection, change: Change) -> tuple[Preview, list[int]]:
    """What the change does, and the contacts that it touched before or afterwards."""
    as_of: datetime = db.execute(text("select clock_timestamp()")).scalar_one()
    prepared = change.prepare(db)
    contacts = sorted({*_touched(db, change), *prepared.contacts} - {*prepared.made})
    before = standings.note(db, contacts, as_of)
    result = change.do(db)
    contacts = sorted({*contacts, *prepared.made, *_touched(db, change)})
    for some in standings.batches(contacts):
        derive_grants(db, some)
    now, differences = standings.compared(db, contacts, as_of)
    shown = said([change.what, prepared.covered, before, now])
    found = Preview(
        hashlib.sha256(shown.encode()).hexdigest()[:32],
        len(contacts),
        differences.features,
        differences.unlisted,
        differences.concerned,
        result,
    )
    change.correct(found)
    return found, contacts


def _touched(db: Connection, change: Change) -> list[int]:
    return sorted(set(change.touched(db)))
