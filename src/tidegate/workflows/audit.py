"""Audits a mirror: compares every resource with Stripe and remembers the verdicts."""

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, text

from tidegate.connections import accounts, problems, runs
from tidegate.connections.accounts import Account
from tidegate.errors import StripePermissionMissing, StripeRefused
from tidegate.mirror.compare import Comparison, compare
from tidegate.mirror.event_list import read_events
from tidegate.stripe_api.client import StripeApi
from tidegate.stripe_api.resources import RESOURCES, by_object, listed, resource
from tidegate.stripe_api.resources.resource import Resource

KIND = "audit"
SIDE_BY_SIDE = 6


def audit(
    engine: Engine,
    account: Account,
    api: StripeApi,
    names: Sequence[str] = (),
    progress: Callable[[str, int], None] | None = None,
) -> dict[str, Any]:
    """Compares the resources (all without `names`) with Stripe; several side by side.

    The mirror promises what happened before its place in Stripe's events; an object that has an event since is no
    difference. Returns {run, connection, state, seconds, clean, resources: [...]}; see `Comparison.as_json`. Raises
    ResourceUnknown, StripeKeyInvalid, StripeUnreachable and the errors of the database.
    """
    chosen = [resource(name) for name in names] or listed(livemode=account.livemode)
    began = time.monotonic()
    with engine.begin() as db:
        place = accounts.named(db, account.name).events_until
        run = runs.begin(db, account.name, KIND, {"resources": list(names)})

    def one(resource: Resource) -> Comparison:
        def tell(objects: int) -> None:
            if progress:
                progress(resource.name, objects)

        return compare(engine, account.name, api, resource, tell)

    results: list[Comparison] = []
    state = "interrupted"
    try:
        with problems.watched(engine, account.name):
            with ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="audit") as pool:
                results = list(pool.map(one, chosen))
            if place and any(result.suspicious for result in results):
                _excuse(api, place, results)
        state = "done"
    finally:
        summary = _summary(account, results, time.monotonic() - began, state)
        _remember(engine, account.name, run, results, summary)
    return {"run": run, **summary}


def _excuse(api: StripeApi, place: datetime, results: Sequence[Comparison]) -> None:
    """Takes out of the findings what has an event since the mirror's place; without a permission for events nothing."""
    changed: dict[str, set[str]] = {}
    try:
        for page in read_events(api, place):
            for event, _ in page.events:
                if event.object_type in by_object and event.object_id:
                    changed.setdefault(by_object[event.object_type].name, set()).add(event.object_id)
    except StripeRefused:
        return
    for result in results:
        result.excuse(changed.get(result.resource, ()))


def _summary(account: Account, results: Sequence[Comparison], seconds: float, state: str) -> dict[str, Any]:
    return {
        "connection": account.name,
        "state": state,
        "seconds": round(seconds, 3),
        "clean": state == "done" and all(result.verdict == "equal" for result in results),
        "resources": [result.as_json() for result in results],
    }


def _remember(engine: Engine, account: str, run: int, results: Sequence[Comparison], summary: dict[str, Any]) -> None:
    with engine.begin() as db:
        if not accounts.hold(db, account):
            return
        for result in results:
            db.execute(
                text("""
insert into tidegate.comparisons (run, connection, resource, verdict, facts)
values (:run, :connection, :resource, :verdict, cast(:facts as jsonb))"""),
                {
                    "run": run,
                    "connection": account,
                    "resource": result.resource,
                    "verdict": result.verdict,
                    "facts": json.dumps(result.as_json()),
                },
            )
            _note_permission(db, account, result)
        runs.end(db, run, summary["state"], {k: v for k, v in summary.items() if k != "resources"})


def _note_permission(db: Connection, account: str, result: Comparison) -> None:
    endpoint = f"GET {RESOURCES[result.resource].path}"
    if isinstance(result.refused, StripePermissionMissing):
        problems.note(db, account, "permission_missing", result.error, endpoint)
    else:
        problems.clear(db, account, ["permission_missing"], endpoint)


def last_verdicts(db: Connection, connection: str) -> list[dict[str, Any]]:
    """The newest verdict of every resource that was ever audited: {resource, verdict, error, at}."""
    rows = db.execute(
        text("""
select distinct on (resource) resource, verdict, facts ->> 'error' as error, at from tidegate.comparisons
where connection = :c order by resource, run desc"""),
        {"c": connection},
    )
    return [dict(row) for row in rows.mappings()]
