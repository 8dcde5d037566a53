"""The page of what counts as revenue: each setting with its source, and another policy tried before it is adopted."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from starlette.responses import Response

from tidegate.errors import PolicyInvalid
from tidegate.pricing.policy import NO_SOURCE, OWN, PRESETS, SETTINGS, policy
from tidegate.revenue import editions
from tidegate.revenue.editions import Terms
from tidegate.revenue.rounding import whole
from tidegate.web.choosing import account
from tidegate.web.pages import Page, Texts, Visit
from tidegate.web.revenue.asked import said, with_ledger
from tidegate.workflows.revenue import ledger_policy

MONTHS = 36
"""Changed months that a preview shows, the newest."""
AS_THE_PRESET = ""
"""Typed for a setting: what the preset chooses."""


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


def shown(visit: Visit) -> Response:
    """The policy in force, and the form that tries another one."""
    return _page(visit)


def tried(visit: Visit) -> Response:
    """What the ledger would say under the policy that was typed; nothing is stored."""
    return _tried(visit)


def adopted(visit: Visit) -> Response:
    """Keeps the ledger by it from now on, if it is still the edition that the preview was made against."""
    of = account(visit)
    before = ledger_policy.shown(visit.hub.engine, of)
    if str(before["edition"]) != visit.form.get("edition"):
        return _tried(visit, "Another policy has been adopted meanwhile; this is what yours would change now.")
    try:
        ledger_policy.adopt(visit.hub.engine, of, _given(visit), visit.actor)
    except PolicyInvalid as error:
        return _page(visit, 422, wrong=_beside(visit, error), typed=Texts(visit.form))
    return visit.go("/revenue/policy")


def chosen(terms: Terms) -> list[Chosen]:
    """Every setting of a policy."""
    policy, rows = terms.policy, list[Chosen]()
    for name, setting in SETTINGS.items():
        preset = setting.presets[terms.preset]
        by = "you" if name in terms.choices else "open" if preset.value is None else "preset"
        source = "" if by == "you" else SAID.get(preset.source, preset.source)
        rows.append(Chosen(name, setting.about, getattr(policy, name), by, source))
    return rows


PAGES = (
    Page("/revenue/policy", with_ledger("Revenue policy", shown), "revenue"),
    Page("/revenue/policy", with_ledger("Revenue policy", tried), "operate", "POST"),
    Page("/revenue/policy/adopt", with_ledger("Revenue policy", adopted), "admin", "POST"),
)


def _beside(visit: Visit, error: PolicyInvalid) -> Texts:
    """What is wrong beside its setting; `whole`: what is no setting's fault."""
    found: dict[str, str] = {}
    for name in SETTINGS:
        if value := visit.form.get(f"set.{name}", AS_THE_PRESET):
            try:
                policy(choices={name: value})
            except PolicyInvalid as one:
                found[name] = str(one)
    return Texts(found or {"whole": str(error)})


def _given(visit: Visit) -> dict[str, Any]:
    """What was typed as `Terms.otherwise` takes it: the settings that the preset does not decide, and no other."""
    form = visit.form
    picked = {name: form.get(f"set.{name}", AS_THE_PRESET) for name in SETTINGS}
    return {
        "preset": form.get("preset") or None,
        "choices": {name: value for name, value in picked.items() if value},
        "base_currency": form.get("base_currency", ""),
        "time_zone": form.get("time_zone") or None,
        "anew": True,
    }


def _tried(visit: Visit, stale: str = "") -> Response:
    try:
        found = ledger_policy.preview(visit.hub.engine, account(visit), _given(visit))
    except PolicyInvalid as error:
        return _page(visit, 422, wrong=_beside(visit, error), typed=Texts(visit.form))
    return _page(visit, 409 if stale else 200, typed=Texts(visit.form), stale=stale, tried=_difference(found))


def _difference(found: Mapping[str, Any]) -> dict[str, Any]:
    """The difference in minor units: MRR by currency, and the newest months by kind of movement."""
    months = [
        one | {"before": whole(one["before"]), "now": whole(one["now"]), "by": whole(one["now"]) - whole(one["before"])}
        for one in reversed(found["months"])
    ]
    mrr = [
        {"currency": currency, "before": whole(before), "now": whole(now)}
        for currency, (before, now) in found["mrr"].items()
    ]
    return {"mrr": mrr, "months": months[:MONTHS], "more": len(months[MONTHS:]), "preset": found["preset"]}


def _page(visit: Visit, status: int = 200, **told: Any) -> Response:
    of = account(visit)
    terms = ledger_policy.shown(visit.hub.engine, of)
    with visit.hub.engine.connect() as db:
        rows = _rows(editions.terms(db, of.name))
    facts: dict[str, Any] = {"wrong": Texts(), "stale": "", "tried": None, "typed": _typed(terms), **told}
    return visit.render("revenue/policy.html", status, terms=terms, rows=rows, presets=PRESETS, **facts, **said(visit))


def _typed(terms: Mapping[str, Any]) -> Texts:
    """The form as the policy in force fills it."""
    picked = {f"set.{name}": value for name, value in terms["choices"].items()}
    alone = {"preset": terms["preset"], "time_zone": terms["time_zone"], "base_currency": terms["base_currency"] or ""}
    return Texts(picked | alone)


def _rows(terms: Terms) -> list[dict[str, Any]]:
    """The settings as the page shows them: who chose each, and what it may be (`counted`: a number, too)."""
    return [
        one._asdict()
        | {"choices": SETTINGS[one.name].choices}
        | {"counted": any(choice.startswith("N ") for choice in SETTINGS[one.name].choices)}
        for one in chosen(terms)
    ]
