"""Draws series of amounts as a picture: a panel for each currency, as SVG or PNG, whichever the file's name says."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from math import floor, log10
from pathlib import Path
from typing import Any, Literal, NamedTuple

from tidegate.errors import UsageError

WIDTH, PANEL, LEFT, RIGHT, TOP, BOTTOM = 960, 320, 110, 40, 44, 36
COLOURS = ("#2563eb", "#d97706", "#059669", "#dc2626", "#7c3aed", "#0891b2", "#be185d", "#64748b")
"""The last one is that of all groups that have no colour of their own."""
INK, GRID = "#334155", "#e2e8f0"
TEXT, MARK, GAP, ROW = 12, 20, 18, 20
"""Of the legend: the size of its names, the room of the mark before each and of the gap after it, a row's height."""
LONGEST_NAME = 200
SCALE = 2
"""Pixels of a PNG for one of the picture's units."""


class Curve(NamedTuple):
    """A series of a panel: its name, and an amount for each period; None: unknown."""

    name: str
    amounts: Sequence[float | None]


class Panel(NamedTuple):
    """Curves over the same periods, in one currency."""

    title: str
    periods: Sequence[str]
    curves: Sequence[Curve]

    @property
    def legend(self) -> list[list[tuple[float, str]]]:
        """The names of its curves in rows that fit the picture, each with where it begins; none for a curve alone."""
        rows: list[list[tuple[float, str]]] = []
        place = float(WIDTH)
        for curve in self.curves if len(self.curves) > 1 else ():
            name = shortened(curve.name or "none")
            room = MARK + text_width(name, TEXT) + GAP
            if place + room - GAP > WIDTH - RIGHT:
                rows.append([])
                place = float(LEFT)
            rows[-1].append((place, name))
            place += room
        return rows

    @property
    def height(self) -> int:
        """Of the panel: what is drawn, and the rows of the legend between it and the title."""
        return PANEL + ROW * len(self.legend)


class Stroke(NamedTuple):
    """Points joined by a line of this colour and width; `filled`: an area instead."""

    points: Sequence[tuple[float, float]]
    colour: str
    width: float = 1
    filled: bool = False


class Label(NamedTuple):
    """A text; `x` is its beginning, middle or end."""

    x: float
    y: float
    text: str
    anchor: Literal["start", "middle", "end"] = "start"
    colour: str = INK
    size: int = 12


Mark = Stroke | Label


def save(path: Path, panels: Sequence[Panel]) -> None:
    """Writes the picture. Raises UsageError for another kind of file, or one that cannot be written."""
    marks: list[Mark] = []
    height = 0
    for panel in panels:
        marks += _panel(panel, height)
        height += panel.height
    height = height or PANEL
    try:
        match path.suffix.lower():
            case ".svg":
                path.write_text(svg(marks, height), encoding="utf-8")
            case ".png":
                _png(marks, height, path)
            case other:
                raise UsageError(problem=f"A picture is saved as .svg or .png, and {path.name} ends with {other!r}.")
    except OSError as error:
        raise UsageError(problem=f"{path} cannot be written: {error.strerror or error}.") from error


def panels_of(rows: Iterable[Mapping[str, Any]]) -> list[Panel]:
    """Panels of a report's rows: {period, currency, group, mrr} in minor units, the largest groups first.

    Groups beyond the colours are one curve, the others.
    """
    from tidegate.money import decimal

    found: dict[str, dict[str, dict[str, float | None]]] = {}
    names: dict[str, str] = {}
    for row in rows:
        names[str(row.get("group", ""))] = row.get("name") or str(row.get("group", ""))
        curve = found.setdefault(row["currency"], {}).setdefault(str(row.get("group", "")), {})
        curve[row["period"]] = None if row["mrr"] is None else float(decimal(row["mrr"], row["currency"]))
    panels: list[Panel] = []
    for currency, groups in found.items():
        periods = sorted({period for curve in groups.values() for period in curve})
        curves = [Curve(names[group], [curve.get(one) for one in periods]) for group, curve in groups.items()]
        if len(curves) > len(COLOURS):
            rest = curves[len(COLOURS) - 1 :]
            sums = [sum(amount or 0 for amount in those) for those in zip(*(one.amounts for one in rest), strict=True)]
            curves = [*curves[: len(COLOURS) - 1], Curve(f"{len(rest):,} others", sums)]
        panels.append(Panel(f"MRR, {currency.upper()}", periods, curves))
    return panels


def _panel(panel: Panel, offset: float) -> Iterator[Mark]:
    steps = ticks(max((one or 0 for curve in panel.curves for one in curve.amounts), default=0))
    bottom = offset + panel.height - BOTTOM

    def x(place: int) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (place / max(len(panel.periods) - 1, 1))

    def y(amount: float) -> float:
        return bottom - (PANEL - TOP - BOTTOM) * amount / steps[-1]

    for step in steps:
        yield Stroke([(LEFT, y(step)), (WIDTH - RIGHT, y(step))], GRID)
        yield Label(LEFT - 8, y(step) + 4, f"{step:,.10g}", "end")
    every = max(1, -(-len(panel.periods) // 12))
    for place in range(0, len(panel.periods), every):
        yield Label(x(place), bottom + 18, panel.periods[place], "middle")
    for number, curve in enumerate(panel.curves):
        for run in _runs(curve.amounts):
            points = [(x(place), y(max(amount, 0))) for place, amount in run]
            if len(panel.curves) == 1:
                yield Stroke([(points[0][0], bottom), *points, (points[-1][0], bottom)], "#dbeafe", filled=True)
            yield Stroke(points if len(points) > 1 else [points[0], (points[0][0] + 2, points[0][1])],
                         COLOURS[number], 2)  # fmt: skip
    yield Label(LEFT, offset + 24, panel.title, size=14)
    colours = iter(COLOURS)
    for number, row in enumerate(panel.legend, 1):
        line = offset + 24 + ROW * number
        for place, name in row:
            colour = next(colours)
            yield Stroke([(place, line - 4), (place + 14, line - 4)], colour, 3)
            yield Label(place + MARK, line, name, colour=colour)


def shortened(name: str) -> str:
    """A name no wider than the picture can show beside others."""
    if text_width(name, TEXT) <= LONGEST_NAME:
        return name
    while text_width(f"{name}…", TEXT) > LONGEST_NAME:
        name = name[:-1]
    return name.rstrip(" .,") + "…"


def text_width(words: str, size: int) -> float:
    """How wide a text is in the picture's units, as the PNG draws it, and a tenth more: an SVG has the viewer's font.
    Chinese and the like, which the PNG's font lacks, are as wide as they are high.
    """
    from unicodedata import east_asian_width

    from PIL import ImageFont

    font = ImageFont.load_default(size * SCALE)
    narrow = "".join(one for one in words if east_asian_width(one) not in {"W", "F"})
    return 1.1 * (font.getlength(narrow) / SCALE + size * (len(words) - len(narrow)))


def _runs(amounts: Sequence[float | None]) -> Iterator[list[tuple[int, float]]]:
    """Stretches without a gap, as places and amounts."""
    run: list[tuple[int, float]] = []
    for place, amount in enumerate(amounts):
        if amount is not None:
            run.append((place, amount))
        elif run:
            yield run
            run = []
    if run:
        yield run


def ticks(highest: float) -> list[float]:
    """Round numbers from nothing to at least the highest, four to eight of them."""
    if highest <= 0:
        return [0, 1]
    rough = highest / 4
    power = 10.0 ** floor(log10(rough))
    step = next(power * size for size in (1, 2, 2.5, 5, 10) if power * size * 5 >= highest)
    return [step * number for number in range(int(-(-highest // step)) + 1)]


def svg(marks: Iterable[Mark], height: float) -> str:
    """The picture as SVG."""
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="system-ui, sans-serif">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    for mark in marks:
        if isinstance(mark, Label):
            lines.append(
                f'<text x="{mark.x:.1f}" y="{mark.y:.1f}" text-anchor="{mark.anchor}" fill="{mark.colour}" '
                f'font-size="{mark.size}">{escape(mark.text)}</text>'
            )
        else:
            points = " ".join(f"{x:.1f},{y:.1f}" for x, y in mark.points)
            drawn = f'fill="{mark.colour}"' if mark.filled else f'fill="none" stroke="{mark.colour}"'
            shape = "polygon" if mark.filled else "polyline"
            lines.append(f'<{shape} points="{points}" {drawn} stroke-width="{0 if mark.filled else mark.width}"/>')
    return "\n".join([*lines, "</svg>", ""])


def _png(marks: Iterable[Mark], height: int, path: Path) -> None:
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", (WIDTH * SCALE, height * SCALE), "#ffffff")
    draw = ImageDraw.Draw(image)
    anchors = {"start": "ls", "middle": "ms", "end": "rs"}
    for mark in marks:
        if isinstance(mark, Label):
            font = ImageFont.load_default(mark.size * SCALE)
            draw.text((mark.x * SCALE, mark.y * SCALE), mark.text, mark.colour, font, anchors[mark.anchor])
        else:
            points = [(x * SCALE, y * SCALE) for x, y in mark.points]
            if mark.filled:
                draw.polygon(points, mark.colour)
            else:
                draw.line(points, mark.colour, round(mark.width * SCALE))
    image.save(path)
