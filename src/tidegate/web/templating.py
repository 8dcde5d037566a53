"""Renders the page's templates."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from tidegate import __version__
from tidegate.entitlements import words
from tidegate.lifecycle import happened
from tidegate.money import said
from tidegate.web import wording
from tidegate.web.assets import Assets

TEMPLATES = Path(__file__).parent / "templates"


def environment(assets: Assets) -> Environment:
    """The templates: everything is escaped, a missing value is an error."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., Any]] = {
        "count": wording.count,
        "size": wording.size,
        "title": wording.title,
        "problem": wording.problem,
        "ago": wording.ago,
        "ahead": wording.ahead,
        "found": wording.found,
        "span": wording.span,
        "utc": wording.utc,
        "day": wording.day,
        "mrr": wording.mrr,
        "money": said,
        "percent": wording.percent,
        "contact_page": wording.contact_page,
        "happened": happened.told,
        "why": words.in_words,
        "code": code,
        "combined": combined,
        "total": total,
        "dot": dot,
        "state_colour": state_colour,
        "rows_read": rows_read,
        "took": took,
    }
    made.filters.update(filters)
    values: dict[str, Any] = {"asset": assets.url, "version": __version__}
    made.globals.update(values)
    return made


def code(text: str) -> Markup:
    """Text with what stands in backquotes as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def combined(one: Mapping[str, str], other: Mapping[str, str]) -> dict[str, str]:
    """Fields of both; what both have is the other's."""
    return {**one, **other}


def total(resources: list[dict[str, Any]], column: str) -> int:
    """The sum of a column over resources."""
    return sum(each[column] for each in resources)


def dot(connection: dict[str, Any]) -> str:
    """The colour of a connection's dot: orange with problems, azure while it is imported, green when kept current."""
    if connection["problems"]:
        return "bg-orange"
    if connection["run"] and connection["run"]["state"] == "running":
        return "bg-azure"
    return "bg-green" if connection["last_webhook_at"] or connection["caught_up_at"] else "bg-secondary"


def state_colour(run: dict[str, Any]) -> str:
    """The badge of a run's state."""
    return {"done": "bg-green-lt", "running": "bg-azure-lt"}.get(run["state"], "bg-orange-lt")


def rows_read(run: dict[str, Any]) -> int:
    """Objects that an import has read in all."""
    return sum(counts.get("read", 0) for counts in run["summary"].get("resources", {}).values())


def took(run: dict[str, Any]) -> str:
    """How long an ended run took."""
    ended, started = (datetime.fromisoformat(run[name]) for name in ("finished_at", "started_at"))
    return wording.span((ended - started).total_seconds())
