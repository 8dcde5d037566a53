"""The page of revenue's policy: what counts, setting by setting, who chose it, and where that is said."""

from typing import Any, NamedTuple

from sqlalchemy import Connection
from starlette.responses import Response

from tidegate.connections import accounts
from tidegate.pricing.policy import NO_SOURCE, OWN, SETTINGS
from tidegate.revenue import editions
from tidegate.revenue.editions import Terms
from tidegate.web.pages import Page, Visit

SAID = {OWN: "Tidegate's own", NO_SOURCE: "no public source"}


class Chosen(NamedTuple):
    """A setting as it holds. `by`: `you`, `preset`, or `open` where the preset leaves it to you; `source`: an address,
    or words.
    """

    name: str
    about: str
    value: str
    by: str
    source: str


def policies(visit: Visit) -> Response:
    """The policy of each connection's ledger."""
    with visit.hub.engine.connect() as db:
        shown = [_shown(db, one.name) for one in accounts.every(db)]
    return visit.render("policies.html", connections=shown)


def chosen(terms: Terms) -> list[Chosen]:
    """Every setting of a policy."""
    policy, rows = terms.policy, list[Chosen]()
    for name, setting in SETTINGS.items():
        preset = setting.presets[terms.preset]
        by = "you" if name in terms.choices else "open" if preset.value is None else "preset"
        source = "" if by == "you" else SAID.get(preset.source, preset.source)
        rows.append(Chosen(name, setting.about, getattr(policy, name), by, source))
    return rows


PAGES = (Page("/policies", policies, "revenue"),)


def _shown(db: Connection, connection: str) -> dict[str, Any]:
    terms = editions.terms(db, connection)
    return {"name": connection, "terms": terms, "settings": chosen(terms)}
