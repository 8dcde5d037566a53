"""How fast an import goes just now."""

import pytest

from tidegate.workflows.mirror.tempo import WINDOW, Tempo


def test_nothing_is_known_at_first() -> None:
    tempo = Tempo()
    assert tempo.take(0, 100.0) == 0
    assert tempo.take(50, 100.0) == 0


@pytest.mark.parametrize("idle", [WINDOW / 3, WINDOW * 20])
def test_what_was_long_ago_does_not_slow_it_down(idle: float) -> None:
    tempo = Tempo()
    tempo.take(0, 0.0)
    tempo.take(0, idle)
    told = [tempo.take(second * 100, idle + second) for second in range(1, 41)]
    assert told[-1] == pytest.approx(100.0)
    assert told[1] <= 100.0


def test_a_pause_is_seen_within_seconds() -> None:
    tempo = Tempo()
    for second in range(20):
        tempo.take(second * 100, float(second))
    told = [tempo.take(1900, float(second)) for second in range(20, 40)]
    assert told[-1] == 0
