"""What an import came to, as its run keeps it and its command shows it (pure)."""

from dataclasses import dataclass
from typing import Any

from tidegate.mirror.arrivals import Counts
from tidegate.mirror.plan import Plan
from tidegate.mirror.settle import Settled
from tidegate.stripe_api.resources import RESOURCES


@dataclass(frozen=True, slots=True)
class Ended:
    """How an import ended: `settled` is what was fetched by id, `gone` how many objects vanished, per resource; `error`
    is what ended it early; `full` says that it looked for what the mirror did not know.
    """

    plan: Plan
    settled: Settled
    gone: dict[str, int]
    resumed: bool
    seconds: float
    stopped: bool
    full: bool
    error: str = ""


def summary_of(account: str, ended: Ended) -> dict[str, Any]:
    """The summary that `import_account` returns; state `interrupted`: what is named and missing may not have been
    fetched, though all was read.
    """
    plan, settled = ended.plan, ended.settled
    problems = {load.range.resource.name: load.range.error for load in plan.loads if load.range.error}
    left_out = _left_out(plan)
    unread = [load for load in plan.loads if not load.range.done and not load.refused]
    nothing = bool(left_out) and not any(load.range.done for load in plan.loads)
    state = "incomplete" if unread or nothing or settled.failed else "done"
    return {
        "connection": account,
        "state": "interrupted" if ended.error or ended.stopped else state,
        "resumed": ended.resumed,
        "seconds": round(ended.seconds, 3),
        "pages": sum(load.range.pages for load in plan.loads),
        "resources": resources_of(plan, settled),
        "problems": problems | settled.failed,
        "left_out": left_out,
        "passing": not nothing and all(load.passing for load in unread if load.range.error),
        "error": ended.error,
        **({"mended": _mended(plan, settled, ended.gone)} if ended.full else {}),
    }


def _left_out(plan: Plan) -> dict[str, str]:
    """Why Stripe refuses a list, per resource; with one goes what is listed for each of its objects."""
    left_out = {load.range.resource.name: load.refused for load in plan.loads if load.refused}
    per_parent = [load.range.resource for load in plan.loads if load.range.resource.per_parent in left_out]
    return {one.name: left_out[one.per_parent] for one in per_parent} | left_out


def resources_of(plan: Plan, settled: Settled) -> dict[str, Any]:
    """Counts per resource, in the registry's order."""
    counts = _listed(plan)
    for name, more in settled.counts.items():
        counts.setdefault(name, Counts()).add(more)
    return {name: counts[name].as_json() for name in RESOURCES if name in counts}


def _listed(plan: Plan) -> dict[str, Counts]:
    """What the lists came to, per resource."""
    counts: dict[str, Counts] = {}
    for load in list(plan.loads):
        counts.setdefault(load.range.resource.name, Counts()).add(load.range.counts)
    return counts


def _mended(plan: Plan, settled: Settled, gone: dict[str, int]) -> dict[str, dict[str, int]]:
    """What the mirror did not know, per resource: how many objects were `listed`; `missing` ones that were not stored,
    `changed` ones whose content was replaced, `vanished` ones that Stripe has no more; and those found `unchanged`.
    """
    lists, nothing = _listed(plan), Counts()
    found: dict[str, dict[str, int]] = {}
    for name in RESOURCES:
        if name in lists or name in settled.counts:
            listed, fetched = lists.get(name, nothing), settled.counts.get(name, nothing)
            missing = listed.new + fetched.new
            found[name] = {
                "listed": listed.read,
                "missing": missing,
                "changed": listed.stored + fetched.stored - missing,
                "vanished": gone.get(name, 0),
                "unchanged": listed.unchanged + fetched.unchanged,
            }
    return found
