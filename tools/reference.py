"""Writes docs/reference from the code: settings, commands, tables, errors, HTTP routes.

Run as `python tools/reference.py`; with `--check` it writes nothing and fails when a page is stale.
"""

import ast
import inspect
import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs/reference"
NOTE = "Made from the code by `tools/reference.py`; change the code, not this page."


def main() -> int:
    """Writes the pages, or names the stale ones; returns the exit code."""
    stale = {name: text for name, text in pages().items() if read(name) != text}
    if "--check" in sys.argv[1:]:
        for name in stale:
            print(f"docs/reference/{name} is stale: run `python tools/reference.py`")
        return 1 if stale else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in stale.items():
        (FOLDER / name).write_text(text)
        print(f"docs/reference/{name}")
    return 0


def read(name: str) -> str:
    """What the page says now; empty when there is none."""
    path = FOLDER / name
    return path.read_text() if path.exists() else ""


def pages() -> dict[str, str]:
    """Every page by its file name."""
    makers: dict[str, tuple[str, Callable[[], Iterable[str]]]] = {
        "settings.md": ("Settings", settings),
        "commands.md": ("Commands", commands),
        "tables.md": ("Tables", tables),
        "errors.md": ("Errors", errors),
        "http.md": ("HTTP", routes),
        "policies.md": ("Policies", policies),
        "events.md": ("Events", events),
    }
    return {name: "\n".join([f"# {title}", "", NOTE, "", *make()]) + "\n" for name, (title, make) in makers.items()}


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table in Markdown, and an empty line."""
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines] + [""]


# ── settings ─────────────────────────────────────────────────────────────────────────────────────────────────────


def setting_docs() -> dict[str, str]:
    """What settings.py says under each field, by the field's name."""
    from tidegate import settings as module

    [body] = [
        node.body
        for node in ast.parse(inspect.getsource(module)).body
        if isinstance(node, ast.ClassDef) and node.name == "Settings"
    ]
    docs: dict[str, str] = {}
    for field, below in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            docs[ast.unparse(field.target)] = " ".join(str(below.value.value).split())
    return docs


def settings() -> list[str]:
    """Every environment variable with its default."""
    from pydantic import SecretStr

    from tidegate.settings import Settings, variable

    docs = setting_docs()

    def default(field: Any) -> str:
        if field.default_factory:
            return inspect.cleandoc(field.default_factory.__doc__).partition(";")[0]
        value = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
        return f"`{value}`" if value != "" else "empty"

    rows = [
        (f"`{variable(name)}`", default(field), docs.get(name, "")) for name, field in Settings.model_fields.items()
    ]
    return ["All are read from the environment.", "", *table(["variable", "default", "what it is for"], rows)]


# ── events ───────────────────────────────────────────────────────────────────────────────────────────────────────


def events() -> list[str]:
    """Every type of event that destinations and the outbox are told, and the names of billing events."""
    from tidegate.delivery.event_types import EVENT_TYPES
    from tidegate.revenue.billing.event import NAMES

    lines = [
        "What destinations are sent, what `GET /api/outbox` lists and what table `outbox` holds, in the order of `id`, "
        "which is stable: whoever gets one twice knows it by that. [How to send them on](../howto/send-events-on.md).",
        "",
    ]
    for name, doc in EVENT_TYPES.items():
        lines += [f"## {name}", "", f"Told when {doc.when}.", ""]
        lines += table(("data", "what it holds"), [(f"`{key}`", said) for key, said in doc.data.items()])
    names = ", ".join(f"`{name}`" for name in NAMES)
    return [*lines, "## Billing events", "", f"{names}. [What each means](../howto/billing-events.md)."]


# ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Parameter(NamedTuple):
    """An argument or option as a person types it, its help, and whether it is an option."""

    spelling: str
    help: str
    option: bool


def commands() -> list[str]:
    """Every command with its arguments and options."""
    lines = [
        "Every command that prints takes `--json`: one JSON document on stdout; progress and the log go to stderr. A",
        'failure is then `{"error": {"type", "message"}}`.',
        "",
        "Exit codes: 0 done; 1 something is wrong (an import is incomplete, an audit found differences, `status` has",
        "problems); 2 usage or configuration; 3 Stripe or the database is out of reach, or Stripe refuses the key; 130",
        "and 143 after Ctrl-C and SIGTERM.",
        "",
    ]
    for name, function in every_command():
        shown = parameters(function)
        usage = ["tidegate", name, *(one.spelling for one in shown if not one.option)]
        lines += [f"## {name}", "", f"`{' '.join(usage)}`", "", inspect.cleandoc(function.__doc__ or ""), ""]
        lines += table(["", ""], [(f"`{one.spelling}`", one.help) for one in shown]) if shown else []
    return lines


def every_command() -> list[tuple[str, Callable[..., None]]]:
    """The commands' functions by full name, such as `inbox list`, in the order of the help."""
    from tidegate.cli import app

    def walk(one: Any, above: str) -> Iterable[tuple[str, Callable[..., None]]]:
        for command in one.registered_commands:
            if not command.hidden:
                yield f"{above}{command.name or command.callback.__name__}", command.callback
        for group in one.registered_groups:
            yield from walk(group.typer_instance, f"{above}{group.name} ")

    return list(walk(app, ""))


def parameters(function: Callable[..., None]) -> list[Parameter]:
    """What a command takes, hidden options aside; arguments first."""
    hints = get_type_hints(function, include_extras=True)
    found: list[Parameter] = []
    for name, one in inspect.signature(function).parameters.items():
        kind, info = get_args(hints[name])
        if info.hidden:
            continue
        told = isinstance(one.default, str | int | float) and not isinstance(one.default, bool) and one.default != ""
        default = f" [default: {one.default}]" if told else ""
        option = type(info).__name__ == "OptionInfo"
        spelling = _option(name, kind, info) if option else _argument(name, info, one.default)
        found.append(Parameter(spelling, (info.help or "") + default, option))
    return sorted(found, key=lambda one: one.option)


def _argument(name: str, info: Any, default: Any) -> str:
    shown = info.metavar or name.upper()
    return shown if default is inspect.Parameter.empty else f"[{shown}]"


def _option(name: str, kind: Any, info: Any) -> str:
    # Under Annotated, Typer takes the first flag for a default, and puts that right later.
    given = [info.default, *(info.param_decls or ())]
    flags = [flag for flag in given if isinstance(flag, str) and flag.startswith("-")] or [
        f"--{name.replace('_', '-')}"
    ]
    kinds = [
        one for one in (get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)) if one is not NoneType
    ]
    inner = kinds[0]
    if get_origin(inner) is list:
        return f"{flags[0]} {info.metavar or 'TEXT'} …"
    if inner is bool:
        return flags[0]
    choices = "|".join(get_args(inner)) if get_origin(inner) is Literal else ""
    return f"{flags[0]} {info.metavar or choices or KINDS[inner]}"


KINDS: dict[Any, str] = {int: "N", float: "N", str: "TEXT", Path: "DIR"}


# ── tables ───────────────────────────────────────────────────────────────────────────────────────────────────────


def tables() -> list[str]:
    """Both schemas; `stripe` from the resource registry."""
    import tidegate.catalog.tables
    import tidegate.connections.tables
    import tidegate.contacts.tables
    import tidegate.delivery.tables
    import tidegate.entitlements.tables
    import tidegate.lifecycle.tables
    import tidegate.lifecycle.team_tables
    import tidegate.outbound.tables
    import tidegate.revenue.tables
    import tidegate.security.tables
    import tidegate.stripe_api.tables  # noqa: F401
    from tidegate.mirror.tables import STRIPE_TABLES
    from tidegate.store.metadata import metadata
    from tidegate.stripe_api.resources import RESOURCES

    lines = [
        "Schema `stripe` is made from the resource registry: one table per resource, and every one of them has",
        "",
        "- `connection`, `id` and `data`, Stripe's object as it came;",
        "- `created` (Stripe's), `updated_at` (when Stripe's object was so), `deleted_at` (null while it lives);",
        "- `certainty`: 0 told by an event, 1 read, 2 read to settle a doubt; children also `position`.",
        "",
        "Times are UTC, amounts are in minor units. A view for people needs `where deleted_at is null`.",
        "",
    ]
    for name, resource in RESOURCES.items():
        made = f"Stripe's `{resource.object}`" + (f", rows of their `{resource.parent}`" if resource.parent else "")
        lines += [f"## stripe.{STRIPE_TABLES[name].name}", "", made + ".", ""]
        rows = [
            (f"`{one.name}`", one.type, f"id in `{one.refers_to}`" if one.refers_to else "") for one in resource.columns
        ]
        lines += table(["column", "type", ""], rows) if rows else []
    for one in sorted(metadata.tables.values(), key=lambda one: one.name):
        lines += [f"## tidegate.{one.name}", ""]
        lines += [one.comment, ""] if one.comment else []
        rows = [
            (f"`{column.name}`", str(column.type).lower(), "" if column.nullable else "not null", column.comment or "")
            for column in one.columns
        ]
        lines += table(["column", "type", "", ""], rows)
    return lines


# ── policies ─────────────────────────────────────────────────────────────────────────────────────────────────────


def policies() -> list[str]:
    """Every setting of a policy with what each preset chooses and where that is said."""
    from tidegate.pricing.policy import NO_SOURCE, OWN, PRESETS, SETTINGS

    lines = [
        "What counts as recurring revenue, setting by setting. A preset follows a vendor's own report as far as its",
        "public pages say how that is made. What they leave to the account, or do not say, is yours: it is taken as in",
        "`default` until you choose it, and named wherever the policy is used.",
        "",
    ]
    chosen = ((one, [choice.value for choice in one.presets.values()]) for one in SETTINGS.values())
    rows = [(f"`{one.name}`", *(f"`{value}`" if value else "yours" for value in values)) for one, values in chosen]
    lines += table(["setting", *PRESETS], rows)
    for one in SETTINGS.values():
        lines += [f"## {one.name}", "", one.about, "", " · ".join(f"`{choice}`" for choice in one.choices), ""]
        told = [(name, choice.source) for name, choice in one.presets.items() if choice.source != OWN]
        told += [(f"`{choice}`", source) for choice, source in one.others]
        lines += [f"- {name}: {source if source == NO_SOURCE else f'<{source}>'}" for name, source in told] + [""]
    return lines


# ── errors ───────────────────────────────────────────────────────────────────────────────────────────────────────


def errors() -> list[str]:
    """Every error with its message, exit code and HTTP status."""
    from tidegate import errors as module
    from tidegate.errors import TidegateError

    def rows(kind: type[TidegateError], depth: int) -> Iterable[tuple[str, str, str, str]]:
        code, status = _outcome(kind)
        indent = "· " * depth
        yield (
            f"{indent}`{kind.__name__}`",
            str(code),
            str(status),
            " ".join(inspect.cleandoc(kind.__doc__ or "").split()),
        )
        for child in kind.__subclasses__():
            if child.__name__ in vars(module):
                yield from rows(child, depth + 1)

    about = "Words in braces are filled in. A dot stands for one level below the error above it."
    return [about, "", *table(["error", "exit code", "HTTP status", "message"], rows(TidegateError, 0))]


def _outcome(kind: Any) -> tuple[int, int]:
    from tidegate.errors import OUTCOMES

    return next(OUTCOMES[one] for one in kind.__mro__ if one in OUTCOMES)


# ── HTTP ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def routes() -> list[str]:
    """Every route of the API with what it says of itself."""
    lines = [
        "Errors are `application/problem+json` (RFC 9457); one with status 403 names the scope that is missing. A",
        "token goes into `Authorization: Bearer tg_…`; `tidegate tokens create` makes one. Writes take an",
        "`Idempotency-Key` and, of single things, `If-Match`; `GET` of one takes `If-None-Match`:",
        "[Use the API](../howto/use-the-api.md). `/api/openapi.json` says all of this for programs.",
        "",
    ]
    for path, operations in every_route().items():
        for method, operation in operations.items():
            lines += [f"## {method.upper()} {path}", "", operation.get("description", ""), ""]
            scopes = [f"`{one['HTTPBearer'][0]}`" for one in operation.get("security", [])]
            lines += [f"Needs a token with the scope {' or '.join(scopes)}.", ""] if scopes else []
            taken = [one for one in operation.get("parameters", []) if one["in"] != "header"]
            rows = [(f"`{one['name']}` ({one['in']})", one.get("description", "")) for one in taken]
            lines += table(["", ""], rows) if rows else []
    return lines


def every_route() -> dict[str, dict[str, Any]]:
    """OpenAPI's paths of the application; no database is asked."""
    from tidegate.api.app import create_app
    from tidegate.settings import Settings
    from tidegate.store.engine import open_engine
    from tidegate.wiring import Hub

    hub = Hub(Settings.model_construct(), open_engine("postgresql://127.0.0.1/none"))
    return create_app(hub).openapi()["paths"]


if __name__ == "__main__":
    sys.exit(main())
