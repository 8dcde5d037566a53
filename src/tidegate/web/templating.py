"""Renders the page's templates."""

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from tidegate import __version__
from tidegate.catalog import words as catalog_words
from tidegate.catalog.names import called
from tidegate.connections.accounts import Account
from tidegate.contacts import words as contact_words
from tidegate.entitlements import paths, words
from tidegate.lifecycle import happened
from tidegate.money import said
from tidegate.stripe_api import dashboard
from tidegate.web import wording
from tidegate.web.assets import Assets

TEMPLATES = Path(__file__).parent / "templates"


@cache
def environment(assets: Assets) -> Environment:
    """The templates, each compiled once: everything is escaped, a missing value is an error."""
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
        "plainly": wording.plainly,
        "ago": wording.ago,
        "ahead": wording.ahead,
        "found": wording.found,
        "span": wording.span,
        "utc": wording.utc,
        "day": wording.day,
        "mrr": wording.mrr,
        "number": wording.number,
        "money": said,
        "percent": wording.percent,
        "contact_page": wording.contact_page,
        "sync_page": wording.sync_page,
        "run_page": wording.run_page,
        "destination_page": wording.destination_page,
        "sent": wording.sent,
        "value": wording.value,
        "document": document,
        "when": when,
        "happened": happened.told,
        "why": words.in_words,
        "gift": words.gift,
        "step": paths.step_in_words,
        "evidence": contact_words.evidence_in_words,
        "tried": contact_words.tried,
        "worth": contact_words.worth,
        "standing": catalog_words.standing,
        "terms": catalog_words.terms,
        "how_much": catalog_words.how_much,
        "meaning": catalog_words.meaning,
        "list_value": catalog_words.list_value,
        "called": price_called,
        "package_page": wording.package_page,
        "object_page": wording.object_page,
        "subject_page": wording.subject_page,
        "in_stripe": in_stripe,
        "code": code,
        "combined": combined,
        "total": total,
        "dot": dot,
        "state_colour": state_colour,
        "names": names,
        "instant": wording.instant,
        "cut": wording.cut,
        "rows_read": rows_read,
        "took": took,
    }
    made.filters.update(filters)
    values: dict[str, Any] = {"asset": assets.url, "version": __version__}
    made.globals.update(values)
    return made


def price_called(row: Mapping[str, Any]) -> str:
    """What a row's price is called."""
    return called(row["product_name"], row["nickname"], row["interval"], row["interval_count"])


def code(text: str) -> Markup:
    """Text with what stands in backquotes as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def document(said: Any) -> str:
    """A document as indented JSON."""
    return json.dumps(said, indent=2, ensure_ascii=False, default=str)


def when(at: datetime | None) -> Markup:
    """A time as an element of the page, UTC, to the second; a dash for none."""
    if at is None:
        return Markup("–")
    said = at.isoformat()
    return Markup('<time datetime="{}">{}</time>').format(said, wording.utc(said).removesuffix(" UTC"))


def in_stripe(id_: str, kind: str, account: Account) -> str:
    """Where Stripe's dashboard shows an object. `kind`: Stripe's `object`, one that has a page there."""
    where = dashboard.page(kind, id_, account=account.account, livemode=account.livemode)
    assert where is not None, kind
    return where


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


NAMED = 3
"""Connections that are named where there may be many."""


def names(connections: list[Account]) -> str:
    """What connections are called: `Acme, Globex and 5 more`."""
    called = [one.display_name or one.name for one in connections[:NAMED]]
    more = len(connections) - NAMED
    if more > 0:
        return f"{', '.join(called)} and {more:,} more"
    *first, last = called
    return f"{', '.join(first)} and {last}" if first else last


def rows_read(run: dict[str, Any]) -> int:
    """Objects that an import has read in all."""
    return sum(counts.get("read", 0) for counts in run["summary"].get("resources", {}).values())


def took(run: dict[str, Any]) -> str:
    """How long an ended run took."""
    ended, started = (datetime.fromisoformat(run[name]) for name in ("finished_at", "started_at"))
    return wording.span((ended - started).total_seconds())
