"""Changes stages and segments: what would move is shown first, and done by the preview's token."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, cast

from sqlalchemy import Connection, Engine

from tidegate.catalog import journal
from tidegate.errors import LifecycleInvalid, ManagedByFile, PreviewStale
from tidegate.errors.wrong import Wrong
from tidegate.lifecycle import placing, rulebook
from tidegate.lifecycle.named import allowed
from tidegate.lifecycle.places import missing_places
from tidegate.lifecycle.rules import PRESETS, Rule, read, wrong_segments, wrong_stages
from tidegate.lifecycle.tally import Tally
from tidegate.workflows.lifecycle.lifecycle import now, place

What = Literal["stages", "segments"]
_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Preview:
    """Who would move, or did. `stages`: how many from one stage ("": none) to another; `entered`, `left`: by segment.

    `sample`: internal keys of contacts that move. `token`: does exactly this.
    """

    contacts: int
    stages: dict[tuple[str, str], int]
    entered: dict[str, int]
    left: dict[str, int]
    sample: list[int]
    token: str
    done: bool = True

    def as_json(self) -> dict[str, Any]:
        """As a JSON object."""
        most_first = sorted(self.stages.items(), key=lambda one: -one[1])
        return {
            "contacts": self.contacts,
            "moves": [{"from": before, "to": after, "contacts": count} for (before, after), count in most_first],
            "entered": self.entered,
            "left": self.left,
            "token": self.token,
            "done": self.done,
        }


def read_rules(said: Sequence[Any], what: What, db: Connection | None = None) -> tuple[list[Rule], list[Wrong]]:
    """Stages or segments as they were said, [{key, name?, when?}, …], and all that is wrong with them, at
    `stages.PLACE` or at their key: that they name a package that there is not, too, where `db` says which there are.
    """
    wrong: list[Wrong] = []
    found: list[Rule] = []
    for position, one in enumerate(said):
        told = cast("dict[str, Any]", one) if isinstance(one, dict) else {}
        key = told.get("key")
        if {*told} - {"key", "name", "when"} or not isinstance(key, str) or not _KEY.fullmatch(key):
            wrong.append(Wrong(f"{what}.{position}", "it takes key (letters, digits, _ and -), name and when"))
            continue
        found.append(Rule(key, str(told.get("name") or named(key)), told.get("when")))
    return found, wrong + wrong_rules(db, found, what)


def wrong_rules(db: Connection | None, rules: Sequence[Rule], what: What) -> list[Wrong]:
    """What is wrong with stages or segments, and what their conditions name that there is not (`named.allowed`)."""
    found = wrong_stages(rules) if what == "stages" else wrong_segments(rules)
    if found or db is None:
        return found
    there = allowed(db, [one.when for one in rulebook.written(db, what) if one.when is not None])
    nodes = ((one.key, read(one)[0]) for one in rules)
    return [Wrong(f"{key}.when", each) for key, node in nodes for each in missing_places(node, there)]


def rules_of(said: Sequence[Any], what: What, db: Connection | None = None) -> list[Rule]:
    """Stages or segments as they were said (`read_rules`). Raises LifecycleInvalid with every fault."""
    found, wrong = read_rules(said, what, db)
    if wrong:
        raise LifecycleInvalid(problem="; ".join(f"{fault.where}: {fault.problem}" for fault in wrong))
    return found


def named(key: str) -> str:
    """The name of a stage or segment that was given none."""
    return key.replace("_", " ").replace("-", " ").capitalize()


def preset(name: str) -> Sequence[Rule]:
    """The stages of a preset. Raises LifecycleInvalid."""
    if name not in PRESETS:
        raise LifecycleInvalid(problem=f"There is no preset {name!r}; there are {', '.join(PRESETS)}.")
    return PRESETS[name]


def change(
    engine: Engine,
    by: str,
    *,
    stages: Sequence[Rule] | None = None,
    segments: Sequence[Rule] | None = None,
    token: str | None = None,
    only_preview: bool = False,
    as_of: datetime | None = None,
) -> Preview:
    """Makes these stages, or segments, the ones that hold, and moves everybody; or says who would move.

    Raises PreviewStale when others would move than the preview of the token showed, and ManagedByFile.
    """
    with engine.begin() as db:
        _require_ours(db, stages=stages is not None, segments=segments is not None)
        found = put(db, by, stages=stages, segments=segments, as_of=as_of, only_counted=only_preview)
        if token is not None and token != found.token:
            raise PreviewStale(problem=f"{found.contacts:,} contacts would move by now.")
        if only_preview:
            db.rollback()
            return replace(found, done=False)
    return found


def put(
    db: Connection,
    by: str,
    *,
    stages: Sequence[Rule] | None = None,
    segments: Sequence[Rule] | None = None,
    managed_by: str = "",
    as_of: datetime | None = None,
    only_counted: bool = False,
) -> Preview:
    """The same in the caller's transaction, whoever manages them. Without any the preset holds. `only_counted`: nobody
    is moved, for the caller takes it back.

    Nobody is told of such moves: rules moved them, nothing happened to them.
    """
    rulebook.lock(db)
    at = as_of or now(db)
    if placing.begun(db):
        place(db, at)  # what is due by the rules so far is no effect of others
    if stages is not None:
        rulebook.put_stages(db, stages, managed_by)
    if segments is not None:
        rulebook.put_segments(db, segments, managed_by)
    rules = rulebook.load(db)
    tally = Tally()
    for moves in placing.by_chunks(db, rules, at):
        tally.add(moves)
        if not only_counted:
            placing.carry_out(db, rules, moves, at, "rules")
    journal.note(db, by, "lifecycle.rules", "stages" if stages is not None else "segments", contacts=tally.contacts)
    said = [[list(one) for one in rules.stages], [list(one) for one in rules.segments]]
    counted = dict(tally.stages), dict(tally.entered), dict(tally.left)
    return Preview(tally.contacts, *counted, tally.sample, tally.token(said))


def _require_ours(db: Connection, *, stages: bool, segments: bool) -> None:
    if stages and rulebook.managed_by(db, "stages"):
        raise ManagedByFile(what="The stages")
    if segments and rulebook.managed_by(db, "segments"):
        raise ManagedByFile(what="The segments")
