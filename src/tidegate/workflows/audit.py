"""Audits a mirror: compares every resource with Stripe and remembers the verdicts."""

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import Engine, text

from tidegate.connections import runs
from tidegate.connections.accounts import Account
from tidegate.mirror.compare import Comparison, compare
from tidegate.stripe_api.client import StripeApi
from tidegate.stripe_api.resources import RESOURCES, resource
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

    Returns {connection, state, seconds, clean, resources: [...]}; see `Comparison.as_json`. Raises ResourceUnknown,
    StripeKeyInvalid and the errors of the database.
    """
    chosen = [resource(name) for name in names] or [one for one in RESOURCES.values() if one.path]
    began = time.monotonic()
    with engine.begin() as db:
        run = runs.begin(db, account.name, KIND, {"resources": list(names)})

    def one(resource: Resource) -> Comparison:
        def tell(objects: int) -> None:
            if progress:
                progress(resource.name, objects)

        return compare(engine, account.name, api, resource, tell)

    results: list[Comparison] = []
    error = "interrupted"
    try:
        with ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="audit") as pool:
            results = list(pool.map(one, chosen))
        error = ""
    finally:
        summary = _summary(account, results, time.monotonic() - began, error)
        _remember(engine, account.name, run, results, summary)
    return {"run": run, **summary}


def _summary(account: Account, results: Sequence[Comparison], seconds: float, error: str) -> dict[str, Any]:
    return {
        "connection": account.name,
        "state": "interrupted" if error else "done",
        "seconds": round(seconds, 3),
        "clean": not error and all(result.verdict == "equal" for result in results),
        "resources": [result.as_json() for result in results],
    }


def _remember(engine: Engine, account: str, run: int, results: Sequence[Comparison], summary: dict[str, Any]) -> None:
    with engine.begin() as db:
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
        runs.end(db, run, summary["state"], {k: v for k, v in summary.items() if k != "resources"})
