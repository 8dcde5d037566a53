"""The rules that hold: those that somebody wrote, else the preset; and writing them."""

import json
from collections.abc import Sequence
from typing import Literal

from sqlalchemy import Connection, text

from tidegate.lifecycle.health import COMPONENTS, Component, parse
from tidegate.lifecycle.placing import Rules
from tidegate.lifecycle.rules import SEGMENTS, STAGES, Rule


def load(db: Connection) -> Rules:
    """The stages and segments; without any of your own those of the preset `default`."""
    return Rules(written(db, "stages") or STAGES, written(db, "segments") or SEGMENTS)


def written(db: Connection, what: Literal["stages", "segments"]) -> list[Rule]:
    """Those that somebody wrote."""
    rows = db.execute(_STAGES if what == "stages" else _SEGMENTS)
    return [Rule(row.key, row.name, row.condition) for row in rows]


def components(db: Connection) -> Sequence[Component]:
    """The components of health; without any of your own the default table."""
    found = [parse(row.key, row.spec)[0] for row in db.execute(_COMPONENTS)]
    return [one for one in found if one is not None] or COMPONENTS


def managed_by(db: Connection, what: Literal["stages", "segments"]) -> str:
    """Who wrote them: `file`, or "" for anybody, and where nobody did."""
    return db.scalar(text(f"select managed_by from tidegate.{what} limit 1")) or ""


def lock(db: Connection) -> None:
    """One at a time places contacts or changes the rules, in the caller's transaction."""
    db.execute(text("select pg_advisory_xact_lock(hashtext('tidegate.lifecycle'))"))


def put_stages(db: Connection, stages: Sequence[Rule], managed_by: str) -> None:
    """Writes stages, in their order, instead of those that there are. They are sound (`rules.wrong_stages`)."""
    db.execute(text("delete from tidegate.stages"))
    for place, one in enumerate(stages):
        db.execute(
            text("""
insert into tidegate.stages (key, place, name, condition, managed_by)
values (:key, :place, :name, cast(:condition as jsonb), :managed_by)"""),
            _row(one, managed_by) | {"place": place},
        )


def put_segments(db: Connection, segments: Sequence[Rule], managed_by: str) -> None:
    """Writes segments instead of those that there are. They are sound (`rules.wrong_segments`)."""
    db.execute(text("delete from tidegate.segments"))
    for place, one in enumerate(segments):
        db.execute(
            text("""
insert into tidegate.segments (key, place, name, condition, managed_by)
values (:key, :place, :name, cast(:condition as jsonb), :managed_by)"""),
            _row(one, managed_by) | {"place": place},
        )


def _row(one: Rule, managed_by: str) -> dict[str, str | None]:
    condition = None if one.when is None else json.dumps(one.when)
    return {"key": one.key, "name": one.name, "condition": condition, "managed_by": managed_by}


_STAGES = text("select key, name, condition from tidegate.stages order by place")
_SEGMENTS = text("select key, name, condition from tidegate.segments order by place")
_COMPONENTS = text("select key, spec from tidegate.health_components order by place")
