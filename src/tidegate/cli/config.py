"""`tidegate config`: tidegate.yaml against the hub; what differs, made so, and written out."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.options import AsJson
from tidegate.cli.previews import MOST_LISTED, KeepHolders, Listed, Token, Yes

if TYPE_CHECKING:
    from tidegate.workflows.config.config_sections import Sections

app = typer.Typer(help="The hub's configuration as a file, tidegate.yaml.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(metavar="FILE", help="Such as tidegate.yaml.")]
Prune = Annotated[
    bool, typer.Option("--prune", help="Remove what the file managed and names no longer; else it stays.")
]


@app.command()
def plan(
    file: File,
    prune: Prune = False,
    keep_holders: KeepHolders = True,
    as_json: AsJson = False,
    listed: Listed = MOST_LISTED,
) -> None:
    """Show what applying the file would change, and for whom; exits 1 when anything differs, 0 when nothing does."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.previews import say
    from tidegate.cli.who import person
    from tidegate.workflows.config.config_file import apply as applying
    from tidegate.workflows.previewing import preview

    sections = _read(file)
    with opened() as hub:
        found = preview(hub.engine, applying(sections, person(), prune=prune, keep_holders=keep_holders))
    steps = found.result["steps"]
    if as_json:
        show.document(found.as_json(listed))
    else:
        _say_steps(found.result)
        if steps:
            say(found)
    if steps:
        raise typer.Exit(1)


@app.command()
def apply(
    file: File,
    prune: Prune = False,
    keep_holders: KeepHolders = True,
    yes: Yes = False,
    token: Token = None,
    as_json: AsJson = False,
    listed: Listed = MOST_LISTED,
) -> None:
    """Make the hub what the file says, all at once, after showing what that changes for whom.

    Under other contact settings customers are matched by batches then; what is left when it is broken off a worker
    does. What the file manages is read-only everywhere else.
    """
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.previews import carry_out, say
    from tidegate.cli.who import person
    from tidegate.workflows.config.config_file import apply as applying
    from tidegate.workflows.previewing import preview

    sections = _read(file)
    with opened(may_migrate=True) as hub:
        change = applying(sections, person(), prune=prune, keep_holders=keep_holders)
        if not (token or yes or as_json) and sys.stdin.isatty():
            _say_steps(preview(hub.engine, change).result)
        found = carry_out(hub.engine, change, only_preview=False, yes=yes, token=token, as_json=as_json)
    if as_json:
        show.document(found.as_json(listed))
        return
    if yes or token or not sys.stdin.isatty():
        _say_steps(found.result)
    if found.features:
        say(found)
    show.line(f"Applied: {len(found.result['steps']):,} changes.")


@app.command()
def export(
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="Where to; without one, to stdout.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write the hub as a file that, applied, changes nothing; refused where a source holds a password in the clear."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.workflows.config.config_export import export as exported
    from tidegate.workflows.config.config_yaml import dump

    with opened() as hub, hub.engine.connect() as db:
        sections = exported(db)
    if file is not None:
        file.write_text(dump(sections), encoding="utf-8")
    if as_json:
        show.document({"file": str(file) if file else None, "sections": sections})
    elif file is not None:
        show.line(f"{file}: {', '.join(f'{_count(one)} {name}' for name, one in sections.items()) or 'nothing yet'}")
    else:
        sys.stdout.write(dump(sections))


def _read(file: Path) -> "Sections":
    from tidegate.errors import ConfigInvalid
    from tidegate.settings import environment
    from tidegate.workflows.config.config_sections import read

    try:
        said = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigInvalid(file=str(file), problem=f"it cannot be read ({error}).") from error
    return read(said, str(file), environment())


SIGNS = {"create": "+", "change": "~", "publish": "~", "manage": "=", "release": "=", "remove": "-"}
TOLD = {
    "manage": "is managed by the file from now on",
    "release": "is no longer in the file: stays, and may be changed elsewhere (--prune removes it)",
    "remove": "is removed",
}


def _say_steps(result: dict[str, Any]) -> None:
    from tidegate.cli import show

    for step in result["steps"]:
        told = TOLD.get(step["action"]) or _difference(step)
        kept = f"; kept for those who hold it: {step['kept']:,}" if step.get("kept") else ""
        show.line(f"{SIGNS[step['action']]} {step['section']} {step['subject']}: {told}{kept}")
        for effect in _effects(step):
            show.line(f"    {effect}")
    for name, one in result["matched"].items():
        show.line(
            f"Customers of {name}, matched anew: {one['linked']:,} linked, {one['changed']:,} linked elsewhere, "
            f"{one['created']:,} contacts made; {one['queued']:,} in review, {one['queued_before']:,} before."
        )
    if not result["steps"]:
        show.line("The hub is what the file says.")


def _effects(step: dict[str, Any]) -> list[str]:
    """What a step does to contacts, or would have done: who moves, how often an action would have fired."""
    if "would_have_fired" in step:
        return [f"it would have fired {step['would_have_fired']:,} times in the last {step['in_days']} days"]
    if alike := step.get("alike"):
        return [f"it matches by the same metadata key as {', '.join(alike)}: a value that both say is one object"]
    told = [f"{step['scored']:,} contacts have another health"] if step.get("scored") else []
    unhealthy = step.get("unhealthy") or {"before": 0, "after": 0}
    if unhealthy["before"] != unhealthy["after"]:
        told.append(f"{unhealthy['before']:,} → {unhealthy['after']:,} contacts are unhealthy")
    for one in step.get("moves") or ():
        told.append(f"{one['contacts']:,} contacts: stage {one['from'] or 'nowhere yet'} → {one['to']}")
    for word, of in (("entered", "contacts: segment"), ("left", "contacts: segment"), ("opened", "alerts:")):
        told += _by_key(step.get(word) or {}, of, word)
    return told + _by_key(step.get("resolved") or {}, "alerts:", "resolved")


def _by_key(counts: dict[str, int], of: str, word: str) -> list[str]:
    return [f"{count:,} {of} {key} {word}" for key, count in counts.items()]


def _difference(step: dict[str, Any]) -> str:
    """What becomes what, in a line."""
    before: dict[str, Any] | None = step.get("before")
    now: dict[str, Any] = step.get("now") or {}
    if step["action"] == "publish":
        was = before or {}
        other = [key for key in sorted({*was, *now}) if was.get(key) != now.get(key)]
        told = ", ".join(f"{key} {_shown(was.get(key))} → {_shown(now.get(key))}" for key in other) or "no features"
        return f"version {step['version']} is published: {told}"
    if before is None:
        return "is created: " + (
            ", ".join(f"{name} {_shown(value)}" for name, value in now.items() if value) or "plain"
        )
    return ", ".join(f"{name} {_shown(value)} → {_shown(now.get(name))}" for name, value in before.items())


def _shown(value: Any) -> str:
    import json

    if value is None or value == "":
        return "–"
    if value == {}:
        return "yes"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)


def _count(section: Any) -> str:
    return "settings of" if isinstance(section, dict) else f"{len(section):,}"
