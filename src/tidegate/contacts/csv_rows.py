"""Reads contacts from CSV, one record a line; what is wrong with a line is told with its number (pure)."""

import csv
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple, cast

from tidegate.contacts.match import Kind
from tidegate.contacts.records import Record, problems_of

COLUMNS = ("id", "kind", "name", "emails", "domains", "account", "role", "owner", "properties", "billing_ids")
"""What a file may have, `id` it must; `emails`, `domains` and `billing_ids` hold several, parted by semicolons. A
column `properties.plan` holds one property: a number, true or false is taken as such, all else as text.
"""


class Line(NamedTuple):
    """A line of the file by its number in it, the record it holds, and what is wrong with it."""

    number: int
    record: Record
    problems: Sequence[str]


def read(lines: Iterable[str], kind: Kind) -> Iterator[Line]:
    """The records of a CSV file with a header; `kind` holds where a line says none. Empty lines are passed over.

    A header that cannot be read is a line with problems, and the only one.
    """
    rows = csv.reader(lines, strict=True)
    begins = 1
    header: list[str] | None = None
    try:
        for cells in rows:
            number, begins = begins, rows.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if header is None:
                header = [cell.strip().removeprefix("\ufeff") for cell in cells]
                if wrong := _header_problems(header):
                    yield Line(number, _NOBODY, wrong)
                    return
                continue
            yield _line(number, header, cells, kind)
    except csv.Error as error:
        yield Line(begins, _NOBODY, [f"it is no CSV: {error}"])
    if header is None:
        yield Line(1, _NOBODY, ["the file has no header"])


_NOBODY = Record("account", "")


def _header_problems(header: Sequence[str]) -> list[str]:
    wrong = [f"the column {name!r} stands twice" for name in sorted(set(header)) if header.count(name) > 1]
    for name in header:
        if name not in COLUMNS and not (name.startswith("properties.") and name != "properties."):
            near = get_close_matches(name.lower(), COLUMNS, n=1)
            meant = f" (did you mean {near[0]}?)" if near else ""
            wrong.append(f"there is no column {name!r}{meant}; there are {', '.join(COLUMNS)} and properties.…")
    return wrong if "id" in header else [*wrong, "the column id is missing"]


def _line(number: int, header: Sequence[str], cells: Sequence[str], kind: Kind) -> Line:
    if len(cells) != len(header):
        return Line(number, _NOBODY, [f"it has {len(cells)} cells and the header {len(header)}"])
    said = dict(zip(header, (cell.strip() for cell in cells), strict=True))
    wrong: list[str] = []
    record = Record(
        cast("Kind", said.get("kind") or kind),
        said["id"],
        said.get("name") or None,
        _several(said.get("emails", "")),
        _several(said.get("domains", "")),
        said.get("account") or None,
        said.get("role") or None,
        said.get("owner") or None,
        _properties(said, wrong),
        _several(said.get("billing_ids", "")),
    )
    return Line(number, record, [*wrong, *problems_of(record)])


def _several(cell: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.strip() for one in cell.split(";") if one.strip()))


def _properties(said: dict[str, str], wrong: list[str]) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    if cell := said.get("properties"):
        try:
            whole = json.loads(cell, parse_constant=_refuse, parse_float=_finite)
        except ValueError as error:
            wrong.append(f"properties is no JSON: {error}")
        else:
            if isinstance(whole, dict):
                properties |= cast("dict[str, Any]", whole)
            else:
                wrong.append("properties is no JSON object")
    for name, cell in said.items():
        if name.startswith("properties.") and cell:
            properties[name.removeprefix("properties.")] = _scalar(cell)
    return properties


def _scalar(cell: str) -> Any:
    try:
        value = json.loads(cell, parse_constant=_refuse)
    except ValueError:
        return cell
    plain = isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value))
    return value if plain else cell


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits} is too large a number")
    return value


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")
