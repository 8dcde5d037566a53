"""The form of a sync: what was typed into the steps of the wizard as a sync says it, and back (pure)."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from tidegate.outbound import specs
from tidegate.outbound.field_map.parse import parse
from tidegate.outbound.resources import INSERT_ONLY, OPTIONS, OWN
from tidegate.outbound.schedule import DEFAULT
from tidegate.outbound.specs import Alerts, Stops
from tidegate.web.outbound.field_rows import LONGEST_NUMBER, Row, fields_of, rows_of
from tidegate.web.pages import Texts

STEPS: Mapping[str, tuple[str, ...]] = {
    "model": ("key", "model", "resource", "mode", "connection"),
    "match": ("way", "mark", "by"),
    "fields": (),
    "rules": ("delete", "cancel_subscriptions", "at", "prorate", "invoice_now", "void", "on_conflict", "finish",
              "replace_prices"),
    "schedule": ("schedule", "time_zone", "stop_deletes", "stop_updates", "stop_written", "rows_failed", "late",
                 "longest"),
    "review": (),
}  # fmt: skip
"""The steps, and the fields of each; those of `fields` are counted (`f0_name`, …)."""
MOST_ROWS = 100
"""Fields of Stripe that a form fills: each has four of the form's, of which `pages.MOST_FIELDS` are taken."""
PARTS = ("name", "how", "value", "nulls")
SWITCHES = ("cancel_subscriptions", "prorate", "invoice_now", "void")
NUMBERS = {
    "stop_deletes": ("stops", "deletes"),
    "stop_updates": ("stops", "updates"),
    "stop_written": ("stops", "updates"),
    "rows_failed": ("alerts", "rows_failed"),
    "late": ("alerts", "late"),
    "longest": ("alerts", "longest"),
}
OF_STRIPE = ("stop_deletes", "stop_updates")
OF_OWN = ("stop_written",)
"""Of `NUMBERS`, what only syncs to Stripe have, and those of contacts: nothing is deleted there, and all may change."""
OFFERED: Mapping[str, str] = {
    "mode": "upsert",
    "delete": "nothing",
    "at": "period_end",
    "void": "yes",
    "on_conflict": "warehouse",
    "finish": "draft",
    "schedule": DEFAULT,
    "time_zone": "UTC",
    "stop_deletes": f"{Stops().deletes:g}",
    "stop_updates": f"{Stops().updates:g}",
    "stop_written": "",
    "rows_failed": f"{Alerts().rows_failed:g}",
    "late": str(Alerts().late),
    "longest": str(Alerts().longest),
}
"""What a new sync is offered."""
PLACES = {"match": "by", "stops.deletes": "stop_deletes", "stops.updates": "stop_updates", "delete.how": "delete",
          "alerts.rows_failed": "rows_failed", "alerts.late": "late", "alerts.longest": "longest"}  # fmt: skip
"""Where a problem of an entry is said, of those whose field has another name."""


def rows_in(form: Mapping[str, str]) -> list[Row]:
    """The rows of the field map that were typed."""
    said = form.get("rows", "")
    count = min(MOST_ROWS, int(said)) if said.isdecimal() and len(said) <= LONGEST_NUMBER else 0
    return [Row(*(form.get(f"f{n}_{part}", "") for part in PARTS)) for n in range(count)]


def with_rows(form: Mapping[str, str], rows: Sequence[Row]) -> Texts:
    """The form with these rows in place of its own."""
    kept = {name: value for name, value in form.items() if not _counted(name)}
    named = {f"f{n}_{part}": getattr(row, part) for n, row in enumerate(rows) for part in PARTS}
    return Texts(kept | named | {"rows": str(len(rows))})


def said(form: Mapping[str, str]) -> dict[str, Any]:
    """What a form says, as an entry of `syncs` in tidegate.yaml does; what is as it is anyway is left out."""
    resource, told = form.get("resource", ""), Texts(form)
    found: dict[str, Any] = {"key": told["key"], "model": told["model"], "resource": resource}
    if told["connection"]:
        found["connection"] = told["connection"]
    if resource not in INSERT_ONLY:
        found["mode"] = told["mode"] or "upsert"
        found["match"] = _match(told)
    if resource not in INSERT_ONLY | OWN:
        found["delete"] = _delete(told, resource)
        found["on_conflict"] = told["on_conflict"] or "warehouse"
    try:
        found["fields"] = fields_of(resource, [row for row in rows_in(form) if row.name])
    except KeyError:  # of no resource: that is wrong, and said so
        found["fields"] = {}
    if resource in {"invoices", "quotes"}:
        found["finish"] = told["finish"] or "draft"
    if resource == "prices" and told["replace_prices"]:
        found["replace_prices"] = True
    found |= {name: told[name] for name in ("schedule", "time_zone") if told[name]}
    for name, (group, part) in _numbers(resource):
        if told[name] and told[name] != OFFERED[name]:
            found.setdefault(group, {})[part] = told[name]
    return found


def typed(entry: Mapping[str, Any]) -> Texts:
    """A stored sync as its form shows it."""
    form = Texts({**OFFERED, "schedule": ""})
    for name in ("key", "model", "resource", "connection", "mode", "on_conflict", "finish", "schedule", "time_zone"):
        if entry.get(name):
            form[name] = str(entry[name])
    for way, by in cast("Mapping[str, Any]", entry.get("match") or {}).items():
        form["way"] = way
        marked = cast("Mapping[str, str]", by) if isinstance(by, Mapping) else {"": str(by)}
        [(form["mark"], form["by"])] = marked.items()
    deleting: Any = entry.get("delete") or {}
    for name, value in ({"how": deleting} if isinstance(deleting, str) else deleting).items():
        form["delete" if name == "how" else name] = ("yes" if value else "") if name in SWITCHES else str(value)
    form["replace_prices"] = "yes" if entry.get("replace_prices") else ""
    for name, (group, part) in _numbers(form["resource"]):
        told: Mapping[str, float] = entry.get(group) or {}
        if part in told:
            form[name] = f"{told[part]:g}"
    return with_rows(form, rows_of(entry.get("fields") or {}))


def _numbers(resource: str) -> list[tuple[str, tuple[str, str]]]:
    others = OF_STRIPE if resource in OWN else OF_OWN
    return [(name, place) for name, place in NUMBERS.items() if name not in others]


def is_whole(form: Mapping[str, str], entry: Mapping[str, Any]) -> bool:
    """Whether a form holds all that a stored sync says, so that saving it changes nothing but what is changed."""
    resource: str = entry["resource"]
    fields: Mapping[str, Any] = entry.get("fields") or {}
    return parse(resource, said(form)["fields"])[0] == parse(resource, fields)[0]


def problems(form: Mapping[str, str]) -> Texts:
    """What is wrong with a form, beside its fields; what is of none under `other`."""
    found = Texts()
    rows, entry = rows_in(form), said(form)
    if unfit := specs.unfit_key(entry["key"]):
        found["key"] = unfit
    if not entry["model"]:
        found["model"] = "a sync reads a model"
    for row in rows:
        if row.name and not row.value and row.how != "value":
            found[f"f{rows.index(row)}_value"] = "say what fills it"
    for problem in specs.wrong(entry):
        place, colon, words = problem.partition(": ")
        field = _at(place, rows) if colon else "other"
        field = "stop_written" if field == "stop_updates" and entry["resource"] in OWN else field
        found[field] = f"{found[field]}; {words or problem}" if found[field] else words or problem
    return Texts({name: words[:1].upper() + words[1:] for name, words in found.items()})


def step_of(field: str) -> str:
    """The step of the wizard that a field is in."""
    return next((step for step, fields in STEPS.items() if field in fields), "fields" if _counted(field) else "review")


def _counted(name: str) -> bool:
    head, _, part = name.partition("_")
    return name in {"rows", "fields"} or (head[:1] == "f" and head[1:].isdecimal() and part in PARTS)


def _match(told: Texts) -> dict[str, Any]:
    if not told["way"]:
        return {}
    return {told["way"]: {told["mark"]: told["by"]} if told["way"] == "metadata" else told["by"]}


def _delete(told: Texts, resource: str) -> dict[str, Any]:
    found: dict[str, Any] = {"how": told["delete"] or "nothing"}
    for name in sorted(OPTIONS.get(resource, frozenset())) if found["how"] == "remove" else ():
        found[name] = bool(told[name]) if name in SWITCHES else told[name] or "period_end"
    return found


def _at(place: str, rows: Sequence[Row]) -> str:
    """The field of the form that a place in an entry is: of a field map, the row whose name is nearest."""
    head, _, rest = place.partition(".")
    if head == "fields":
        fits = [(len(row.name), n) for n, row in enumerate(rows) if row.name and _within(rest, row.name)]
        return f"f{max(fits)[1]}_name" if fits else "fields"
    if head == "match":
        return "by"
    if head == "delete" and rest in STEPS["rules"]:
        return rest
    return PLACES.get(place, head if step_of(head) != "review" else "other")


def _within(place: str, name: str) -> bool:
    return place == name or place.startswith(f"{name}.") or name.startswith(f"{place}.")
