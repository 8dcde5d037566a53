"""`tidegate contacts review` and `settings`: who waits for a person, and what decides that."""

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tidegate.cli.options import AsJson, ConnectionName
from tidegate.cli.previews import MOST_LISTED, Listed, Previewed, Token, Yes

if TYPE_CHECKING:
    from tidegate.workflows.contacts.contacts_settings import Effect

app = typer.Typer()
review = typer.Typer(help="Customers that no rule could place.", no_args_is_help=True)
app.add_typer(review, name="review")

Reason = Annotated[
    Literal["no_match", "id_unknown", "conflict"] | None,
    typer.Option(help="Only those that match nobody, whose metadata names an unknown id, or that match several."),
]


@review.command("list")
def list_(
    reason: Reason = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="So many.")] = 50,
    after: Annotated[str, typer.Option(metavar="PLACE", help="`next` of the page before.")] = "",
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """List the customers that wait, longest first, with their candidates and what their subscriptions are worth."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.contacts import reviewing
    from tidegate.contacts.words import tried, worth

    with opened() as hub:
        account = hub.account(connection)
        with hub.engine.connect() as db:
            rows, place = reviewing.queue(db, account.name, reason=reason, after=after, limit=limit)
            counts = reviewing.counts(db, account.name)
    if as_json:
        show.document({"connection": account.name, "customers": rows, "next": place, "waiting": counts})
        return
    shown = [
        (
            row["customer"],
            row["name"],
            row["email"],
            row["reason"],
            tried(row["evidence"]),
            ", ".join(one["contact"] for one in row["candidates"]),
            worth(row["list_value"]),
            row["since"],
        )
        for row in rows
    ]
    show.table(["customer", "name", "email", "reason", "looked for", "candidates", "list value", "since"], shown)
    told = ", ".join(f"{number:,} {name}" for name, number in counts.items())
    show.line(f"Waiting: {told or 'nobody'}" + (f"; more with --after {place}" if place else ""))


@review.command()
def accept(
    customer: Annotated[list[str] | None, typer.Argument(metavar="CUSTOMER…", help="Stripe's ids, cus_….")] = None,
    contact: Annotated[
        str | None, typer.Option("--contact", metavar="CONTACT", help="Whose they are; without it contacts are made.")
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="All that wait, but for conflicts.")] = False,
    reason: Reason = None,
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """Make contacts of waiting customers, or give them to a contact. `review undo` takes it back."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.workflows.contacts import contacts_review

    with opened(may_migrate=True) as hub:
        account = hub.account(connection)
        done = contacts_review.accept(
            hub.engine, account, customer or [], person(), contact=contact, every=all_, reason=reason
        )
    if as_json:
        show.document({"connection": account.name, **done})
        return
    show.line(
        f"{done['linked']:,} customers linked, {done['created']:,} contacts made. "
        f"`tidegate contacts review undo {done['batch']}` takes it back."
    )
    for one in done["waiting"][:20]:
        show.line(f"{one} still waits: it matches several contacts now.")


@review.command()
def undo(
    batch: Annotated[int, typer.Argument(metavar="BATCH", help="The number that `review accept` told.")],
    as_json: AsJson = False,
) -> None:
    """Take an acceptance back: its customers wait again, contacts that it made and nobody used since are removed."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.workflows.contacts import contacts_review

    with opened(may_migrate=True) as hub:
        done = contacts_review.undo(hub.engine, batch, person())
    if as_json:
        show.document(done)
        return
    show.line(f"{done['unlinked']:,} customers wait again, {done['removed']:,} contacts are removed.")
    for ref in done["kept"]:
        show.line(f"{ref} stays: it has something of its own by now.")


@app.command()
def settings(
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="kind, metadata_keys, create_missing, only_subscribed, free_mail, grace_days or paused_gives; lists "
            "with commas, nothing for the default; may be repeated.",
        ),
    ] = None,
    preview: Previewed = False,
    yes: Yes = False,
    token: Token = None,
    connection: ConnectionName = None,
    as_json: AsJson = False,
    listed: Listed = MOST_LISTED,
) -> None:
    """Show how a connection's customers are matched, or change it and match all of them anew."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.workflows.contacts import contacts_settings

    with opened(may_migrate=bool(set_)) as hub:
        account = hub.account(connection)
        if not set_:
            with hub.engine.connect() as db:
                found = contacts_settings.current(db, account.name)
            if as_json:
                show.document({"connection": account.name, **found})
            else:
                rows = [(name, _told(value), name in found["set"]) for name, value in found["settings"].items()]
                show.table(["setting", "value", "set"], [(*row[:2], "yes" if row[2] else "default") for row in rows])
            return
        given = dict(parsed(one) for one in set_)
        if preview:
            effect = contacts_settings.preview(hub.engine, account, given)
        else:
            effect = contacts_settings.commit(hub.engine, account, given, person(), token, anyway=yes)
    if as_json:
        show.document({"connection": account.name, **effect.as_json(listed)})
        return
    print_effect(effect)


def print_effect(effect: "Effect", *, hint: bool = True) -> None:
    """What settings do to the links and, with `hint`, how to go on after a preview."""
    from tidegate.cli import show
    from tidegate.cli.previews import say_features

    say_features(effect.features, effect.counted, effect.done)
    show.line(
        f"Of {effect.customers:,} customers: {effect.linked:,} linked to contacts there are, {effect.created:,} "
        f"contacts made, {effect.changed:,} links changed; {effect.queued:,} in review ({effect.queued_before:,} "
        f"before). {effect.entitlements:,} changes of entitlements."
    )
    if effect.other_kind:
        show.line(
            f"{effect.other_kind:,} links hold to contacts of the other kind; `contacts unlink --rematch` ends one."
        )
    if hint and not effect.done:
        show.line(f"Nothing was done. Do it with `--token {effect.token}`; it is refused when the facts change.")


def parsed(given: str) -> tuple[str, Any]:
    """`kind=account` as a name and a value; an empty value is None, the default. Raises UsageError."""
    from tidegate.errors import UsageError

    name, equals, said = given.partition("=")
    if not equals:
        raise UsageError(problem=f"Write --set NAME=VALUE; {given!r} has no =.")
    if not said:
        return name, None
    if name in {"metadata_keys", "free_mail", "paused_gives"}:
        return name, [one.strip() for one in said.split(",") if one.strip()]
    try:
        return name, json.loads(said)  # true, false, a number
    except ValueError:
        return name, said


def _told(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else json.dumps(value).strip('"')  # pyright: ignore[reportUnknownArgumentType]
