"""The demo's lifecycle, by the simulated company's clock: how contacts stand, and what a month moves."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, text

from tidegate.connections.accounts import Account
from tidegate.lifecycle import listing, portfolio, report, rulebook
from tidegate.lifecycle.alerts import STANDING
from tidegate.workflows.demo import demo_actions
from tidegate.workflows.demo.demo import Simulated
from tidegate.workflows.doorbell import PROMPT, Doorbell
from tidegate.workflows.lifecycle import lifecycle

TASK = "keep_lifecycle"
HELD = 86_400
"""Seconds for which no worker looks at the lifecycle: its clock is the machine's, the company's is another."""
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look at everybody brought, at `at`: the company's time."""

    at: datetime
    kept: lifecycle.Kept


def begin(engine: Engine, simulated: Simulated, destination: str) -> Looked:
    """Looks at everybody for the first time, and switches the offered actions on for what happens from then on; they
    are sent to the destination. Workers leave the lifecycle alone until `release`.
    """
    _hold(engine)
    at = now(simulated)
    kept = lifecycle.keep(engine, as_of=at)
    demo_actions.begin(engine, destination, as_of=at)
    return Looked(at, kept)


def look(engine: Engine, simulated: Simulated) -> Looked:
    """Looks at everybody as of the company's present, and rings for what is due to destinations."""
    at = now(simulated)
    kept = lifecycle.keep(engine, as_of=at)
    Doorbell(engine).ring("deliver", connection="")
    return Looked(at, kept)


def _hold(engine: Engine) -> None:
    """Queues the look that workers take every minute for tomorrow: while one waits there is no other."""
    from procrastinate import App, SyncPsycopgConnector

    with engine.begin() as db:
        connection = db.connection.driver_connection
        task = App(connector=SyncPsycopgConnector()).configure_task(
            TASK, queue=PROMPT, queueing_lock=TASK, schedule_in={"seconds": HELD}, connection=connection
        )
        task.defer(timestamp=0)


def release(engine: Engine) -> None:
    """Lets workers look at the lifecycle from now on."""
    with engine.begin() as db:
        db.execute(_RELEASE, {"task": TASK})


def now(simulated: Simulated) -> datetime:
    """The company's present, UTC."""
    return datetime.fromtimestamp(simulated.now(), UTC)


def standing(engine: Engine, account: Account, at: datetime) -> dict[str, Any]:
    """{at, stages, segments, health, bands, alerts, actions}, as of the last look, which was `at`.

    Stages are those of `lifecycle.report.stages`; segments {name, contacts}; health {currency, health}; bands {band,
    contacts}; `alerts` that stand {rule, name, alerts}, the most first; `actions`: how often each fired, by key.
    """
    with engine.connect() as db:
        rules = rulebook.load(db)
        told = report.stages(db, account.livemode, rules.stages, at, at + _TICK)
        healths = portfolio.portfolio(db, account.livemode)
        return {
            "at": at.isoformat(),
            "stages": told["stages"],
            "segments": [
                _part(one, "name", "contacts") for one in listing.segments(db, rules.segments, account.livemode)
            ],
            "health": healths["by_currency"],
            "bands": [_part(one, "band", "contacts") for one in healths["bands"]],
            "alerts": _alerts(db),
            "actions": demo_actions.done(engine),
        }


def moved(engine: Engine, account: Account, after: datetime, until: datetime) -> dict[str, Any]:
    """{moves, moved, new}: who went from stage to stage after an instant and up to another, {from, to, contacts, share}
    by the stages' names; how many they are, and how many contacts came.
    """
    since, end = after + _TICK, until + _TICK
    with engine.connect() as db:
        rules = rulebook.load(db)
        names = {rule.key: rule.name for rule in rules.stages}
        moves = report.stages(db, account.livemode, rules.stages, since, end)["moves"]
        new = db.scalar(_NEW, {"since": since, "until": end})
    shown = [one | {"from": names[one["from"]], "to": names[one["to"]]} for one in moves]
    return {"moves": shown, "moved": sum(one["contacts"] for one in moves), "new": new}


def _part(one: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: one[name] for name in names}


def _alerts(db: Connection) -> list[dict[str, Any]]:
    names = {rule.key: rule.name for rule in rulebook.alert_rules(db)}
    rows = db.execute(_STANDING, {"states": list(STANDING)})
    return [{"rule": row.rule, "name": names[row.rule], "alerts": row.alerts} for row in rows]


_RELEASE = text("""
update tidegate.procrastinate_jobs set scheduled_at = null
where queueing_lock = :task and status = 'todo'""")

_STANDING = text("""
select rule, count(*) as alerts from tidegate.alerts
where contact is not null and state = any(cast(:states as text[])) group by rule order by 2 desc, 1""")

_NEW = text("""
select count(*) from tidegate.memberships m
where kind = 'stage' and entered_at >= :since and entered_at < :until and not exists (
  select from tidegate.memberships b where b.contact = m.contact and b.kind = 'stage' and b.id < m.id)""")
