"""Everything a user can set, type, call or meet as an error is documented, and docs/reference is what the code says."""

import ast
import importlib.util
import inspect
import re
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

import pytest
from typer.main import get_command

from tidegate import errors
from tidegate.cli import app

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
    monkeypatch.setattr(reference, "pages", lambda: PAGES)
    monkeypatch.setattr("sys.argv", ["reference.py"])
    assert reference.main() == 0
    monkeypatch.setattr("sys.argv", ["reference.py", "--check"])
    assert reference.main() == 0
    (tmp_path / "errors.md").write_text("# Errors\n")
    assert reference.main() == 1


def test_the_architecture_names_every_package_and_the_layers_that_are_held() -> None:
    said = (ROOT / "docs/architecture.md").read_text()
    listed = {name for row in re.findall(r"^\| (`.+?`) \|", said, re.M) for name in re.findall(r"`(\w+)`", row)}
    [layers] = re.findall(r"^layers =\n((?: +.+\n)+)", (ROOT / ".importlinter").read_text(), re.M)
    held = [line.strip() for line in layers.splitlines()]
    assert {name for line in held for name in line.split(" | ")} <= listed
    [told] = re.findall(r"^`cli` → [^.]+?(?=\n\n)", said, re.M)
    assert [step.strip(" `\n") for step in told.split("→")] == held


def test_every_setting_is_described() -> None:
    from tidegate.settings import Settings

    docs = reference.setting_docs()
    assert [name for name in Settings.model_fields if not docs.get(name)] == []
    assert len(Settings.model_fields) <= 36


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
    """Every class that a module of `errors` defines, whether the package names it or not."""
    modules = [import_module(f"{errors.__name__}.{one.name}") for one in iter_modules(errors.__path__)]
    found = [one for module in modules for one in vars(module).values() if isinstance(one, type)]
    return list(dict.fromkeys(one for one in found if issubclass(one, errors.TidegateError)))


@pytest.mark.parametrize("error", own_errors(), ids=lambda one: one.__name__)
def test_every_error_says_something_and_stands_in_the_tree(error: type[errors.TidegateError]) -> None:
    drawn = [line.strip("│├└─ \t").split(" ")[0] for line in (errors.__doc__ or "").splitlines()]
    assert error.__doc__
    assert error.__name__ in drawn
    assert error.__name__ in errors.__all__


MEND = (ROOT / "docs/howto/mend.md").read_text()


def rows_of_the_howto() -> dict[str, str]:
    """The problem codes that "when something is wrong" has a row for, each with what it says to do."""
    return dict(re.findall(r"^\| `([a-z_]+)` \| (.+) \|$", MEND, re.MULTILINE))


def codes_in_the_code() -> set[str]:
    """Every problem code that the source notes or finds, wherever: the calls of `note` and `Found`, and `BY_ERROR`."""
    from tidegate.connections.problems import BY_ERROR

    codes = set(BY_ERROR.values())
    for file in (ROOT / "src/tidegate").rglob("*.py"):
        for call in ast.walk(ast.parse(file.read_text())):
            if (
                isinstance(call, ast.Call)
                and (place := CODE_AT.get(ast.unparse(call.func).rpartition(".")[2])) is not None
                and not ast.unparse(call.func).startswith(NOTES_OF_CHANGES)
            ):
                codes |= {str(one.value) for one in call.args[place : place + 1] if isinstance(one, ast.Constant)}
    return codes


CODE_AT = {"Found": 0, "note": 2}
"""Which argument of a call is a problem's code."""
NOTES_OF_CHANGES = ("journal.", "changes.")
"""Modules whose `note` tells who changed something, which is no problem."""


def test_every_problem_that_the_code_can_have_has_a_remedy_and_no_other() -> None:
    from tidegate.connections.problems import REMEDIES

    assert codes_in_the_code() == REMEDIES.keys()


def test_every_problem_of_status_has_its_row_in_the_howto_and_no_other() -> None:
    from tidegate.connections.problems import REMEDIES

    assert rows_of_the_howto().keys() == REMEDIES.keys()


def test_the_howto_names_the_commands_that_a_remedy_names() -> None:
    from tidegate.connections.problems import REMEDIES

    commands = re.compile(r"`tidegate ([a-z-]+)")
    told = rows_of_the_howto()
    lacking = {
        code: missing
        for code, remedy in REMEDIES.items()
        if (missing := set(commands.findall(remedy)) - set(commands.findall(told[code])))
    }
    assert lacking == {}
    known = {name.split()[0] for name, _ in reference.every_command()}
    assert set(commands.findall(MEND)) <= known


GUIDES = [ROOT / "README.md", *sorted((ROOT / "docs/howto").glob("*.md")), ROOT / "docs/architecture.md"]


@pytest.mark.parametrize("guide", GUIDES, ids=lambda one: one.name)
def test_every_command_option_and_setting_that_a_guide_names_exists(guide: Path) -> None:
    from tidegate.settings import Settings, variable

    spellings = {
        name: {word for one in reference.parameters(function) for word in re.findall(r"--[a-z-]+", one.spelling)}
        for name, function in reference.every_command()
    }
    guided = guide.read_text()
    wrong: list[str] = []
    for words in re.findall(r"^ *(?:`?)tidegate ([^`\n#|]*)|`tidegate\s([^`]*)`", guided, re.MULTILINE):
        said = " ".join(words).split()
        names = [name for name in spellings if said[: len(name.split())] == name.split()]
        options = {word.partition("=")[0] for word in said if re.fullmatch(r"--[a-z-]+(=.*)?", word)}
        if not names:
            wrong.append(" ".join(said))
        else:
            wrong += [f"{names[-1]} {one}" for one in options - spellings[names[-1]] - {"--version", "--help"}]
    settings = {variable(name) for name in Settings.model_fields}
    wrong += [one for one in re.findall(r"\bTIDEGATE_[A-Z_]+\b", guided) if one not in settings]
    assert wrong == []


def test_every_decision_is_in_the_list_of_them() -> None:
    folder = ROOT / "docs/decisions"
    listed = re.findall(r"\]\((\d.+?\.md)\)", (folder / "index.md").read_text())
    assert listed == sorted(one.name for one in folder.glob("0*.md"))
    assert [name for name in listed if f"- decisions/{name}" not in (ROOT / "mkdocs.yml").read_text()] == []


def test_every_howto_is_on_the_site_and_in_the_readme() -> None:
    site, readme = (ROOT / "mkdocs.yml").read_text(), (ROOT / "README.md").read_text()
    names = [one.name for one in (ROOT / "docs/howto").glob("*.md")]
    assert [name for name in names if f"howto/{name}" not in site] == []
    assert [name for name in names if f"howto/{name}" not in readme] == []


SHOWN = re.compile(
    r"(?:`|<code>)(tidegate [a-z][^`<]*)(?:`|</code>)|^(?:[A-Z_]+=\S+ )?(tidegate [a-z].*)$", re.MULTILINE
)
SHOWING = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *(ROOT / "docs").glob("*.md"),
    *(ROOT / "docs/howto").glob("*.md"),
    *(ROOT / "docs/decisions").glob("*.md"),
    *(ROOT / "src/tidegate/web/templates").rglob("*.html"),
]


@cache
def the_app() -> Any:
    return get_command(app)


def unknown(command: str) -> str:
    """What of a command that is shown to people there is not; empty: it is all there."""
    found = the_app()
    words = re.sub(r"\{\{.*?\}\}", "X", command.partition(" #")[0]).split()[1:]
    while words and (commands := getattr(found, "commands", None)) and not words[0].startswith("-"):
        names = words.pop(0).rstrip(",.;:").split("|")  # each of these
        if missing := [name for name in names if name not in commands]:
            return f"{command}: no command {missing[0]}"
        found = commands[names[0]]
    options = {name for one in found.params for name in (*one.opts, *one.secondary_opts)} | {"--help"}
    asked = [word.partition("=")[0] for word in words if re.match(r"--[a-z]", word)]
    return "".join(f"{command}: no option {one}" for one in asked if one not in options)


def test_every_command_that_people_are_shown_is_one() -> None:
    shown = [
        (path.name, (quoted or line).replace("\\\n", " "))
        for path in SHOWING
        for quoted, line in SHOWN.findall(path.read_text())
    ]
    assert len(shown) > 300
    assert [(name, wrong) for name, command in shown if (wrong := unknown(command))] == []
    assert unknown("tidegate destinations create") == "tidegate destinations create: no command create"
    assert unknown("tidegate mrr --by month --nothing") == "tidegate mrr --by month --nothing: no option --nothing"
