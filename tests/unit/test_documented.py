"""Everything a user can set, type, call or meet as an error is documented, and docs/reference is what the code says."""

import importlib.util
import inspect
from pathlib import Path
from types import ModuleType

import pytest

from tidegate import errors

ROOT = Path(__file__).resolve().parents[2]


def load_reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "tools/reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


reference = load_reference()
PAGES: dict[str, str] = reference.pages()


@pytest.mark.parametrize("name", PAGES)
def test_a_reference_page_says_what_the_code_says(name: str) -> None:
    assert reference.read(name) == PAGES[name], "run `python tools/reference.py`"


def test_check_names_a_stale_page_and_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: object) -> None:
    monkeypatch.setattr(reference, "FOLDER", tmp_path)
    monkeypatch.setattr("sys.argv", ["reference.py"])
    assert reference.main() == 0
    monkeypatch.setattr("sys.argv", ["reference.py", "--check"])
    assert reference.main() == 0
    (tmp_path / "errors.md").write_text("# Errors\n")
    assert reference.main() == 1


def test_every_setting_is_described() -> None:
    from tidegate.settings import Settings

    docs = reference.setting_docs()
    assert [name for name in Settings.model_fields if not docs.get(name)] == []
    assert len(Settings.model_fields) <= 30


@pytest.mark.parametrize(("name", "function"), reference.every_command())
def test_every_command_and_each_of_its_parameters_is_described(name: str, function: object) -> None:
    assert inspect.getdoc(function)
    assert [one.spelling for one in reference.parameters(function) if not one.help] == []


def test_every_command_that_prints_takes_json() -> None:
    silent = {"serve", "worker"}  # they run until stopped and answer nothing
    lacking = [
        name
        for name, function in reference.every_command()
        if name not in silent and "--json" not in [one.spelling for one in reference.parameters(function)]
    ]
    assert lacking == []


def test_every_route_is_described() -> None:
    routes = reference.every_route()
    lacking = [
        f"{method} {path}"
        for path, operations in routes.items()
        for method, operation in operations.items()
        if not operation.get("description")
    ]
    assert lacking == []


def own_errors() -> list[type[errors.TidegateError]]:
    return [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.TidegateError)]


@pytest.mark.parametrize("error", own_errors(), ids=lambda one: one.__name__)
def test_every_error_says_something_and_stands_in_the_tree(error: type[errors.TidegateError]) -> None:
    drawn = [line.strip("│├└─ \t").split(" ")[0] for line in (errors.__doc__ or "").splitlines()]
    assert error.__doc__
    assert error.__name__ in drawn


def test_every_problem_of_status_has_its_line_in_the_howto() -> None:
    from tidegate.connections.problems import REMEDIES

    howto = (ROOT / "docs/howto/mend.md").read_text()
    assert [code for code in REMEDIES if f"| `{code}` |" not in howto] == []
