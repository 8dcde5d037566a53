"""What tests, benchmarks and tools import of the product and of each other is there, whoever runs it."""

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("tests", "benchmarks", "tools")
OURS = ("tidegate", *FOLDERS)


def _imported(source: str) -> Iterator[tuple[str, str]]:
    """Module and name of each `from MODULE import NAME` of our own."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in OURS:
            yield from ((node.module, alias.name) for alias in node.names)


def _missing(module: str, name: str) -> bool:
    try:
        if hasattr(importlib.import_module(module), name):
            return False
        importlib.import_module(f"{module}.{name}")
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith(OURS):
            raise
        return True
    return False


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_name_that_is_imported_is_there(folder: str) -> None:
    wanted = {found for path in (ROOT / folder).rglob("*.py") for found in _imported(path.read_text())}
    assert len(wanted) > 10
    assert not sorted(f"{module}.{name}" for module, name in wanted if _missing(module, name))


def test_a_name_that_is_gone_is_told() -> None:
    assert list(_imported("def f():\n    from tidegate.money import gone, Money\n")) == [
        ("tidegate.money", "gone"),
        ("tidegate.money", "Money"),
    ]
    assert _missing("tidegate.money", "gone")
    assert _missing("tidegate.gone", "Money")
    assert not _missing("tidegate.cli", "children")
