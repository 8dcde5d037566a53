"""Why a contact is in its stage: what each stage asks, test by test, and what the contact has there."""

from datetime import datetime
from typing import Any

from sqlalchemy import Engine

from tidegate.conditions.explain import reasons
from tidegate.contacts import directory
from tidegate.lifecycle import listing, placing, rulebook
from tidegate.lifecycle.rules import read
from tidegate.workflows.lifecycle.lifecycle import now


def explain_stage(engine: Engine, livemode: bool, ref: str, *, as_of: datetime | None = None) -> dict[str, Any]:
    """{contact, stage, stages: [{key, name, holds, reasons, tree}], segments, history}; the first that holds is its
    stage. Raises ContactUnknown, ContactAmbiguous.
    """
    with engine.connect() as db:
        contact = directory.find(db, livemode, ref)
        at = as_of or now(db)
        rules = rulebook.load(db)
        stages: list[dict[str, Any]] = []
        for rule in rules.stages:
            if rule.when is None:
                told: dict[str, Any] = {"holds": not any(one["holds"] for one in stages), "reasons": []}
            else:
                tree = placing.asked(db, read(rule)[0], [contact.key], at).get(contact.key)
                told = {"holds": bool(tree and tree["holds"]), "reasons": reasons(tree) if tree else [], "tree": tree}
            stages.append({"key": rule.key, "name": rule.name} | told)
        history = listing.history(db, contact.key)
    held = next((one["key"] for one in stages if one["holds"]), None)
    return {"contact": contact.ref, "stage": held, "stages": stages, "history": history}
