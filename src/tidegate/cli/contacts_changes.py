"""`tidegate contacts merge`, `unmerge`: two contacts that are one, and back."""

from typing import Annotated, Any

import typer

from tidegate.cli.options import AsJson, ConnectionName
from tidegate.cli.previews import MOST_LISTED, Listed, Previewed, Token, Yes

app = typer.Typer()


@app.command()
def merge(
    contact: Annotated[str, typer.Argument(metavar="CONTACT", help="The contact that stays.")],
    other: Annotated[str, typer.Argument(metavar="OTHER", help="The contact that becomes part of it.")],
    preview: Previewed = False,
    yes: Yes = False,
    token: Token = None,
    connection: ConnectionName = None,
    as_json: AsJson = False,
    listed: Listed = MOST_LISTED,
) -> None:
    """Make two contacts one: ids, customers, members, overrides and usage of the second become the first's."""
    from tidegate.cli.hub import opened
    from tidegate.cli.previews import carry_out, tell
    from tidegate.cli.who import person
    from tidegate.workflows.contacts import contacts_merge

    with opened(may_migrate=True) as hub:
        change = contacts_merge.merged(hub.livemode(connection), contact, other, person())
        found = carry_out(hub.engine, change, only_preview=preview, yes=yes, token=token, as_json=as_json)
    tell(found, _merged(found.result, done=found.done), as_json=as_json, listed=listed)


def _merged(result: dict[str, Any], *, done: bool) -> list[str]:
    from tidegate.contacts.words import merge_in_words

    told = [f"`tidegate contacts unmerge {result['merge']}` parts them again."] if done else []
    return merge_in_words(result, done=done) + told


@app.command()
def unmerge(
    which: Annotated[str, typer.Argument(metavar="MERGE", help="Its number, or the id of the contact merged away.")],
    preview: Previewed = False,
    yes: Yes = False,
    token: Token = None,
    connection: ConnectionName = None,
    as_json: AsJson = False,
    listed: Listed = MOST_LISTED,
) -> None:
    """Part two contacts that were merged: each has again what it had, what came since stays where it is."""
    from tidegate.cli.hub import opened
    from tidegate.cli.previews import carry_out, tell
    from tidegate.cli.who import person
    from tidegate.workflows.contacts import contacts_merge

    with opened(may_migrate=True) as hub:
        with hub.engine.connect() as db:
            number = contacts_merge.number_of(db, hub.livemode(connection), which)
        change = contacts_merge.unmerged(number, person())
        found = carry_out(hub.engine, change, only_preview=preview, yes=yes, token=token, as_json=as_json)
    tell(found, _unmerged(found.result, done=found.done), as_json=as_json, listed=listed)


def _unmerged(result: dict[str, Any], *, done: bool) -> list[str]:
    said = "are two contacts again" if done else "would be two contacts again"
    return [f"{result['kept']} and {result['other']} {said}.", *(f"Not given back: {one}." for one in result["stayed"])]
