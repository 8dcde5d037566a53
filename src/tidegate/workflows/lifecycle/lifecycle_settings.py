"""Changes what health, alerts and worth go by: whom that affects is shown first, and done by the preview's token."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, text

from tidegate.catalog import journal
from tidegate.errors import LifecycleInvalid, ManagedByFile, PreviewStale
from tidegate.lifecycle import alerts, health, placing, rulebook
from tidegate.lifecycle.alert_rules import SETTABLE
from tidegate.lifecycle.settings import read_alerts, read_health, read_worth
from tidegate.lifecycle.tally import Tally
from tidegate.workflows.lifecycle.lifecycle import catch_up, now, place, renew_facts


@dataclass(frozen=True, slots=True)
class Effect:
    """What other settings do, or did. `weighed`: contacts with another worth or renewal; `scored`: with another health;
    `unhealthy`: how many are, before and after; `moves`: contacts that come to another stage, `entered` and `left` by
    segment; alerts that are `opened` and `resolved`, by rule. `token`: does exactly this.
    """

    weighed: int = 0
    scored: int = 0
    unhealthy: tuple[int, int] = (0, 0)
    moves: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    entered: dict[str, int] = field(default_factory=dict[str, int])
    left: dict[str, int] = field(default_factory=dict[str, int])
    opened: dict[str, int] = field(default_factory=dict[str, int])
    resolved: dict[str, int] = field(default_factory=dict[str, int])
    token: str = ""
    done: bool = True

    def as_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self) | {"unhealthy": {"before": self.unhealthy[0], "after": self.unhealthy[1]}}


def shown(db: Connection) -> dict[str, Any]:
    """The settings that hold, those that nobody set included: {health: {components, unhealthy_below, healthy_from,
    coverage}, alerts: [{rule, name, enabled, days?, interval_months?}], worth: {mrr?, renews_at?}, managed_by}.
    """
    scored = rulebook.health(db)
    said = {one["rule"]: one for one in rulebook.settings(db, "alerts")}
    limits = scored.thresholds
    return {
        "health": {
            "components": [
                {
                    "key": one.key,
                    "field": one.field,
                    "curve": [[float(at), float(score)] for at, score in one.curve],
                    "weight": float(one.weight),
                }
                for one in scored.components
            ],
            "unhealthy_below": float(limits.unhealthy),
            "healthy_from": float(limits.well),
            "coverage": float(limits.coverage),
        },
        "alerts": [
            {"rule": one.key, "name": one.name, "enabled": one.enabled}
            | {name: said.get(one.key, {}).get(name, usual) for name, usual in SETTABLE[one.key].items()}
            for one in rulebook.alert_rules(db)
        ],
        "worth": rulebook.settings(db, "worth"),
        "managed_by": {what: rulebook.managed_by(db, what) for what in ("health", "alerts", "worth")},
    }


def refuse_wrong(
    said_health: Mapping[str, Any] | None,
    said_alerts: Sequence[Any] | None,
    said_worth: Mapping[str, Any] | None = None,
) -> None:
    """Raises LifecycleInvalid with every fault."""
    wrong = [*(read_health(said_health)[1] if said_health is not None else ())]
    wrong += read_alerts(said_alerts)[1] if said_alerts is not None else ()
    wrong += read_worth(said_worth)[1] if said_worth is not None else ()
    if wrong:
        raise LifecycleInvalid(problem="; ".join(f"{one.where}: {one.problem}" for one in wrong))


def change(
    engine: Engine,
    by: str,
    *,
    said_health: Mapping[str, Any] | None = None,
    said_alerts: Sequence[Any] | None = None,
    said_worth: Mapping[str, Any] | None = None,
    token: str | None = None,
    only_preview: bool = False,
    as_of: datetime | None = None,
) -> Effect:
    """Makes these settings hold, or says what that would do. Of what is None nothing changes; empty: the defaults.

    Raises LifecycleInvalid, ManagedByFile, and PreviewStale when it would do something else than the preview of the
    token showed.
    """
    refuse_wrong(said_health, said_alerts, said_worth)
    with engine.begin() as db:
        if said_health is not None and rulebook.managed_by(db, "health"):
            raise ManagedByFile(what="What health goes by")
        if said_alerts is not None and rulebook.managed_by(db, "alerts"):
            raise ManagedByFile(what="What alerts go by")
        if said_worth is not None and rulebook.managed_by(db, "worth"):
            raise ManagedByFile(what="What says the worth of contacts")
        said: dict[str, Any] = {"said_health": said_health, "said_alerts": said_alerts, "said_worth": said_worth}
        found = put(db, by, **said, as_of=as_of)
        if token is not None and token != found.token:
            raise PreviewStale(problem="It would do something else by now.")
        if only_preview:
            db.rollback()
            return replace(found, done=False)
    return found


def put(
    db: Connection,
    by: str,
    *,
    said_health: Mapping[str, Any] | None = None,
    said_alerts: Sequence[Any] | None = None,
    said_worth: Mapping[str, Any] | None = None,
    managed_by: str = "",
    as_of: datetime | None = None,
) -> Effect:
    """The same in the caller's transaction, whoever manages them; they are sound. Nobody is told of what it does:
    settings did it, nothing happened to anybody.
    """
    rulebook.lock(db)
    at = as_of or now(db)
    # What is due by the settings so far is no effect of others: it is told.
    if said_worth is None:
        place(db, at)
    else:  # all facts are written anew below
        catch_up(db, at)
    before = db.scalar(_UNHEALTHY) or 0
    if said_health is not None:
        rulebook.put_settings(db, "health", said_health, managed_by)
    if said_alerts is not None:
        rulebook.put_settings(db, "alerts", said_alerts, managed_by)
    weighed = 0
    if said_worth is not None:
        rulebook.put_settings(db, "worth", said_worth, managed_by)
        db.execute(_WORTH_TABLE)
        renew_facts(db, at)
        weighed = db.execute(_WEIGHED).scalar_one()
    db.execute(_STANDING_TABLE)
    db.execute(_STANDING)
    scored, moved = _carry_out(db, at)
    opened = {row.rule: row.number for row in db.execute(_OPENED)}
    resolved = {row.rule: row.number for row in db.execute(_RESOLVED)}
    given = {"health": said_health, "alerts": said_alerts, "worth": said_worth}
    what = next(name for name, one in given.items() if one is not None)
    journal.note(db, by, "lifecycle.settings", what, contacts=scored)
    found = Effect(
        weighed,
        scored,
        (before, db.scalar(_UNHEALTHY) or 0),
        [{"from": of, "to": to, "contacts": count} for (of, to), count in sorted(moved.stages.items())],
        dict(sorted(moved.entered.items())),
        dict(sorted(moved.left.items())),
        opened,
        resolved,
    )
    return replace(found, token=moved.token([*given.values(), asdict(found)]))


def _carry_out(db: Connection, as_of: datetime) -> tuple[int, Tally]:
    """Does what other settings do: how many healths are others, and who moved."""
    scored = rulebook.health(db)
    healths = health.keep(db, scored.components, as_of, thresholds=scored.thresholds)
    rules = rulebook.load(db)
    moved = Tally()
    for some in placing.by_chunks(db, rules, as_of):
        moved.add(some)
        placing.carry_out(db, rules, some, as_of, "rules")
    alerts.keep(db, rulebook.alert_rules(db), as_of, alerts.EVERYBODY)
    return healths, moved


_UNHEALTHY = text("select count(*) from tidegate.contact_lifecycle where unhealthy_since is not null")
_WORTH_TABLE = text("""
create temporary table if not exists worth_before (contact bigint primary key, mrr numeric, renewals timestamptz[])
  on commit delete rows;
truncate worth_before;
insert into worth_before select contact, mrr_total, renewals from tidegate.contact_lifecycle""")
_WEIGHED = text("""
select count(*) from tidegate.contact_lifecycle l left join worth_before b using (contact)
where (coalesce(l.mrr_total, 0), l.renewals) is distinct from (coalesce(b.mrr, 0), coalesce(b.renewals, '{}'))""")
_STANDING_TABLE = text("""
create temporary table if not exists standing_alerts (id bigint primary key) on commit delete rows;
truncate standing_alerts""")
_STANDING = text("""
insert into standing_alerts select id from tidegate.alerts where state not in ('dismissed', 'resolved')""")
_OPENED = text("""
select rule, count(*) as number from tidegate.alerts a
where contact is not null and state not in ('dismissed', 'resolved')
  and not exists (select from standing_alerts s where s.id = a.id)
group by rule order by rule""")
_RESOLVED = text("""
select rule, count(*) as number from tidegate.alerts a join standing_alerts s using (id)
where a.state = 'resolved' group by rule order by rule""")
