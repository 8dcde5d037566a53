"""Plans, runs and requests of syncs as people read them: counts, and tables field by field."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

TOLD = {
    "create": "to be created",
    "update": "to be updated",
    "replace": "prices to be made anew",
    "delete": "to be deleted",
    "nothing": "as wanted already",
    "skip": "left alone",
    "held": "held, waiting for something",
    "conflict": "in conflict with an edit in Stripe",
    "invalid": "invalid",
    "gone": "gone from the model, nothing to do",
}
WIDEST = 60


def say_plan(answer: Mapping[str, Any]) -> None:
    """What a run would do: counts, and of each sort the first rows."""
    from tidegate.cli import show

    counts, rows, written = answer["counts"], answer["rows"], _written(answer["resource"])
    changed = rows["new"] + rows["changed"] + rows["again"]
    show.line(
        f"{answer['sync']} → {answer['connection']}: {rows['rows']:,} rows read, {rows['unchanged']:,} unchanged, "
        f"{changed:,} to look at, {rows['gone']:,} gone."
    )
    show.table(["", "rows"], [(TOLD.get(kind, kind), count) for kind, count in counts.items() if count])
    for kind, found in answer["sample"].items():
        show.line()
        left = counts[kind] - len(found)
        name: str = TOLD.get(kind, kind) or kind
        more = f" the first {len(found):,}, {left:,} more" if left else ""
        show.line(f"{name[0].upper()}{name[1:]}:{more}")
        show.table(["row", "object", "field", "now", "becomes", ""], fields(found))
    show.line()
    if answer["settles"]:
        open_ = ", ".join(f"{count:,} × {operation}" for operation, count in answer["settles"].items())
        show.line(
            f"A run settles first what is open of earlier ones: {open_}. What was asked within 23 hours is sent again "
            f"under its idempotency key, so it is done once, also where the rows say otherwise by now."
        )
    for stop in answer["stops"]:
        show.line(f"A run would stop: {stop}.")
    if answer["plan"] is not None:
        command = f"tidegate sync run {answer['sync']} --plan {answer['plan']}"
        show.line(f"Plan {answer['plan']}; nothing was {written}. `{command}`")
    else:
        show.line(f"A plan of a part; nothing was {written}.")


def fields(decisions: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """A line for each field that changes, stays as it was edited, or is wrong; of a row without any, one that says why.

    Row, object, field, now, becomes, remark.
    """
    lines: list[tuple[str, ...]] = []
    for one in decisions:
        told = [
            *((c["field"], value(c["before"]), value(c["after"]), "edited in Stripe" if c["edited"] else "")
              for c in one["changes"]),
            *((c["field"], value(c["before"]), value(c["before"]), f"stays; the row says {value(c['after'])}")
              for c in one["kept"]),
            *((p["field"], "", value(p.get("value")), p["problem"]) for p in one["problems"]),
        ]  # fmt: skip
        if one["why"]:
            told.insert(0, ("", "", "", one["why"]))
        for place, told_of_field in enumerate(told or [("", "", "", "")]):
            named = ("", "") if place else (one["key"], one["object"] or "")
            lines.append((*named, *told_of_field))
    return lines


def value(found: Any) -> str:
    """A value in a table: text as it is, – for nothing, anything else as JSON; cut where it is long."""
    if found is None or found == "":
        return "–"
    said = found if isinstance(found, str) else json.dumps(found, ensure_ascii=False, default=str)
    return said if len(said) <= WIDEST else f"{said[: WIDEST - 1]}…"


def _written(resource: str) -> str:
    from tidegate.outbound.resources import OWN

    return "written" if resource in OWN else "sent"


def say_run(summary: Mapping[str, Any]) -> None:
    """What a run did."""
    from tidegate.cli import show

    counts, sent, written = summary["counts"], summary["sent"], _written(summary["resource"])
    if sent or summary["failed"]:
        failed = [("failed", summary["failed"])] if summary["failed"] else []
        show.table(["changes", ""], [*sent.items(), *failed])
    left = [(TOLD[kind], counts[kind]) for kind in ("held", "conflict", "invalid", "skip") if counts.get(kind)]
    if left:
        show.table(["rows", ""], left)
    told = f"Run {summary['run']} of {summary['sync']}: {sum(sent.values()):,} changes done"
    match summary["state"]:
        case "done" if not sent:
            show.line(f"Run {summary['run']} of {summary['sync']}: nothing differs, nothing was {written}.")
        case "done":
            show.line(f"{told}.")
        case "interrupted":
            show.line(f"{told}, then stopped; the rest is left to the next run.")
        case _:
            show.line(
                f"{told}; what was not is tried again by the next run. `tidegate sync show {summary['run']}` says why."
            )


def say_syncs(found: Sequence[Mapping[str, Any]], paused: Mapping[str, Any] | None) -> None:
    """The syncs, and whether they may send."""
    from tidegate.cli import show

    lines: list[tuple[Any, ...]] = []
    for one in found:
        last, rows = one["last"], dict(one["rows"])
        sent = rows.pop("sent", 0)
        others = ", ".join(f"{count:,} {state}" for state, count in rows.items())
        ran = f"{last['state']} {show.cell(last['started_at'])}" if last else "never"
        schedule = one["spec"].get("schedule", "") if one["enabled"] else "off"
        lines.append((one["key"], one["model"], one["connection"], one["resource"], sent, others, ran, schedule))
    show.table(["sync", "model", "connection", "resource", "sent", "other rows", "last run", "schedule"], lines)
    for one in found:
        if drafts := one["unfinished"]:
            show.line(f"{one['key']}: drafts wait to be finished: {drafts['why']}.")
    if paused:
        show.line(
            f"Outbound is paused since {show.cell(paused['at'])} by {paused['by']}; no sync runs, and nothing is sent."
        )


def request_line(request: Mapping[str, Any]) -> str:
    """A request in a line, as it is told while a run is under way."""
    at = request["answered_at"] or request["sent_at"] or request["intended_at"]
    status = request["status"] or "–"
    object_id = f" {request['object_id']}" if request["object_id"] else ""
    error = f": {request['error']}" if request["error"] else ""
    return f"{at:%H:%M:%S} {request['state']:<8} {status} {request['operation']} row {request['key']}{object_id}{error}"
