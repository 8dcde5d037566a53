"""What becomes of what happened: import, mode, condition, cooldown and hold-out, in the order of time."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tidegate.lifecycle.actions.deciding import decide, held_out
from tidegate.lifecycle.actions.spec import Action, Candidate, Step, Trigger

NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)
BOTH = frozenset({True, False})


def candidate(contact: int = 1, day: float = 0, **said: Any) -> Candidate:
    more: dict[str, Any] = {"untold": False, "ref": "account:a", "name": "A", "livemode": False} | said
    return Candidate(contact, f"entered:{contact}.{day}", NOW + timedelta(days=day), {}, ["why"], **more)


def action(**said: Any) -> Action:
    return Action("mine", "Mine", Trigger("enters_stage", ("trial",)), (Step("log", "x"),), **said)


def states(found: list[Candidate], asked: Any = None, fired: Any = None, **said: Any) -> list[tuple[str, str]]:
    made = decide(action(**said), "seed", found, asked, fired or {}, frozenset({False}), lambda one: one.at)
    return [(one.state, one.why) for one in made]


def test_imports_modes_and_conditions_pass_over() -> None:
    tree = {"holds": False, "says": "mrr is above 1", "value": 0}
    found = [candidate(1, untold=True), candidate(2, livemode=True), candidate(3), candidate(4), candidate(5)]
    found.append(candidate(6, suppressed=True))
    asked = {1: tree, 2: tree, 3: tree, 4: tree | {"holds": True}}
    assert states(found, asked) == [
        ("passed", "begin"),
        ("passed", "mode"),
        ("passed", "condition"),
        ("fired", ""),
        ("passed", "condition"),
        ("passed", "suppressed"),
    ]


def test_cooldown_counts_from_the_last_that_fired() -> None:
    found = [candidate(1, day) for day in (0, 9, 10, 19.9, 20)] + [candidate(2, 20)]
    fired, cooled = ("fired", ""), ("passed", "cooldown")
    assert states(found, cooldown_days=10) == [fired, cooled, fired, cooled, fired, fired]
    assert states([candidate(1, 5)], fired={1: NOW}, cooldown_days=10) == [cooled]
    assert states([candidate(1), candidate(1, 0.001)]) == [fired, fired]


@given(st.text(min_size=1), st.integers(min_value=1), st.text())
def test_who_is_held_out_stays_so(seed: str, contact: int, occurrence: str) -> None:
    few, many = (held_out(seed, contact, occurrence, share) for share in (0.1, 0.4))
    assert few == held_out(seed, contact, occurrence, 0.1)
    assert many or not few
    assert not held_out(seed, contact, occurrence, 0)


def test_the_share_that_is_held_out_is_the_one_that_was_said() -> None:
    of = 20_000
    for share in (0.1, 0.5):
        found = sum(held_out("seed", n % 500, f"renewal:{n}", share) for n in range(of))
        assert abs(found / of - share) < 0.012
    same = sum(held_out("one", n, "x", 0.5) == held_out("other", n, "x", 0.5) for n in range(of))
    assert abs(same / of - 0.5) < 0.02


def test_the_held_out_cool_down_as_well() -> None:
    days = [candidate(n, day) for n in range(40) for day in (0, 1)]
    made = states(days, cooldown_days=10, hold_out=0.5)
    assert [why for _, why in made[1::2]] == ["cooldown"] * 40
    assert {state for state, _ in made[::2]} == {"fired", "held_out"}
