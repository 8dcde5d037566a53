"""What commands print: one JSON document, tables and lines on stdout; remarks on stderr."""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, TextIO

from tidegate.store.values import plain

PIPE_WIDTH = 400
"""Columns that a table may use where no terminal cuts it."""


MOST_REASONS = 3
"""How many of the same sort are told in full."""
_NAMES = re.compile(r"\S*[/_\d]\S*")
"""What differs where the same is said of different things: paths, ids, permissions."""


def document(value: Any) -> None:
    """The command's one JSON document. Times become ISO 8601, exact numbers text."""
    sys.stdout.write(json.dumps(value, indent=2, default=plain, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def line(text: str = "") -> None:
    """A line of the answer."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def remark(text: str) -> None:
    """A line for the person who watches; never part of the answer."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def reasons(why: Mapping[str, str], prefix: str = "") -> None:
    """`name: why` of each; of more than three that say the same of different things the first, and the names of the
    others.
    """
    alike: dict[str, list[str]] = {}
    for name, text in why.items():
        alike.setdefault(_NAMES.sub("", text), []).append(name)
    for names in alike.values():
        told = names if len(names) <= MOST_REASONS else names[:1]
        for name in told:
            line(f"{prefix}{name}: {why[name]}")
        if rest := names[len(told) :]:
            line(f"{prefix}{', '.join(rest)}: likewise, and `--json` says it of each")


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, file: TextIO | None = None) -> None:
    """A table; numbers stand right, in full, with thousands parted."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for number, name in enumerate(columns):
        numbers = any(_is_number(row[number]) for row in rows)
        shown.add_column(name, justify="right" if numbers else "left", overflow="fold", no_wrap=numbers)
    for row in rows:
        shown.add_row(*(Text(cell(value)) for value in row))
    console = Console(file=file, highlight=False)
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    console.print(shown)


def cell(value: Any) -> str:
    """A value as a table shows it: `1,234`, `2026-09-01 12:30`, nothing for None."""
    if value is None:
        return ""
    if _is_number(value):
        return f"{value:,}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def duration(seconds: float) -> str:
    """Seconds as people read them: `0.42 s`, `12.3 s`, `4 min 5 s`."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60} s"


def size(octets: float) -> str:
    """Bytes as people read them: `512 B`, `3.4 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if octets < 1000:
            return f"{octets:.0f} B" if unit == "B" else f"{octets:.1f} {unit}"
        octets /= 1000
    return f"{octets:.1f} TB"
