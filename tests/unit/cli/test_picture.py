"""Drawings of a series: ticks, panels, SVG; bars and lines of blocks for a terminal."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from tidegate.cli import amounts, picture
from tidegate.cli.picture import COLOURS, Panel, panels_of, ticks
from tidegate.errors import UsageError


@pytest.mark.parametrize(
    ("highest", "expected"),
    [
        (0, [0, 1]), (1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (150, [0, 50, 100, 150]), (5, [0, 1, 2, 3, 4, 5]),
        (99_999, [0, 20_000, 40_000, 60_000, 80_000, 100_000]),
    ],
)  # fmt: skip
def test_ticks_are_round_and_reach_the_highest(highest: float, expected: list[float]) -> None:
    assert ticks(highest) == pytest.approx(expected)


def row(period: str, mrr: int | None, group: str = "", currency: str = "usd") -> dict[str, object]:
    return {"period": period, "currency": currency, "group": group, "mrr": mrr}


def test_a_currency_is_a_panel_and_groups_without_a_colour_are_one_curve() -> None:
    groups = [f"g{number}" for number in range(len(COLOURS) + 3)]
    rows = [row(period, 100, group) for group in groups for period in ("2026-01", "2026-02")]
    usd, jpy = panels_of([*rows, row("2026-01", 100, currency="jpy")])
    assert [curve.name for curve in usd.curves] == [*groups[:7], "4 others"]
    assert (usd.curves[0].amounts, usd.curves[-1].amounts) == ([1.0, 1.0], [4.0, 4.0])
    assert jpy.curves[0].amounts == [100.0]


def test_a_picture_is_svg_that_parses_with_a_gap_where_nothing_is_known(tmp_path: Path) -> None:
    panels = panels_of(
        [row("2026-01", 100, "<a>"), row("2026-02", None, "<a>"), row("2026-03", 300, "<a>"), row("2026-01", 5)]
    )
    picture.save(tmp_path / "mrr.svg", panels)
    root = ElementTree.parse(tmp_path / "mrr.svg").getroot()
    drawn = [one for one in root if one.get("stroke") == COLOURS[0]]
    assert len(drawn) == 3  # two stretches, and the mark beside the name
    assert any(one.text == "<a>" for one in root)


@pytest.mark.parametrize(
    "name", ["Acme Corporation GmbH & Co. KG", "WWWWWWWWWWWWWWWWWWWWWWWW", "i", "北京某某科技有限公司"]
)
def test_a_legend_stays_in_the_picture_and_on_nothing_else(tmp_path: Path, name: str) -> None:
    rows = [row(period, 100, f"{name} {n}") for n in range(9) for period in ("2026-01", "2026-02")]
    panels = panels_of([*rows, row("2026-01", 5, currency="jpy")])
    picture.save(tmp_path / "mrr.svg", panels)
    root = ElementTree.parse(tmp_path / "mrr.svg").getroot()
    names = [one for one in root if one.get("fill") in COLOURS]
    assert [one.text or "" for one in names][:2] == [picture.shortened(f"{name} {n}") for n in (0, 1)]
    assert len(names) == len(COLOURS)
    ends: dict[str, float] = {}
    for one in names:
        x, y = float(one.get("x", "")), one.get("y", "")
        assert x - picture.MARK >= ends.get(y, 0)
        ends[y] = x + picture.text_width(one.text or "", picture.TEXT)
        assert ends[y] <= picture.WIDTH - picture.RIGHT
    title, highest = 24, min(float(one.get("y", "")) for one in root if one.get("text-anchor") == "end")
    assert title < min(map(float, ends)) <= max(map(float, ends)) < highest, "below the title, above the first line"
    assert root.get("viewBox") == f"0 0 {picture.WIDTH} {sum(panel.height for panel in panels)}"


def test_another_kind_of_file_or_none_that_can_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.svg or \.png"):
        picture.save(tmp_path / "mrr.jpg", [])
    with pytest.raises(UsageError, match="cannot be written"):
        picture.save(tmp_path / "none" / "mrr.svg", [Panel("", [], [])])


def test_bars_and_lines_of_blocks() -> None:
    assert amounts.bar(50, 100) == "█" * 15
    assert amounts.bar(None, 100) == amounts.bar(-5, 100) == ""
    assert amounts.bar(1, 240) == "▏"
    assert amounts.spark([0, None, 50, 100]) == "▁ ▅█"
    assert (amounts.percent(None), amounts.percent(0.125), amounts.money(None, "usd")) == ("–", "12.5 %", "–")
