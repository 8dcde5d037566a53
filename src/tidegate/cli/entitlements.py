"""`tidegate entitlements`: what a contact may use, and why, in words."""

from typing import Annotated, Any

import typer

from tidegate.cli.options import AsJson, ConnectionName
from tidegate.entitlements.words import held, in_words, source_in_words

ContactRef = Annotated[
    str, typer.Argument(metavar="CONTACT", help="Any id of the contact; `account:acme` where a user has the same.")
]


def entitlements(
    contact: ContactRef,
    feature: Annotated[
        str | None, typer.Argument(metavar="FEATURE", help="Only this one, with all its sources.")
    ] = None,
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """Show what a contact may use now, how much is left, and why."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.errors import TidegateError
    from tidegate.workflows.entitlements.entitlements import Check, check, with_names

    with opened() as hub:
        [found] = check(hub.engine, [Check(hub.livemode(connection), contact, feature)])
        if isinstance(found, TidegateError):
            raise found
        with hub.engine.connect() as db:
            found = with_names(db, found)
    if as_json:
        show.document(found)
    else:
        print_answer(found, feature)


def print_answer(found: dict[str, Any], feature: str | None = None) -> None:
    """What a contact may use, of one feature with all its sources, or of all."""
    from tidegate.cli import show

    show.line(f"{found['contact']} has {held(found['packages'])}.")
    show.line()
    if feature is not None:
        show.line(f"{feature}: {in_words(found)}.")
        for source in found["sources"]:
            show.line(f"  - {source_in_words(source)}")
        return
    known = [one for one in found["features"].values() if one["sources"]]
    if known:
        rows = [(one["feature"], _granted(one), _left(one), in_words(one)) for one in known]
        show.table(["feature", "may use", "left", "why"], rows)
    if others := len(found["features"]) - len(known):
        show.line(f"Nothing that it has or had gives the other {others:,} features (`tidegate features list`).")


def _granted(one: dict[str, Any]) -> str:
    return "yes" if one["granted"] else "no"


def _left(one: dict[str, Any]) -> Any:
    if one["type"] == "config":
        return one["value"]
    if one["type"] != "metered" or one["reason"] == "feature_unavailable":
        return None
    return "no limit" if one["unlimited"] else one["remaining"]
