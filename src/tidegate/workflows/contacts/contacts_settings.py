"""Changes the contact settings of a connection, and shows first what matching under them would do."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, text

from tidegate.connections.accounts import Account
from tidegate.contacts import changes, following, linking, policy
from tidegate.contacts.match import MatchPolicy, Queued
from tidegate.delivery.outbox import tell
from tidegate.entitlements import telling
from tidegate.errors import ManagedByFile, PreviewStale
from tidegate.mirror import changed
from tidegate.workflows import previewing
from tidegate.workflows.previewing import Change, Prepared, Preview
from tidegate.workflows.refresh import BATCH, ROWS, refresh_changed

NAMED = 20
ACCESS = ("grace_days", "paused_gives")
"""Settings that say when a subscription gives access: with them every contact is looked at."""


@dataclass(slots=True)
class Effect:
    """What other settings do to the links of a connection: customers linked that were not, links that lead elsewhere,
    contacts made, customers that wait, before and then. `examples` are the first of each. `features`: as `Preview` has
    it, `counted` how many change by feature, and `entitlements` in all.
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
    features: dict[str, list[dict[str, Any]]] = field(default_factory=dict[str, list[dict[str, Any]]])
    counted: dict[str, int] = field(default_factory=dict[str, int])
    done: bool = False

    def as_json(self, listed: int | None = None) -> dict[str, Any]:
        """As the API and `--json` answer it, with at most `listed` contacts of each feature (None: all that are
        named).
        """
        features = {feature: changes[:listed] for feature, changes in self.features.items()}
        told = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "counted"}
        return told | {"features": features}


@dataclass(slots=True)
class Matching:
    """Every customer of a connection matched under other settings than the ones stored (`before`)."""

    before: dict[str, Any]
    effect: Effect
    contacts: set[int] = field(default_factory=set[int])
    made: set[int] = field(default_factory=set[int])
    digest: str = ""

    def prepared(self) -> Prepared:
        """What it did, for a change with a preview."""
        return Prepared(self.contacts, self.made, [self.before, self.effect.settings, self.digest])


def current(db: Connection, connection: str) -> dict[str, Any]:
    """Every setting as it holds, `set` by whom: {settings, set, managed_by}."""
    stored = policy.stored(db, connection)
    return {"settings": policy.in_full(stored), "set": stored, "managed_by": policy.managed_by(db, connection)}


def preview(engine: Engine, account: Account, given: Mapping[str, Any], *, managed_by: str = "") -> Effect:
    """What the settings would do: everything is matched under them, and taken back. Raises as `commit` does."""
    return _tried(engine, account, given, managed_by)[1]


def _tried(engine: Engine, account: Account, given: Mapping[str, Any], managed_by: str) -> tuple[Preview, Effect]:
    matching: list[Matching] = []

    def prepare(db: Connection) -> Prepared:
        before, wanted = _settings(db, account, given, managed_by)
        matching[:] = [match_under(db, account, before, wanted)]
        return matching[0].prepared()

    def do(db: Connection) -> Effect:
        effect = matching[0].effect
        policy.store(db, account.name, effect.settings, managed_by=managed_by)
        return effect

    what = {"change": "contact_settings", "connection": account.name}
    shown = previewing.preview(engine, Change(what, lambda _db: (), do, prepare))
    effect: Effect = shown.result
    effect.token, effect.features = shown.token, shown.features
    effect.counted = {feature: sum(total.values()) for feature, total in shown.totals().items()}
    effect.entitlements = sum(effect.counted.values())
    return shown, effect


def commit(
    engine: Engine,
    account: Account,
    given: Mapping[str, Any],
    by: str,
    token: str | None,
    *,
    managed_by: str = "",
    anyway: bool = False,
) -> Effect:
    """Stores the settings and matches every customer under them, many transactions after another: nobody else has to
    wait for all, and what is left when it ends before its time a worker does.

    `token`: of the preview that was looked at; None: when it takes nothing from anybody, or `anyway`. `managed_by`
    `file`: `given` is all that is set from now on, and nobody else changes it; else it is what changes. Raises
    ContactSettingsInvalid, ManagedByFile, PreviewNeeded, PreviewStale.
    """
    shown, effect = _tried(engine, account, given, managed_by)
    if token is None and not anyway:
        shown.token_if_harmless()
    if token is not None and token != effect.token:
        raise PreviewStale(problem="the links it would make now differ from what was shown.")
    with engine.begin() as db:
        linking.lock(db)
        before, wanted = _settings(db, account, given, managed_by)
        if wanted != effect.settings:
            raise PreviewStale(problem="somebody else changed the settings.")
        store(db, account, before, wanted, managed_by=managed_by)
        changes.note(db, "settings", by, what={"connection": account.name, "settings": wanted})
    refresh_changed(engine, account)
    effect.done = True
    return effect


def store(
    db: Connection, account: Account, before: Mapping[str, Any], wanted: dict[str, Any], *, managed_by: str
) -> None:
    """Stores settings and queues every customer, to be matched under them by `refresh_changed`; in the caller's
    transaction, which holds `linking.lock`.
    """
    policy.store(db, account.name, wanted, managed_by=managed_by)
    changed.note_all(db, account.name, BATCH // ROWS)
    telling.look_again(db, _concerned(db, account, before, wanted))


def _settings(
    db: Connection, account: Account, given: Mapping[str, Any], managed_by: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is stored, and what is to be. A setting that is given as None goes back to its default."""
    if not managed_by and policy.managed_by(db, account.name):
        raise ManagedByFile(what=f"The contact settings of {account.name}")
    before = policy.stored(db, account.name)
    said = given if managed_by else {**before, **given}
    return before, policy.checked({k: v for k, v in said.items() if v is not None or k not in policy.NAMES})


def match_under(db: Connection, account: Account, before: dict[str, Any], wanted: dict[str, Any]) -> Matching:
    """Matches every customer of a connection under settings that are not stored yet, in the caller's transaction; what
    that does to entitlements is not derived.
    """
    matching = Matching(before, Effect(settings=wanted))
    effect, rules = matching.effect, policy.read(wanted)
    count = text("select count(*) from tidegate.reviews where connection = :c")
    effect.queued_before = int(db.scalar(count, {"c": account.name}) or 0)
    _match_all(db, account, rules, matching)
    effect.queued = int(db.scalar(count, {"c": account.name}) or 0)
    effect.other_kind = int(db.scalar(_OTHER_KIND, {"c": account.name, "kind": rules.kind}) or 0)
    contacts = sorted(matching.contacts)
    for at in range(0, len(contacts), BATCH):
        following.follow(db, contacts[at : at + BATCH])
    matching.contacts |= {*_concerned(db, account, before, wanted)}
    return matching


def _match_all(db: Connection, account: Account, rules: MatchPolicy, matching: Matching) -> None:
    customers = list(db.scalars(_EVERY, {"c": account.name}))
    effect, lines = matching.effect, hashlib.sha256()
    for at in range(0, len(customers), BATCH):
        some = customers[at : at + BATCH]
        matched = linking.link(db, account.name, account.livemode, some, rules)
        tell(db, matched.told)
        moved = {one.data["customer"] for one in matched.told if one.type == "contact.unlinked"}
        for one in matched.told:
            created = one.type == "contact.created"
            effect.created += created
            if one.type == "contact.linked":
                _count_link(effect, one.data, one.data["customer"] in moved)
            if one.contact is not None:
                (matching.made if created else matching.contacts).add(one.contact)
            # The key of a contact that is made differs from try to try; its data does not.
            known = None if one.contact in matching.made else one.contact
            lines.update(json.dumps([one.type, known, one.data], sort_keys=True).encode())
        waiting = sorted((c, o.reason) for c, o in matched.outcomes.items() if isinstance(o, Queued))
        lines.update(json.dumps(waiting).encode())
        effect.customers += len(some)
    matching.digest = lines.hexdigest()


def _concerned(db: Connection, account: Account, before: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[int]:
    """The contacts of a connection, where the settings give access at other times."""
    same = all(before.get(name) == wanted.get(name) for name in ACCESS)
    return [] if same else list(db.scalars(_LINKED, {"c": account.name}))


def _count_link(effect: Effect, data: Mapping[str, Any], moved: bool) -> None:
    what = "changed" if moved else "created" if data["method"] == "created" else "linked"
    if what == "changed":
        effect.changed += 1
    elif what == "linked":
        effect.linked += 1
    examples = effect.examples.setdefault(what, [])
    if len(examples) < NAMED:
        examples.append(dict(data))


_EVERY = text("select id from stripe.customers where connection = :c order by created nulls last, id")

_LINKED = text("select distinct contact from tidegate.links where connection = :c and contact is not null")

_OTHER_KIND = text("""
select count(*) from tidegate.links l join tidegate.contacts c on c.key = l.contact
where l.connection = :c and c.kind <> :kind""")
