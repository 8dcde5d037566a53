"""What axe-core finds wrong with a page for people who cannot see it, or not well, or use no mouse."""

from functools import cache
from pathlib import Path
from typing import Any

AXE = Path(__file__).parents[1] / "browser/build/axe.min.js"
GRAVE = ("serious", "critical")
RUN = "axe.run({ resultTypes: ['violations'], preload: false })"


def troubles(page: Any) -> list[str]:
    """The serious and critical violations of axe-core's rules on what a browser's page shows."""
    page.evaluate(_axe())
    found = page.evaluate(RUN)["violations"]
    return [_said(one) for one in found if one["impact"] in GRAVE]


def wider(page: Any) -> list[str]:
    """Whether the page scrolls sideways, with what sticks out."""
    return [f"scrolls sideways: {one}" for one in page.evaluate(WIDER)]


@cache
def _axe() -> str:
    assert AXE.exists(), "axe-core is not there: `python tools/assets.py --tests` gets it from npm"
    return AXE.read_text()


def _said(violation: dict[str, Any]) -> str:
    where = "; ".join(f"{' '.join(node['target'])} {node['html'][:160]}" for node in violation["nodes"][:3])
    why = violation["nodes"][0]["failureSummary"].replace("\n", " ")
    return f"{violation['id']} ({violation['impact']}), {len(violation['nodes'])} times: {where} – {why}"


WIDER = """() => {
  if (document.documentElement.scrollWidth <= window.innerWidth) return [];
  const scrolls = (one) => ["auto", "scroll", "hidden"].includes(getComputedStyle(one).overflowX);
  const held = (one) => one !== null && (scrolls(one) || held(one.parentElement));
  const out = [...document.querySelectorAll("body *")]
    .filter((one) => one.getBoundingClientRect().right > window.innerWidth + 1 && !held(one.parentElement))
    .map((one) => one.outerHTML.slice(0, 160));
  return out.length ? out.slice(0, 3) : ["by what cannot be told"];
}"""
