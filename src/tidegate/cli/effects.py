"""Carries out changes that have a preview, and shows per feature who loses and gains what."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from tidegate.workflows.previewing import Change, Preview

OnlyPreview = Annotated[bool, typer.Option("--preview", help="Only show what it would change, with a token for it.")]
Token = Annotated[
    str | None, typer.Option("--token", metavar="TOKEN", help="Of a preview: refused when it would do otherwise now.")
]
SHOWN = 20


def carried_out(engine: "Engine", change: "Change", *, only_preview: bool, token: str | None) -> "Preview":
    """The change tried, or done. Raises PreviewStale and what the change raises."""
    from tidegate.workflows import previewing

    return previewing.preview(engine, change) if only_preview else previewing.commit(engine, change, token)


def show_effect(found: "Preview") -> None:
    """What changes for whom, at most 20 contacts per feature, and how to go on after a preview."""
    from tidegate.cli import show

    rows: list[tuple[Any, ...]] = []
    for feature, changes in found.features.items():
        rows += [(feature, one["contact"], given(one["before"]), given(one["now"])) for one in changes[:SHOWN]]
        if len(changes) > SHOWN:
            rows.append((feature, f"… and {len(changes) - SHOWN:,} more", "", ""))
    if rows:
        show.table(["feature", "contact", "before", "now"], rows)
    else:
        show.line("No entitlement changes.")
    if not found.done:
        show.line(f"Nothing was done. Do it with `--token {found.token}`; it is refused when the facts change.")


def given(value: Any) -> str:
    """What is given of a feature: `yes`, `limit 10`, `unlimited`, its value; `–` for nothing."""
    if value is None:
        return "–"
    if value is True:
        return "yes"
    if isinstance(value, dict):
        return f"limit {value['limit']}" if "limit" in value else f"{value.get('value')}"  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return str(value)
