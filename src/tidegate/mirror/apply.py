"""The one way into the mirror: versions of objects go in, the newest of each is stored, changed customers come out."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, TextClause

from tidegate.mirror import changed, children, discounts, forgotten, refetches, test_clocks, unreadable, versions
from tidegate.mirror.arrivals import Arrival, Counts, Lost
from tidegate.mirror.decide import Certainty, Incoming, Stored, Verdict, decide, without_a_look
from tidegate.mirror.rows import layout
from tidegate.mirror.statements import Statements, statements
from tidegate.store.bulk import Refused, Texts, copied_new_rows, copy_sound_rows, jsonb, open_stage
from tidegate.store.driver import run
from tidegate.stripe_api.resources.discounts import DISCOUNTS
from tidegate.stripe_api.resources.resource import Resource
from tidegate.stripe_api.resources.test_clocks import TEST_CLOCKS

_batches = itertools.count(1)


@dataclass(slots=True)
class Applied:
    """What became of the versions, and the customers (Stripe ids) whose mirrored facts changed, kept versions among
    them; `spared`: the objects that are stored as they came and were not written; `shared`: those whose change is one
    to every customer that names them.
    """

    counts: Counts = field(default_factory=Counts)
    customers: set[str] = field(default_factory=set[str])
    spared: list[str] = field(default_factory=list[str])
    shared: set[str] = field(default_factory=set[str])


@dataclass(slots=True)
class _Batch:
    """Versions of different objects of one resource, staged together."""

    connection: Connection
    account: str
    resource: Resource
    sql: Statements
    number: int
    arrivals: dict[str, Arrival]
    applied: Applied
    owners: dict[str, str | None] = field(default_factory=dict[str, str | None])  # customers, as they were stored
    lost: list[Lost] = field(default_factory=list[Lost])  # what of their children could not be taken
    new: bool = False  # the mirror has none of the objects
    unreadable: bool = True  # there may be unreadable objects of the resource
    sparing: bool = False
    spared: set[str] = field(default_factory=set[str])
    alike: set[str] = field(default_factory=set[str])  # as before in all that customers have in common

    def run(self, statement: TextClause, **values: Any) -> Any:
        return self.connection.execute(statement, {"connection": self.account, "batch": self.number, **values})


def apply(
    connection: Connection,
    account: str,
    resource: Resource,
    arrivals: Sequence[Arrival],
    lost: Sequence[Lost] = (),
    *,
    sparing: bool = False,
) -> Applied:
    """Stores versions of objects of one resource, in the caller's transaction.

    `account` is the connection's name. Several versions of one object are taken one after the other, in the order
    given. Rules: semantics, Mirror, "Which version wins"; `decide` holds them. Objects that PostgreSQL refuses are
    kept as text in `tidegate.unreadable`; `lost` are those that could not even be read. With `sparing` what was read
    before and is unchanged is neither written nor locked: the caller sees to it that it counts as seen (`sightings`).
    What belongs to a customer that was forgotten is redacted first, whoever tells of it.
    """
    if not (arrivals or lost):
        return Applied()
    sql = statements(resource)
    look = run(connection, sql.look, {"connection": account, "ids": Texts([a.id for a in arrivals])})
    [(any_forgotten, any_unreadable, stored)] = look.fetchall()
    if any_forgotten:
        arrivals, lost = forgotten.redact(connection, account, resource, arrivals, lost)
    applied = Applied(Counts(read=len(arrivals) + len(lost)))
    applied.counts.unreadable += sum(1 for one in lost if not one.field)
    unreadable.record(connection, account, resource.name, lost)
    for n, round_ in enumerate(_rounds(arrivals)):
        batch = _Batch(connection, account, resource, sql, next(_batches), round_, applied, sparing=sparing)
        batch.new, batch.unreadable = n == 0 and not stored, any_unreadable or bool(lost)
        _apply_round(batch)
    changed.note(connection, account, applied.customers)
    changed.note_objects(connection, account, resource.name, applied.shared)
    return applied


def _rounds(arrivals: Sequence[Arrival]) -> list[dict[str, Arrival]]:
    """The n-th versions of each object, for n = 1, 2, …: within a round every object stands once."""
    rounds: list[dict[str, Arrival]] = []
    seen: dict[str, int] = {}
    for arrival in arrivals:
        n = seen.get(arrival.id, 0)
        seen[arrival.id] = n + 1
        if n == len(rounds):
            rounds.append({})
        rounds[n][arrival.id] = arrival
    return rounds


def _apply_round(batch: _Batch) -> None:
    connection, account, resource, arrivals = batch.connection, batch.account, batch.resource, batch.arrivals
    verdicts: dict[Verdict, list[str]] = {verdict: [] for verdict in Verdict}
    if _copy_new(batch):
        fresh: list[str] = list(arrivals)
        if batch.unreadable:
            unreadable.forget(connection, account, resource.name, fresh, [])
        unreadable.record(connection, account, resource.name, [*_faults(batch, fresh), *batch.lost])
    else:
        fresh = _apply_staged(batch, verdicts)
        newer = [*fresh, *verdicts[Verdict.WINS], *verdicts[Verdict.CONFIRMS]]
        told = [id_ for id_ in newer if arrivals[id_].certainty is not Certainty.SETTLED]
        refetches.overtake(connection, account, resource, told)
    _ask_again(batch, fresh, verdicts)
    if resource.name == TEST_CLOCKS.name:
        gone = [id_ for id_ in [*fresh, *verdicts[Verdict.WINS]] if arrivals[id_].deleted]
        test_clocks.ask_for_rows_on(connection, account, gone)
    _count(batch, fresh, verdicts)


def _copy_new(batch: _Batch) -> bool:
    """Copies a batch of objects that the mirror lacks, with their children, straight into their tables: for an import
    half the server's work. False, and nothing written, unless all of it is new, sound and plain.
    """
    if not batch.new or any(a.event or a.deleted for a in batch.arrivals.values()):
        return False
    # In one order everywhere, or two that store the same new objects could each wait for the other.
    arrivals = sorted(batch.arrivals.values(), key=lambda a: a.id)
    gathered = children.gather(batch.account, batch.resource, arrivals)
    tables = [(batch.resource, batch.sql.direct, [_row(batch, a) for a in arrivals])]
    tables += [(one.resource, one.sql.direct, one.rows) for one in gathered]
    if not all(layout(resource).surely_fit(rows) for resource, _, rows in tables):
        return False
    if not copied_new_rows(batch.connection, [(into, rows) for _, into, rows in tables]):
        return False
    for one in gathered:
        batch.applied.counts.children[one.resource.name] += len(one.rows)
        batch.lost += one.lost
    return True


def _apply_staged(batch: _Batch, verdicts: dict[Verdict, list[str]]) -> list[str]:
    """Stages the batch, inserts what is new, decides about the rest; fills `verdicts`, returns the new ones."""
    name = batch.resource.name
    unreadable.record(batch.connection, batch.account, name, _stage(batch))
    if not batch.arrivals:
        return []
    if batch.sparing:
        batch.spared = {row.id for row in batch.run(batch.sql.spare)}
        batch.applied.spared += sorted(batch.spared)
        verdicts[Verdict.CONFIRMS] += batch.spared
    whole = len(batch.spared) == len(batch.arrivals)
    fresh: list[str] = [] if whole else [row.id for row in batch.run(batch.sql.insert_new)]
    left = len(fresh) + len(batch.spared) < len(batch.arrivals)
    sames = _judge(batch, fresh, verdicts) if left else set[str]()
    won = _store(batch, verdicts, sames)
    written = [*fresh, *won]
    living = [a for id_ in written if not (a := batch.arrivals[id_]).deleted]
    for one in children.gather(batch.account, batch.resource, living):
        rows = children.replace(batch.connection, batch.account, batch.number, one, set(won))
        batch.applied.counts.children[one.resource.name] += rows
        batch.lost += one.lost
    replaced, confirmed = [*fresh, *verdicts[Verdict.WINS]], verdicts[Verdict.CONFIRMS]
    unreadable.forget(batch.connection, batch.account, name, replaced, confirmed)
    unreadable.record(batch.connection, batch.account, name, [*_faults(batch, written), *batch.lost])
    return fresh


def _faults(batch: _Batch, written: Sequence[str]) -> list[Lost]:
    return [Lost(id_, fault.field, fault.reason) for id_ in written for fault in batch.arrivals[id_].reading.faults]


def _row(batch: _Batch, a: Arrival) -> tuple[Any, ...]:
    return layout(batch.resource).row(batch.account, a.reading, a.at, int(a.certainty), a.body, deleted=a.deleted)


def _stage(batch: _Batch) -> list[Lost]:
    """Copies the batch into its temporary table; what PostgreSQL refuses leaves the batch and is returned."""
    open_stage(batch.connection, batch.sql.stage, batch.sql.definition)
    arrivals = list(batch.arrivals.values())
    rows = [
        (batch.number, a.event, None if a.previous is None else jsonb(a.previous), *_row(batch, a)) for a in arrivals
    ]
    refusals = copy_sound_rows(batch.connection, batch.sql.staged, rows)
    lost = [_refusal(arrivals[refusal.place], refusal) for refusal in refusals]
    for one in lost:
        del batch.arrivals[one.object_id]
    batch.applied.counts.unreadable += len(lost)
    return lost


def _refusal(arrival: Arrival, refusal: Refused) -> Lost:
    return Lost(arrival.id, "", f"PostgreSQL refused it: {refusal.reason}", arrival.body)


def _judge(batch: _Batch, fresh: list[str], verdicts: dict[Verdict, list[str]]) -> set[str]:
    """Decides every object that was stored before; returns those whose content is the stored one's."""
    sames: set[str] = set()
    for row in batch.run(batch.sql.compare, fresh=[*fresh, *batch.spared]):
        a = batch.arrivals[row.id]
        created, came = (row.created, a.reading.created) if batch.resource.reusable_id else (None, None)
        stored = Stored(row.at, Certainty(row.certainty), created, row.deleted_at)
        incoming = Incoming(a.at, a.certainty, came, a.deleted, row.same, a.whole)
        verdict = decide(stored, incoming)
        if verdict is Verdict.DOUBT and not batch.resource.askable:
            followed = versions.followed(batch.connection, batch.account, batch.resource, a)
            first = bool(a.event) and a.previous is None
            verdict = without_a_look(stored, incoming, first=first, followed=followed)
        verdicts[verdict].append(row.id)
        batch.owners[row.id] = row.owner
        if row.same:
            sames.add(row.id)
        if row.alike:
            batch.alike.add(row.id)
    return sames


def _store(batch: _Batch, verdicts: dict[Verdict, list[str]], sames: set[str]) -> list[str]:
    """Writes what the verdicts say; returns the objects whose content was replaced."""
    won = verdicts[Verdict.WINS]
    buried = [id_ for id_ in won if batch.arrivals[id_].deleted]
    replaced = [id_ for id_ in won if not batch.arrivals[id_].deleted]
    beaten = [id_ for v in (Verdict.LOSES, Verdict.DOUBT, Verdict.PARTIAL) for id_ in verdicts[v] if id_ not in sames]
    if batch.resource.versions:
        if won:
            batch.run(batch.sql.keep_stored, ids=won)
        if beaten or any(a.event for a in batch.arrivals.values()):
            batch.run(batch.sql.keep_incoming, ids=beaten)
    if replaced:
        if batch.resource.name == "customers":
            _take_away(batch, replaced)
        batch.run(batch.sql.replace, ids=replaced)
    if buried:
        batch.run(batch.sql.bury, ids=buried)
        children.bury(batch.connection, batch.account, batch.resource, batch.arrivals, buried)
    if confirmed := [id_ for id_ in verdicts[Verdict.CONFIRMS] if id_ not in batch.spared]:
        batch.run(batch.sql.confirm, ids=confirmed)
    return replaced


def _take_away(batch: _Batch, replaced: Sequence[str]) -> None:
    """Buries the discounts that customers had until now."""
    stage, arrivals = batch.sql.stage, batch.arrivals
    gone = discounts.taken_away(batch.connection, batch.account, stage, batch.number, arrivals, replaced)
    apply(batch.connection, batch.account, DISCOUNTS, *gone)


def _ask_again(batch: _Batch, fresh: list[str], verdicts: dict[Verdict, list[str]]) -> None:
    """Queues a look at Stripe for what was in doubt or came without its whole content."""
    asked = [refetches.Ask(id_, "doubt", batch.arrivals[id_].at) for id_ in verdicts[Verdict.DOUBT]]
    partial = [id_ for id_ in [*fresh, *verdicts[Verdict.PARTIAL]] if not batch.arrivals[id_].whole]
    asked += [refetches.Ask(id_, "cut_off", batch.arrivals[id_].at) for id_ in partial]
    refetches.ask(batch.connection, batch.account, batch.resource, asked)


def _count(batch: _Batch, fresh: list[str], verdicts: dict[Verdict, list[str]]) -> None:
    counts = batch.applied.counts
    buried = [id_ for id_ in [*fresh, *verdicts[Verdict.WINS]] if batch.arrivals[id_].deleted]
    counts.deleted += len(buried)
    counts.stored += len(fresh) + len(verdicts[Verdict.WINS]) - len(buried)
    counts.new += sum(not batch.arrivals[id_].deleted for id_ in fresh)
    counts.unchanged += len(verdicts[Verdict.CONFIRMS])
    counts.older += len(verdicts[Verdict.LOSES])
    counts.doubtful += len(verdicts[Verdict.DOUBT]) + len(verdicts[Verdict.PARTIAL])
    taken = [*fresh, *verdicts[Verdict.WINS]]
    if batch.resource.shared:
        batch.applied.shared.update(id_ for id_ in taken if id_ not in buried and id_ not in batch.alike)
    kept = (Verdict.LOSES, Verdict.DOUBT, Verdict.PARTIAL) if batch.resource.versions else ()
    batch.applied.customers.update(_owners(batch, [*taken, *(id_ for verdict in kept for id_ in verdicts[verdict])]))


def _owners(batch: _Batch, ids: Sequence[str]) -> Iterator[str]:
    """The customers whose these objects are, or were before."""
    if batch.resource.name == "customers":
        yield from ids
        return
    columns = batch.resource.columns
    if batch.sql.owners is not None:
        at = next(i for i, column in enumerate(columns) if column.name == batch.resource.owned_by)
        parents = {batch.arrivals[id_].reading.values[at] for id_ in ids} - {None}
        yield from batch.run(batch.sql.owners, parents=sorted(parents)).scalars() if parents else ()
        return
    at = next((i for i, column in enumerate(columns) if column.refers_to == "customers"), None)
    if at is not None:
        now = [batch.arrivals[id_].reading.values[at] for id_ in ids]
        yield from (owner for owner in (*now, *map(batch.owners.get, ids)) if owner is not None)
