"""Which rows of a sync a form is about, as it is typed: all, one by its key, or so many that differ."""

from collections.abc import Mapping

from tidegate.web.pages import Texts
from tidegate.workflows.outbound.sync_plan import Part

FIELDS = ("only", "limit", "full")
LONGEST = 9
"""Digits of how many rows."""


def read(form: Mapping[str, str]) -> tuple[Part, Texts]:
    """The part, and what is wrong with it by field. `only`: a row's key; `limit`: `10` or `1,000` rows; `full`: also
    those that stayed the same.
    """
    only, limit = form.get("only", ""), form.get("limit", "").replace(",", "")
    wrong = Texts()
    if limit and not (limit.isascii() and limit.isdecimal() and len(limit) <= LONGEST and int(limit)):
        wrong["limit"] = f"How many rows is a number from 1 to {10**LONGEST - 1:,}."
    part = Part((only,) if only else None, int(limit) if limit and not wrong else None, full=bool(form.get("full")))
    return part, wrong


def typed(form: Mapping[str, str]) -> Texts:
    """What was typed of it."""
    return Texts({name: form[name] for name in FIELDS if form.get(name)})
