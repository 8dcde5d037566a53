"""Which version wins: every rule of semantics, Mirror, as a row of a table, and the order of arrival as a property."""

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.mirror.decide import Certainty, Incoming, Stored, Verdict, decide, without_a_look

TOLD, READ, SETTLED = Certainty.TOLD, Certainty.READ, Certainty.SETTLED
LIVE = Stored(at=100, certainty=READ, created=10, deleted_at=None)
TOMBSTONE = Stored(at=100, certainty=TOLD, created=10, deleted_at=100)
# Of a resource whose ids are never used again: `created` is not told.
ONLY, GONE = LIVE._replace(created=None), TOMBSTONE._replace(created=None)


@pytest.mark.parametrize(
    ("stored", "incoming", "verdict"),
    [
        pytest.param(LIVE, Incoming(101, TOLD, 10), Verdict.WINS, id="newer source time wins"),
        pytest.param(LIVE, Incoming(99, READ, 10), Verdict.LOSES, id="older loses, however it was read"),
        pytest.param(LIVE, Incoming(99, SETTLED, 10), Verdict.LOSES, id="older loses even when read to settle"),
        pytest.param(LIVE, Incoming(150, READ, 10, same=True), Verdict.CONFIRMS, id="equal content moves the time"),
        pytest.param(LIVE, Incoming(100, TOLD, 10, same=True), Verdict.CONFIRMS, id="equal content, same second"),
        pytest.param(LIVE, Incoming(99, READ, 10, same=True), Verdict.LOSES, id="equal content, earlier"),
        pytest.param(LIVE, Incoming(100, TOLD, 10), Verdict.DOUBT, id="same second, told differently: look again"),
        pytest.param(LIVE, Incoming(100, READ, 10), Verdict.DOUBT, id="same second, read differently: look again"),
        pytest.param(LIVE, Incoming(100, SETTLED, 10), Verdict.WINS, id="same second, read to settle: it wins"),
        pytest.param(
            LIVE._replace(certainty=SETTLED), Incoming(100, TOLD, 10), Verdict.DOUBT, id="told after settling: again"
        ),
        pytest.param(LIVE, Incoming(101, TOLD, 10, whole=False), Verdict.PARTIAL, id="newer but cut off: fetch it"),
        pytest.param(LIVE, Incoming(99, TOLD, 10, whole=False), Verdict.LOSES, id="older and cut off"),
        pytest.param(LIVE, Incoming(100, TOLD, 10, deleted=True), Verdict.WINS, id="deletion leaves a tombstone"),
        pytest.param(LIVE, Incoming(60, TOLD, 10, deleted=True), Verdict.WINS, id="a late deletion still holds"),
        pytest.param(
            LIVE._replace(created=70),
            Incoming(60, TOLD, 10, deleted=True),
            Verdict.LOSES,
            id="deletion of a forerunner",
        ),
        pytest.param(
            LIVE._replace(created=60), Incoming(60, TOLD, 10, deleted=True), Verdict.DOUBT, id="deleted as it was made"
        ),
        pytest.param(
            LIVE._replace(certainty=SETTLED), Incoming(60, TOLD, 10, deleted=True), Verdict.LOSES, id="seen alive since"
        ),
        pytest.param(TOMBSTONE, Incoming(101, TOLD, 10), Verdict.LOSES, id="a late update never resurrects"),
        pytest.param(TOMBSTONE, Incoming(500, READ, 10), Verdict.LOSES, id="nor does a list read later"),
        pytest.param(TOMBSTONE, Incoming(500, READ, None), Verdict.LOSES, id="nor one without created"),
        pytest.param(TOMBSTONE, Incoming(130, TOLD, 120), Verdict.WINS, id="created after: another under its id"),
        pytest.param(TOMBSTONE, Incoming(130, TOLD, 120, whole=False), Verdict.PARTIAL, id="another, but cut off"),
        pytest.param(TOMBSTONE, Incoming(130, TOLD, 100), Verdict.DOUBT, id="created in the second of the deletion"),
        pytest.param(TOMBSTONE, Incoming(100, SETTLED, 100), Verdict.WINS, id="the same, settled"),
        pytest.param(TOMBSTONE, Incoming(101, SETTLED, 10), Verdict.WINS, id="seen alive to settle"),
        pytest.param(TOMBSTONE, Incoming(100, SETTLED, 10), Verdict.LOSES, id="seen in the second of the deletion"),
        pytest.param(
            TOMBSTONE,
            Incoming(120, TOLD, 10, deleted=True),
            Verdict.WINS,
            id="deleted again later: the tombstone moves",
        ),
        pytest.param(TOMBSTONE, Incoming(90, TOLD, 10, deleted=True), Verdict.LOSES, id="an older deletion"),
        pytest.param(GONE, Incoming(500, TOLD, None), Verdict.LOSES, id="a final tombstone"),
        pytest.param(GONE, Incoming(100, TOLD, None), Verdict.LOSES, id="final in its own second, too"),
        pytest.param(GONE, Incoming(100, SETTLED, None), Verdict.LOSES, id="final though seen in its second"),
        pytest.param(GONE, Incoming(101, SETTLED, None), Verdict.WINS, id="unless seen alive later to settle"),
        pytest.param(ONLY, Incoming(60, TOLD, None, deleted=True), Verdict.WINS, id="deleted for good, told late"),
        pytest.param(
            ONLY, Incoming(100, READ, None, deleted=True), Verdict.WINS, id="deleted for good, as it was read"
        ),
    ],
)
def test_rule(stored: Stored, incoming: Incoming, verdict: Verdict) -> None:
    assert decide(stored, incoming) is verdict


@pytest.mark.parametrize(
    ("stored", "incoming", "first", "followed", "verdict"),
    [
        pytest.param(READ, TOLD, False, False, Verdict.WINS, id="an event against what was read"),
        pytest.param(READ, TOLD, True, False, Verdict.WINS, id="the creation against what was read"),
        pytest.param(TOLD, READ, False, False, Verdict.LOSES, id="what is read against an event"),
        pytest.param(READ, READ, False, False, Verdict.WINS, id="read twice: what was told last"),
        pytest.param(TOLD, TOLD, False, False, Verdict.WINS, id="two events: what was told last"),
        pytest.param(TOLD, TOLD, True, False, Verdict.LOSES, id="the creation comes late"),
        pytest.param(TOLD, TOLD, False, True, Verdict.LOSES, id="the change before comes late"),
    ],
)
def test_a_doubt_that_no_look_can_settle(
    stored: Certainty, incoming: Certainty, first: bool, followed: bool, verdict: Verdict
) -> None:
    doubt = (LIVE._replace(certainty=stored), Incoming(100, incoming, 10))
    assert decide(*doubt) is Verdict.DOUBT
    assert without_a_look(*doubt, first=first, followed=followed) is verdict


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[int, int, bool]]:
    """What can have happened to an id, as (time, created, deleted): made, changed, deleted, made again, never two a
    second.
    """
    times = iter(draw(st.lists(st.integers(1, 50), min_size=4, max_size=5, unique=True).map(sorted)))
    created, found = next(times), []
    found.append((created, created, False))
    deleted = False
    for at in times:
        if deleted:
            created, deleted = at, False
        else:
            deleted = draw(st.booleans())
        found.append((at, created, deleted))
    return draw(st.lists(st.sampled_from(found), min_size=1, unique=True))


@given(
    st.lists(st.tuples(st.integers(1, 50), st.none(), st.booleans()), min_size=1, max_size=5, unique_by=lambda v: v[0])
)
def test_a_final_deletion_holds_in_every_order(found: list[tuple[int, None, bool]]) -> None:
    """Even a change that is dated after the deletion: what is never used again is not alive after it."""
    for order in itertools.permutations(found):
        assert _outcome(order)[0] == any(deleted for _, _, deleted in found)


@given(histories())
def test_the_outcome_does_not_depend_on_the_order_of_arrival(found: list[tuple[int, int, bool]]) -> None:
    outcomes = {_outcome(order) for order in itertools.permutations(found)}
    assert len(outcomes) == 1


def _outcome(order: Sequence[tuple[int, int | None, bool]]) -> tuple[bool, int | None]:
    """What is current after the versions (time, created, deleted) came in this order: deleted or not, and since when
    made.
    """
    state: Stored | None = None
    for at, created, deleted in order:
        incoming = Incoming(at, TOLD, created, deleted)
        fresh = Stored(at, TOLD, created, at if deleted else None)
        if state is None:
            state = fresh
            continue
        match decide(state, incoming), deleted:
            case Verdict.WINS, True:
                state = state._replace(at=max(state.at, at), deleted_at=at)
            case Verdict.WINS, False:
                state = fresh
            case Verdict.CONFIRMS, _:
                state = state._replace(at=at)
            case _:
                continue
    assert state is not None
    return (True, None) if state.deleted_at is not None else (False, state.at)
