"""The rules that hold: those that somebody wrote, else the preset; and writing them."""

import json
from collections.abc import Sequence
from typing import Any, Literal

from sqlalchemy import Connection, text

from tidegate.lifecycle.alert_rules import AlertRule
from tidegate.lifecycle.health import Component
from tidegate.lifecycle.placing import Rules
from tidegate.lifecycle.rules import SEGMENTS, STAGES, Rule
from tidegate.lifecycle.settings import Health, Worth, read_alerts, read_health, read_worth

Settings = Literal["health", "alerts", "worth"]


def load(db: Connection) -> Rules:
    """The stages and segments; without any of your own those of the preset `default`."""
    return Rules(written(db, "stages") or STAGES, written(db, "segments") or SEGMENTS)


def written(db: Connection, what: Literal["stages", "segments"]) -> list[Rule]:
    """Those that somebody wrote."""
    rows = db.execute(_STAGES if what == "stages" else _SEGMENTS)
    return [Rule(row.key, row.name, row.condition) for row in rows]


def settings(db: Connection, what: Settings) -> Any:
    """What was said of it; empty: nothing."""
    return db.scalar(_SETTINGS, {"what": what}) or ([] if what == "alerts" else {})


def health(db: Connection) -> Health:
    """By what health is scored: what was said, and the defaults of the rest."""
    return read_health(settings(db, "health"))[0]


def components(db: Connection) -> Sequence[Component]:
    """The components of health; without any of your own the default table."""
    return health(db).components


def alert_rules(db: Connection) -> Sequence[AlertRule]:
    """The rules of alerts: what was said, and the defaults of the rest."""
    return read_alerts(settings(db, "alerts"))[0]


def worth(db: Connection) -> Worth:
    """Which properties say what a contact is worth and when it renews, instead of Stripe."""
    return read_worth(settings(db, "worth"))[0]


def put_settings(db: Connection, what: Settings, said: Any, managed_by: str) -> None:
    """Writes what is said of it. It is sound (`settings.read_health`, `read_alerts`, `read_worth`)."""
    db.execute(_FORGET_SETTINGS if not said else _PUT_SETTINGS, {
        "what": what, "said": json.dumps(said), "managed_by": managed_by,
    })  # fmt: skip


def managed_by(db: Connection, what: Literal["stages", "segments"] | Settings) -> str:
    """Who wrote them: `file`, or "" for anybody, and where nobody did."""
    if what in ("health", "alerts", "worth"):
        return db.scalar(_SETTINGS_BY, {"what": what}) or ""
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
_SETTINGS = text("select said from tidegate.lifecycle_settings where what = :what")
_SETTINGS_BY = text("select managed_by from tidegate.lifecycle_settings where what = :what")
_FORGET_SETTINGS = text("delete from tidegate.lifecycle_settings where what = :what")
_PUT_SETTINGS = text("""
insert into tidegate.lifecycle_settings (what, said, managed_by) values (:what, cast(:said as jsonb), :managed_by)
on conflict (what) do update set said = excluded.said, managed_by = excluded.managed_by""")
