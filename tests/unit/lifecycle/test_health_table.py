"""The default components of the health are those of the table that people read."""

import re
from pathlib import Path

from tidegate.lifecycle.health import COMPONENTS

GUIDE = Path(__file__).resolve().parents[3] / "docs/howto/know-who-needs-you.md"
ROW = re.compile(r"^\| (\w+) \| `(\w+)`[^|]*\| ([^|]*→[^|]*) \| (\d+) \|$", re.M)


def test_the_default_components_are_those_of_the_guide() -> None:
    said = ROW.findall(GUIDE.read_text())
    held = [
        (one.key, one.field, ", ".join(f"{at:g} → {score:g}" for at, score in one.curve), f"{one.weight}")
        for one in COMPONENTS
    ]
    assert said == held
