"""Makes the plan of a sync: every differing row decided about, kept beside the rows, and held against the stops."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyarrow leaves its functions without types.

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tidegate.outbound import deciding
from tidegate.outbound.deciding import Asker, Deciding
from tidegate.outbound.fields.problems import Problem
from tidegate.outbound.plan.decide import Change, Decision, Terms
from tidegate.outbound.plan.deletes import deletion
from tidegate.outbound.resources import OWN, SETTABLE
from tidegate.outbound.specs import Sync
from tidegate.outbound.staging import Counts, Staging

KINDS = ("create", "update", "replace", "delete", "nothing", "skip", "held", "conflict", "invalid", "gone",
         "finish", "retire")  # fmt: skip
SAMPLE = 20
FEW = 10
"""Rows that a part may change whatever share of the known ones they are."""
VERSION = 2
"""Of how rows are made into requests here: another makes every row differ."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do. `fingerprint`: of all of it; `stops`: why it would not begin; `adopted`: how many of the
    updates are of objects that were none of the sync's before.
    """

    sync: str
    counts: dict[str, int]
    rows: Counts
    fingerprint: str
    stops: list[str] = field(default_factory=list[str])
    adopted: int = 0

    def as_json(self) -> dict[str, Any]:
        """As commands and routes answer it."""
        return asdict(self) | {"rows": self.rows._asdict()}


class Planned(NamedTuple):
    """A decision as it is kept: `hash` is of what the row says now."""

    decision: Decision
    hash: int


def version_of(sync: Sync) -> str:
    """A fingerprint of how the rows of a sync are sent."""
    said = sync.model_dump(mode="json", include={"resource", "mode", "match", "fields", "time_zone", "on_conflict"})
    return hashlib.sha256(json.dumps([VERSION, said], sort_keys=True).encode()).hexdigest()[:32]


def make(
    staging: Staging, sync: Sync, asking: Asker, *, keys: Sequence[str] | None = None,
    limit: int | None = None, follows: Sequence[Planned] = (), first: bool = False,
    progress: Callable[[int, int], None] | None = None, decide: Deciding | None = None,
) -> Plan:  # fmt: skip
    """Decides about every differing row (of these keys, or so many) and about those that are gone, which a run of a
    part leaves alone. The decisions are in the staging's table `decisions`. `follows`: what is done after them with
    objects that are known already. `first`: no run went through all rows yet, so that objects which are taken over are
    no sign of something wrong. `decide`: how; None: in this process.
    """
    decide = decide or deciding.here(asking, staging.departed)
    counts = staging.counts()
    way, _, column = sync.matched_by
    staging.pair(column, folds=way == "email")
    total = counts.new + counts.changed + counts.again
    terms = Terms(
        sync.resource,
        sync.mode,
        sync.on_conflict,
        sync.matched_by[0] == "id",
        sync.resource in SETTABLE,
        sync.replace_prices,
        way if way not in {"id", "metadata"} and way not in sync.fields else "",
    )
    staging.db.execute("""
create or replace table decisions (key varchar, hash bigint, kind varchar, object_id varchar, payload varchar,
  changes varchar, kept varchar, why varchar, problems varchar, wanted varchar, parent varchar)""")
    done = 0
    with closing(decide(terms, staging.batches(limit, keys))) as decided:
        for rows, table, named in decided:
            staging.note(named)
            _put(staging, table)
            done += rows
            if progress is not None:
                progress(done, total)
    _keep(staging, follows)
    whole = keys is None and limit is None
    if whole:
        _delete(staging, sync, asking)
        _finish(staging, sync, asking)
    found = dict(staging.db.execute("select kind, count(*) from decisions group by 1").fetchall())
    told = {kind: int(found.get(kind, 0)) for kind in KINDS}
    adopted = 0 if sync.resource in OWN else _adopted(staging)
    changed = told["update"] + told["replace"] - (adopted if first else 0)
    stops = _stops(sync, counts, told["delete"], changed, whole=whole)
    return Plan(sync.key, told, counts, _fingerprint(staging), stops, adopted)


def decisions(staging: Staging, kinds: Sequence[str], batch: int = 1_000) -> Iterator[list[Planned]]:
    """The decisions of these kinds by batches, in the order of the rows' keys."""
    wanted = ", ".join(f"'{kind}'" for kind in kinds)
    found = staging.db.cursor().execute(f"select * from decisions where kind in ({wanted}) order by key")
    while some := found.fetchmany(batch):
        yield [_planned(row) for row in some]


def sample(staging: Staging, kind: str, count: int = SAMPLE) -> list[dict[str, Any]]:
    """The first decisions of a kind, as they are shown."""
    found = staging.db.execute("select * from decisions where kind = ? order by key limit ?", [kind, count]).fetchall()
    return [shown(_planned(row).decision) for row in found]


def shown(decision: Decision) -> dict[str, Any]:
    """A decision as commands and routes answer it."""
    return {
        "key": decision.key,
        "kind": decision.kind,
        "object": decision.object_id,
        "changes": [asdict(one) for one in decision.changes],
        "kept": [asdict(one) for one in decision.kept],
        "why": decision.why,
        "problems": [one.as_json() for one in decision.problems],
    }


def export(staging: Staging, file: Path, kind: str = "") -> None:
    """Writes all decisions, or those of a kind, to a file: Parquet, CSV, or JSON by line, as its name ends."""
    form = {".parquet": "parquet", ".csv": "csv"}.get(file.suffix.lower(), "json")
    name = str(file).replace("'", "''")
    only = f"where kind = '{kind}'" if kind in KINDS else ""
    staging.db.execute(f"copy (select * from decisions {only} order by key) to '{name}' (format {form})")


def _keep(staging: Staging, planned: Sequence[tuple[Decision, int | None]]) -> None:
    if planned:
        _put(staging, deciding.table(planned))


def _put(staging: Staging, decided: Any) -> None:
    staging.db.register("decided", decided)
    staging.db.execute("insert into decisions by name select * from decided")
    staging.db.unregister("decided")


def _planned(row: Sequence[Any]) -> Planned:
    key, hash_, kind, object_id, payload, changes, kept, why, problems, wanted, parent = row
    return Planned(
        Decision(
            key, kind, object_id, json.loads(payload),
            [Change(**one) for one in json.loads(changes)], [Change(**one) for one in json.loads(kept)], why,
            [Problem(**one) for one in json.loads(problems)], json.loads(wanted), parent,
        ),
        hash_,
    )  # fmt: skip


def _delete(staging: Staging, sync: Sync, asking: Asker) -> None:
    gone, options = staging.gone(), sync.delete.model_dump()
    for start in range(0, len(gone), 10_000):
        about = asking.gone(gone[start : start + 10_000])
        heirs = _heirs(staging, asking, [row.object_id for row, _ in about if row.object_id])
        decided = [
            deletion(sync.resource, row.key, row.ours, row.object_id, live, options, heirs.get(row.object_id or "", ""))
            for row, live in about
        ]
        _keep(staging, [(one, row.hash) for one, (row, _) in zip(decided, about, strict=True)])


def _heirs(staging: Staging, asking: Asker, ids: Sequence[str]) -> dict[str, str]:
    """The rows of the model that are these objects, or will be, by the object's id."""
    planned = staging.db.execute(
        "select object_id, key from decisions where object_id in (select unnest(?)) and kind <> 'delete'", [list(ids)]
    ).fetchall()
    known = asking.holders(ids)
    left = staging.departed([key for _, key in known])
    return {id_: key for id_, key in (*known, *planned) if key not in left}


def _finish(staging: Staging, sync: Sync, asking: Asker) -> None:
    """What will be made, and the drafts that are adopted, are finished as well."""
    if sync.finish == "draft":
        return
    made = staging.db.execute("select key, hash from decisions where kind = 'create' order by key").fetchall()
    _keep(staging, [Planned(finish(key, None, sync.finish, sync.key), hash_) for key, hash_ in made])
    adopted = staging.db.execute("""
select key, hash, object_id from decisions where kind in ('nothing', 'update') and object_id not in (
  select object_id from decisions where kind = 'finish' and object_id is not null) order by key""").fetchall()
    drafts = asking.drafts([id_ for *_, id_ in adopted])
    _keep(staging, [Planned(finish(key, id_, sync.finish, sync.key), hash_) for key, hash_, id_ in adopted
                    if id_ in drafts])  # fmt: skip


def finish(key: str, object_id: str | None, how: str, sync: str) -> Decision:
    """The decision to finish a draft: None as its id where it is still to be made."""
    do = "send" if how == "sent" else "finalize"
    return Decision(key, "finish", object_id, {"do": do}, [Change("status", "draft", how)], why=f"of the sync {sync}")


def _fingerprint(staging: Staging) -> str:
    """Of everything that is to be sent, in the order of the keys."""
    [(found,)] = staging.db.execute("""
select md5(string_agg(md5(concat_ws('|', key, kind, object_id, payload)), '' order by key, kind, object_id))
from decisions where kind in ('create', 'update', 'replace', 'delete', 'finish', 'retire')""").fetchall()
    return found or ""


def _adopted(staging: Staging) -> int:
    """How many updates are of objects that were none of the sync's before."""
    [(found,)] = staging.db.execute("""
select count(*) from decisions d join differing f on f.key = d.key and f.what = 'new'
where d.kind = 'update'""").fetchall()
    return int(found)


def taken_over(staging: Staging) -> list[str]:
    """The objects that rows of the model are which were not known before."""
    found = staging.db.execute("""
select distinct d.object_id from decisions d join differing f on f.key = d.key and f.what = 'new'
where d.kind in ('nothing', 'update', 'replace') and d.object_id is not null order by 1""").fetchall()
    return [id_ for (id_,) in found]


def _stops(sync: Sync, rows: Counts, deleted: int, changed: int, *, whole: bool) -> list[str]:
    """Why a run would stop before it sends: an empty model, or too much of what is known would change. A part that
    changes a few rows was asked for to try them.
    """
    if rows.known and not rows.rows:
        return ["the model has no rows any more"]
    found: list[str] = []
    if rows.known and deleted * 100 > sync.stops.deletes * rows.known:
        found.append(f"{deleted:,} of {rows.known:,} rows would be deleted, more than {sync.stops.deletes:g} %")
    held = sync.resource not in OWN or "updates" in sync.stops.model_fields_set  # usage changes from day to day
    if held and rows.known and changed * 100 > sync.stops.updates * rows.known and (whole or changed > FEW):
        found.append(f"{changed:,} of {rows.known:,} rows would be updated, more than {sync.stops.updates:g} %")
    return found
