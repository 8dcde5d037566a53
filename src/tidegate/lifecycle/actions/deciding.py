"""Decides what is done about what happened: pure, for news and for a dry run alike."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

from tidegate.conditions.explain import reasons
from tidegate.lifecycle.actions.spec import Action, Candidate

State = Literal["fired", "held_out", "passed"]


class Decision(NamedTuple):
    """What becomes of it; `why` it is passed over: begin, suppressed, mode, condition or cooldown."""

    candidate: Candidate
    state: State
    why: str
    reasons: list[str]


def decide(
    action: Action,
    seed: str,
    candidates: Sequence[Candidate],
    asked: Mapping[int, Mapping[str, Any]] | None,
    fired: Mapping[int, datetime],
    modes: frozenset[bool],
    clock: Callable[[Candidate], datetime],
) -> list[Decision]:
    """A decision for each, in the order given, which is that of time.

    `asked`: by contact its condition as a tree (`conditions.explain`); None: there is none. `fired`: when it last did
    (or would have, but for the hold-out) for a contact. `modes`: of whose contacts, live or test, somebody is sent it.
    `clock`: when it is that one is decided.
    """
    last = dict(fired)
    cooldown = timedelta(days=action.cooldown_days)
    made: list[Decision] = []
    for one in candidates:
        tree = None if asked is None else asked.get(one.contact)
        why = [*one.reasons, *(reasons(tree) if tree else [])]
        passed = ""
        if one.untold:
            passed = "begin"
        elif one.suppressed:
            passed = "suppressed"
        elif one.livemode not in modes:
            passed = "mode"
        elif asked is not None and not (tree and tree["holds"]):
            passed = "condition"
        elif one.contact in last and clock(one) < last[one.contact] + cooldown:
            passed = "cooldown"
        if passed:
            made.append(Decision(one, "passed", passed, why))
            continue
        last[one.contact] = clock(one)
        held = held_out(seed, one.contact, one.occurrence, action.hold_out)
        made.append(Decision(one, "held_out" if held else "fired", "", why))
    return made


def held_out(seed: str, contact: int, occurrence: str, share: float) -> bool:
    """Whether nothing is done about an occurrence: by chance, and the same whenever it is asked."""
    if not share:
        return False
    digest = hashlib.sha256(f"{seed}\0{contact}\0{occurrence}".encode()).digest()
    return int.from_bytes(digest[:8]) < share * 2**64
