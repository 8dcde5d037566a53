"""Audits a mirror: compares every resource with Stripe and remembers the verdicts."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, text

from tidegate.connections import accounts, problems, runs
from tidegate.connections.accounts import Account
from tidegate.errors import ConnectionDisconnected, StripePermissionMissing, StripeRefused, UsageError
from tidegate.mirror import invariants
from tidegate.mirror.compare import NAMED, Comparison, compare
from tidegate.mirror.dangling import dangling
from tidegate.mirror.event_list import read_events
from tidegate.revenue import checks
from tidegate.security import audit_log
from tidegate.stripe_api.client import StripeApi
from tidegate.stripe_api.resources import RESOURCES, all_listed, by_object, listed
from tidegate.stripe_api.resources.resource import Resource
from tidegate.workflows.doorbell import Doorbell

KIND = "audit"
SIDE_BY_SIDE = 6
PATIENCE = timedelta(minutes=15)
"""How far the mirror may be behind Stripe's events for a later change to excuse a difference."""

UNLISTED = (
    "Stripe lists no {name}, so there is nothing to compare them with: audit the objects that carry them, such as "
    "subscriptions, invoices and customers."
)

Check = Callable[[Connection, str], Mapping[str, Sequence[str]]]
"""A domain's invariants: given a connection's name, what breaks each of them, by the invariant's name."""

Progress = Callable[[str, int, Comparison | None], None]
"""Hears of a resource's name, how many of its objects were read so far, and at its end how they compare; from several
threads.
"""

CHECKS: tuple[Check, ...] = (invariants.broken, checks.broken)
"""Checked by every audit of everything; a domain whose tables are derived from the mirror adds its own."""


def audit(
    engine: Engine,
    account: Account,
    api: StripeApi,
    names: Sequence[str] = (),
    progress: Progress = lambda _resource, _objects, _ended: None,
) -> dict[str, Any]:
    """Compares the resources (all without `names`) with Stripe, several side by side; then checks the invariants.

    What comes inside another resource is compared with that. The mirror promises what happened before its place in
    Stripe's events; an object that has an event since is no difference, unless the mirror is more than a quarter of
    an hour behind. Returns {run, connection, state, seconds, clean, behind_seconds, resources: [...], checks:
    [...]}; see `Comparison.as_json`. Raises ResourceUnknown, UsageError for what Stripe does not list,
    StripeKeyInvalid, StripeModeWrong, StripeUnreachable and the errors of the database.
    """
    chosen = _chosen(names, livemode=account.livemode)
    began, owner = time.monotonic(), runs.new_owner()
    with engine.begin() as db:
        place = accounts.named(db, account.name).complete_as_of
        run = runs.begin(db, account.name, KIND, {"resources": list(names)}, owner)

    def one(resource: Resource) -> Comparison:
        result = compare(engine, account.name, api, resource, lambda read: progress(resource.name, read, None))
        progress(resource.name, result.in_stripe, result)
        compared.append(resource.name)
        with engine.begin() as db:
            runs.beat(db, run, {"compared": len(compared), "of": len(chosen)}, owner)
        return result

    compared: list[str] = []
    done = Audited()
    state = "interrupted"
    try:
        with runs.alive(engine, run), problems.watched(engine, account.name):
            with ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="audit") as pool:
                done.results = list(pool.map(one, chosen))
            _look_for_dangling(engine, account.name, api, done.results)
            if place and any(result.suspicious for result in done.results):
                done.behind = _excuse(api, place, done.results)
        if not names:
            done.checks = _check(engine, account.name)
        state = "done"
    finally:
        summary = _summary(account, done, time.monotonic() - began, state)
        _remember(engine, account.name, run, owner, done, summary)
    return {"run": run, **summary}


def _chosen(names: Sequence[str], *, livemode: bool) -> list[Resource]:
    chosen = list(dict.fromkeys(listed(name) for name in names)) or all_listed(livemode=livemode)
    for resource in chosen:
        if resource.path is None:
            raise UsageError(problem=UNLISTED.format(name=resource.name))
    return chosen


@dataclass(slots=True)
class Audited:
    """What an audit found: per resource, per invariant, and how far the mirror is behind when that excuses nothing."""

    results: list[Comparison] = field(default_factory=list[Comparison])
    checks: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    behind: timedelta | None = None


def _look_for_dangling(engine: Engine, account: str, api: StripeApi, results: Sequence[Comparison]) -> None:
    """References to what Stripe refuses to list, or what was never imported, are not looked at."""
    compared = {result.resource: result for result in results}
    with engine.connect() as db:
        refused = {one["resource"] for one in last_verdicts(db, account) if one["verdict"] == "not_compared"}
        refused |= set(runs.left_out(db, account))
        others = set(RESOURCES) - refused - set(compared) if runs.ever_whole(db, account) else set[str]()
    targets = others | {name for name, result in compared.items() if not result.error}
    known = {name: set(result.missing) | result.illegible for name, result in compared.items()}
    for result in results:
        if not result.error:
            result.dangling = dangling(engine, account, api, RESOURCES[result.resource], targets=targets, known=known)


def _excuse(api: StripeApi, place: datetime, results: Sequence[Comparison]) -> timedelta | None:
    """Takes out of the findings what has an event since the mirror's place; without a permission for events nothing.

    Returns how far the mirror is behind where that is too far to excuse anything.
    """
    changed: dict[str, set[str]] = {}
    try:
        for number, page in enumerate(read_events(api, place)):
            if number == 0 and page.at - place > PATIENCE:
                return page.at - place
            for event, _ in page.events:
                if event.object_type in by_object and event.object_id:
                    changed.setdefault(by_object[event.object_type].name, set()).add(event.object_id)
    except StripeRefused:
        return None
    for result in results:
        result.excuse(changed)
    return None


def _check(engine: Engine, account: str) -> dict[str, list[str]]:
    with engine.connect() as db:
        return {name: list(found) for check in CHECKS for name, found in check(db, account).items()}


def _summary(account: Account, done: Audited, seconds: float, state: str) -> dict[str, Any]:
    equal = all(result.verdict == "equal" for result in done.results) and not any(done.checks.values())
    return {
        "connection": account.name,
        "state": state,
        "seconds": round(seconds, 3),
        "clean": state == "done" and equal,
        "behind_seconds": int(done.behind.total_seconds()) if done.behind else None,
        "resources": [result.as_json() for result in done.results],
        "checks": [
            {"check": name, "verdict": "different" if found else "equal", "count": len(found), "broken": found[:NAMED]}
            for name, found in done.checks.items()
        ],
    }


def _remember(engine: Engine, account: str, run: int, owner: str, done: Audited, summary: dict[str, Any]) -> None:
    with engine.begin() as db:
        if not accounts.hold(db, account):
            return
        kept = [(one["resource"], one) for one in summary["resources"]]
        kept += [(f"invariant {one['check']}", one) for one in summary["checks"]]
        for subject, facts in kept:
            db.execute(
                text("""
insert into tidegate.comparisons (run, connection, resource, verdict, facts)
values (:run, :connection, :resource, :verdict, cast(:facts as jsonb))"""),
                {
                    "run": run,
                    "connection": account,
                    "resource": subject,
                    "verdict": facts["verdict"],
                    "facts": json.dumps(facts),
                },
            )
        for result in done.results:
            _note_permission(db, account, result)
        kept_of_run = {k: v for k, v in summary.items() if k not in {"resources", "checks"}}
        runs.end(db, run, summary["state"], kept_of_run, owner)


def _note_permission(db: Connection, account: str, result: Comparison) -> None:
    endpoint = f"GET {RESOURCES[result.resource].path}"
    if isinstance(result.refused, StripePermissionMissing):
        problems.note(db, account, "permission_missing", result.error, endpoint)
    else:
        problems.clear(db, account, ["permission_missing"], endpoint)


def ask(engine: Engine, account: Account, actor: str) -> bool:
    """Lets a worker audit everything of a connection; false when it is to already. Raises ConnectionDisconnected."""
    with engine.begin() as db:
        if account.disconnected_at is not None:
            raise ConnectionDisconnected(name=account.name)
        audit_log.record(db, actor, "audit.asked", account.name)
        return Doorbell(engine).ring(KIND, connection=account.name, db=db)


def verdicts(db: Connection, run: int) -> list[dict[str, Any]]:
    """What an audit found, what differs first: {resource, verdict, facts} of each resource (`Comparison.as_json`) and
    of each invariant (`invariant NAME`: {check, verdict, count, broken}).
    """
    rows = db.execute(
        text("""
select resource, verdict, facts from tidegate.comparisons where run = :run
order by verdict = 'equal', verdict, starts_with(resource, 'invariant '), resource"""),
        {"run": run},
    )
    return [dict(row) for row in rows.mappings()]


def last_verdicts(db: Connection, connection: str) -> list[dict[str, Any]]:
    """The newest verdict of every resource that was ever audited: {resource, verdict, error, at}."""
    rows = db.execute(
        text("""
select distinct on (resource) resource, verdict, facts ->> 'error' as error, at from tidegate.comparisons
where connection = :c order by resource, run desc"""),
        {"c": connection},
    )
    return [dict(row) for row in rows.mappings()]
