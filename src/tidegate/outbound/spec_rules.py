"""What of a sync does not go together, or means nothing for its resource, each told as `place: problem`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tidegate.outbound import schedule
from tidegate.outbound.plan.compare import BILLED
from tidegate.outbound.resources import INSERT_ONLY, MATCHES, OPTIONS, OWN
from tidegate.outbound.schedule import AfterSync

if TYPE_CHECKING:
    from tidegate.outbound.specs import Sync

ANCHOR = ("now", "unchanged")
"""What Stripe takes for a billing anchor when a subscription changes."""


def wrong_together(sync: "Sync") -> list[str]:
    """Everything that is wrong with a sync whose parts have the right types, but for its field map."""
    return [
        *_of_insert_only(sync),
        *_of_own(sync),
        *_of_match(sync),
        *_of_delete(sync),
        *_of_options(sync),
        *_of_schedule(sync),
    ]


def _value(sync: "Sync", name: str) -> Any:
    said = sync.fields.get(name)
    return cast("Mapping[str, Any]", said).get("value") if isinstance(said, Mapping) else None


def _of_mark(sync: "Sync") -> list[str]:
    """What rows are matched by is written as well, so that they are found again: the field map says the same of it."""
    way, name, column = sync.matched_by
    within = sync.fields.get("metadata") if way == "metadata" else sync.fields
    said = cast("Mapping[str, Any]", within).get(name or way) if isinstance(within, Mapping) else None
    where = f"fields.metadata.{name}" if name else f"fields.{way}"
    told = said.get("column") if isinstance(said, Mapping) else said  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    free = way != "metadata" and isinstance(said, Mapping) and "template" in said
    if said is None or told == column or free:
        return []
    return [f"{where}: rows are matched by the column {column}, so it is filled by that and by nothing else"]


def _of_insert_only(sync: "Sync") -> list[str]:
    """What cannot be said of usage: it is told once, and counts from then on."""
    if sync.resource not in INSERT_ONLY:
        return []
    what = "usage is told once"
    found: list[str] = []
    if sync.mode != "insert":
        found.append(f"mode: it is insert; {what}, and Stripe lets nobody change it. A row that differs is a new row")
    if sync.match:
        found.append(f"match: {what}, so rows are matched with nothing; each counts once, by its key")
    if "delete" in sync.model_fields_set:
        found.append(f"delete: {what}, and what left the model stays counted; a value below 0 takes away")
    if "on_conflict" in sync.model_fields_set:
        found.append(f"on_conflict: {what}, and nobody edits it in Stripe")
    return found


def _of_own(sync: "Sync") -> list[str]:
    """What cannot be said of contacts."""
    if sync.resource not in OWN:
        return []
    found: list[str] = []
    if sync.mode == "insert":
        found.append("mode: it is upsert, or update for contacts that there are")
    if sync.delete.how == "remove":
        found.append(
            "delete: a contact stays when its row leaves the model; take it away with `tidegate contacts forget`"
        )
    for name in ("name", "owner"):
        said = sync.fields.get(name)
        if isinstance(said, Mapping) and cast("Mapping[str, Any]", said).get("nulls") == "clear":
            found.append(f"fields.{name}.nulls: only properties are taken away; a null says nothing of it")
    if sync.on_conflict != "warehouse":
        found.append("on_conflict: contacts are yours, and nobody edits them in Stripe")
    return found


def _of_match(sync: "Sync") -> list[str]:
    if sync.resource in INSERT_ONLY:
        return []
    ways = sorted(MATCHES[sync.resource])
    if len(sync.match) != 1 or not set(sync.match) <= set(ways):
        return [f"match: {sync.resource} are matched by one of {', '.join(ways)}"]
    [(way, by)] = sync.match.items()
    if way != "metadata":
        if sync.resource in OWN and isinstance(by, str):
            return []
        return _of_mark(sync) if isinstance(by, str) else [f"match.{way}: it takes the name of a column"]
    if not isinstance(by, Mapping) or len(cast("Mapping[str, Any]", by)) != 1:
        return ["match.metadata: it takes one key and the column that holds its value, {account_id: id}"]
    return _of_mark(sync)


def _of_delete(sync: "Sync") -> list[str]:
    if sync.resource in INSERT_ONLY:
        return []
    said = sync.delete.model_fields_set - {"how"}
    unfit = sorted(said - OPTIONS.get(sync.resource, frozenset()))
    found = [f"delete.{name}: it means nothing for {sync.resource}" for name in unfit]
    if sync.delete.how == "remove" and sync.mode != "upsert":
        found.append(f"delete: it goes with the mode upsert; this sync's is {sync.mode}")
    return found


def _of_options(sync: "Sync") -> list[str]:
    found: list[str] = []
    if sync.finish != "draft" and sync.resource not in {"invoices", "quotes"}:
        found.append("finish: only invoices and quotes are finished")
    if sync.finish == "sent" and sync.resource == "quotes":
        found.append("finish: a quote is finalized; Stripe sends none")
    if sync.replace_prices and sync.resource != "prices":
        found.append("replace_prices: it is for prices")
    billed = sorted(BILLED & sync.fields.keys()) if sync.resource == "subscriptions" else []
    if billed and "proration_behavior" not in sync.fields:
        found.append(
            f"fields.proration_behavior: say what a change of {', '.join(billed)} costs now, such as {{value: none}}, "
            "{value: create_prorations} or {value: always_invoice}"
        )
    if (
        sync.resource == "subscriptions"
        and isinstance(word := _value(sync, "billing_cycle_anchor"), str)
        and word in ANCHOR
    ):
        found.append(
            "fields.billing_cycle_anchor: it is the time that a new subscription is billed from, and not changed later"
        )
    try:
        ZoneInfo(sync.time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        found.append(f"time_zone: {sync.time_zone!r} is no time zone: it is one such as Europe/Berlin, or UTC")
    return found


def _of_schedule(sync: "Sync") -> list[str]:
    try:
        if schedule.parse(sync.schedule) == AfterSync(sync.key):
            return ["schedule: a sync cannot run after itself"]
    except ValueError as wrong:
        return [f"schedule: {wrong}"]
    return []
