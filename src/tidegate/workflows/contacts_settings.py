"""Changes the contact settings of a connection, and shows first what matching under them would do."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, text

from tidegate.connections.accounts import Account
from tidegate.contacts import changes, following, linking, policy
from tidegate.contacts.match import Queued
from tidegate.delivery.outbox import tell
from tidegate.errors import ManagedByFile, PreviewStale
from tidegate.workflows.refresh import refresh_contacts

BATCH = 500
NAMED = 20
ACCESS = ("grace_days", "paused_gives")
"""Settings that say when a subscription gives access: with them every contact is looked at."""


@dataclass(slots=True)
class Effect:
    """What other settings do to the links of a connection: customers linked that were not, links that lead elsewhere,
    contacts made, customers that wait, before and then. `examples` are the first of each.
    """

    token: str = ""
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    customers: int = 0
    linked: int = 0
    changed: int = 0
    created: int = 0
    queued: int = 0
    queued_before: int = 0
    other_kind: int = 0
    entitlements: int = 0
    examples: dict[str, list[dict[str, Any]]] = field(default_factory=dict[str, list[dict[str, Any]]])
    done: bool = False

    def as_json(self) -> dict[str, Any]:
        """As the API and `--json` answer it."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def current(db: Connection, connection: str) -> dict[str, Any]:
    """Every setting as it holds, `set` by whom: {settings, set, managed_by}."""
    stored = policy.stored(db, connection)
    return {"settings": policy.in_full(stored), "set": stored, "managed_by": policy.managed_by(db, connection)}


def preview(engine: Engine, account: Account, given: Mapping[str, Any], *, managed_by: str = "") -> Effect:
    """What the settings would do: everything is matched under them, and taken back. Raises as `commit` does."""
    with engine.connect() as db, db.begin() as trying:
        effect = _change(db, account, given, managed_by, lambda _done, _total: None)
        trying.rollback()
    return effect


def commit(
    engine: Engine,
    account: Account,
    given: Mapping[str, Any],
    by: str,
    token: str | None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    *,
    managed_by: str = "",
) -> Effect:
    """Stores the settings and matches every customer under them, in one transaction.

    `token`: of the preview that was looked at; None: whatever it does. `managed_by` `file`: `given` is all that is set
    from now on, and nobody else changes it; else it is what changes. Raises ContactSettingsInvalid, ManagedByFile,
    PreviewStale.
    """
    with engine.begin() as db:
        effect = _change(db, account, given, managed_by, progress)
        if token is not None and token != effect.token:
            raise PreviewStale(problem="the links it would make now differ from what was shown.")
        changes.note(db, "settings", by, what={"connection": account.name, "settings": effect.settings})
    effect.done = True
    return effect


def _change(
    db: Connection,
    account: Account,
    given: Mapping[str, Any],
    managed_by: str,
    progress: Callable[[int, int], None],
) -> Effect:
    """Stores and matches. A setting that is given as None goes back to its default."""
    linking.lock(db)
    if not managed_by and policy.managed_by(db, account.name):
        raise ManagedByFile(what=f"The contact settings of {account.name}")
    before = policy.stored(db, account.name)
    said = given if managed_by else {**before, **given}
    wanted = policy.checked({k: v for k, v in said.items() if v is not None or k not in policy.NAMES})
    policy.store(db, account.name, wanted, managed_by=managed_by)
    return rematch(db, account, before, wanted, progress)


def rematch(
    db: Connection,
    account: Account,
    before: Mapping[str, Any],
    wanted: dict[str, Any],
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Effect:
    """Matches every customer of a connection under settings that were just stored, in the caller's transaction, which
    holds `linking.lock`.
    """
    effect = Effect(settings=wanted)
    count = text("select count(*) from tidegate.reviews where connection = :c")
    effect.queued_before = int(db.scalar(count, {"c": account.name}) or 0)
    lines = hashlib.sha256(json.dumps([account.name, wanted], sort_keys=True).encode())
    contacts = _match_all(db, account, effect, lines, progress)
    effect.queued = int(db.scalar(count, {"c": account.name}) or 0)
    kind = policy.read(wanted).kind
    effect.other_kind = int(db.scalar(_OTHER_KIND, {"c": account.name, "kind": kind}) or 0)
    if any(before.get(name) != wanted.get(name) for name in ACCESS):
        contacts |= set(db.scalars(_LINKED, {"c": account.name}))
    effect.entitlements = _refresh(db, sorted(contacts))
    effect.token = lines.hexdigest()[:32]
    return effect


def _match_all(
    db: Connection, account: Account, effect: Effect, lines: Any, progress: Callable[[int, int], None]
) -> set[int]:
    """Matches every customer; returns the contacts whose links changed."""
    customers = list(db.scalars(_EVERY, {"c": account.name}))
    contacts: set[int] = set()
    for at in range(0, len(customers), BATCH):
        some = customers[at : at + BATCH]
        matched = linking.link(db, account.name, account.livemode, some)
        tell(db, matched.told)
        moved = {one.data["customer"] for one in matched.told if one.type == "contact.unlinked"}
        for one in matched.told:
            if one.type == "contact.created":
                effect.created += 1
            elif one.type == "contact.linked":
                _count_link(effect, one.data, one.data["customer"] in moved)
            if one.contact is not None:
                contacts.add(one.contact)
            # The key of a contact that is made differs from try to try; its data does not.
            known = None if one.type == "contact.created" or one.data.get("method") == "created" else one.contact
            lines.update(json.dumps([one.type, known, one.data], sort_keys=True).encode())
        waiting = sorted((c, o.reason) for c, o in matched.outcomes.items() if isinstance(o, Queued))
        lines.update(json.dumps(waiting).encode())
        effect.customers += len(some)
        progress(effect.customers, len(customers))
    return contacts


def _count_link(effect: Effect, data: Mapping[str, Any], moved: bool) -> None:
    what = "changed" if moved else "created" if data["method"] == "created" else "linked"
    if what == "changed":
        effect.changed += 1
    elif what == "linked":
        effect.linked += 1
    examples = effect.examples.setdefault(what, [])
    if len(examples) < NAMED:
        examples.append(dict(data))


def _refresh(db: Connection, contacts: list[int]) -> int:
    told = 0
    for at in range(0, len(contacts), BATCH):
        some = contacts[at : at + BATCH]
        following.follow(db, some)
        told += refresh_contacts(db, some).told
    return told


_EVERY = text("select id from stripe.customers where connection = :c order by created nulls last, id")

_LINKED = text("select distinct contact from tidegate.links where connection = :c and contact is not null")

_OTHER_KIND = text("""
select count(*) from tidegate.links l join tidegate.contacts c on c.key = l.contact
where l.connection = :c and c.kind <> :kind""")
