"""What a contact may use, and why, in words for somebody who does not know what a grant is (pure)."""

from collections.abc import Sequence
from typing import Any


def held(packages: Sequence[dict[str, Any]]) -> str:
    """The packages in a sentence part."""
    if not packages:
        return "no package"
    return " and ".join(
        f"{one['package']} (version {one['version']}, {one['reason']}{_until(one['until'])})" for one in packages
    )


def in_words(one: dict[str, Any]) -> str:
    """Why a feature may be used or not, for somebody who does not know what a grant is."""
    giving = [source for source in one["sources"] if source["granted"]]
    by = ", ".join(dict.fromkeys(_giver(source) for source in giving))
    via = f", as a member of {one['via']}" if "via" in one else ""
    if one["reason"] == "granted":
        amount = f"; {_used(one)}" if one["type"] == "metered" else ""
        value = f": {one['value']}" if one["type"] == "config" else ""
        return f"yes{value}, by {by}{via}{amount}{_until(one['until'])}"
    if one["reason"] in ("usage_limit_reached", "over_limit"):
        more = "all is used" if one["reason"] == "usage_limit_reached" else "more is used than the limit is now"
        return f"no: {more}; {_used(one)}, given by {by}{via}"
    gone = [source for source in one["sources"] if not source["granted"]]
    if gone:
        return "no: " + "; ".join(dict.fromkeys(f"{_giver(source)} gave it, but {source['reason']}" for source in gone))
    return "no: nothing that the contact has gives it"


def source_in_words(source: dict[str, Any]) -> str:
    """One thing that gives a feature or gave it."""
    verb = "gives" if source["granted"] else "gave"
    times = f" × {source['times']:,}" if source["times"] != 1 else ""
    path = f" (customer {source['customer']}, subscription {source['subscription']})" if "customer" in source else ""
    until = _until(source["until"])
    return f"{_giver(source)} {verb} {gift(source['gives'])}{times}: {source['reason']}{until}{path}"


def gift(gives: Any) -> str:
    """Terms in words."""
    if gives is True:
        return "it"
    if gives.get("unlimited"):
        return "an unlimited amount"
    if "value" in gives:
        return f"the value {gives['value']}"
    every = gives.get("reset")
    return f"{gives['limit']:,}" + (f" every {every.replace('_', ' ')}" if every and every != "never" else "")


def _giver(source: dict[str, Any]) -> str:
    if "override" in source:
        package = f" of the package {source['package']}" if "package" in source else ""
        return f"override {source['override']}{package}"
    if "package" in source:
        kind = {"add_on": "the add-on", "default": "the default package"}.get(source["kind"], "the package")
        return f"{kind} {source['package']}"
    named = f" ({source['price_name']})" if source.get("price_name") else ""
    return f"the price {source['price']}{named}"


def _used(one: dict[str, Any]) -> str:
    unit = f" {one['unit']}s" if one["unit"] else ""
    most = "no limit" if one["unlimited"] else f"{one['limit']:,}{unit}"
    resets = f", counted anew from {_moment(one['resets_at'])}" if one["resets_at"] else ""
    return f"{one['used']:,} used of {most}{resets}"


def _until(moment: str | None) -> str:
    return f", until {_moment(moment)}" if moment else ""


def _moment(moment: str) -> str:
    return f"{moment[:16].replace('T', ' ')} UTC"
