"""`tidegate contacts`: who every Stripe customer is; listed, shown, linked, renamed."""

from typing import Annotated, Any, Literal

import typer

from tidegate.cli import (
    contacts_changes,
    contacts_data,
    contacts_review,
    contacts_stripe,
    contacts_suppress,
    contacts_timeline,
)
from tidegate.cli.options import AsJson, ConnectionName
from tidegate.cli.previews import MOST_LISTED, Listed, Previewed, Token, Yes

app = typer.Typer(help="Who your Stripe customers are.", no_args_is_help=True)

Ref = Annotated[
    str, typer.Argument(metavar="CONTACT", help="Its id, present or former; `account:acme` or `user:acme`.")
]
Customer = Annotated[str, typer.Argument(metavar="CUSTOMER", help="Stripe's id, cus_….")]


@app.command("list")
def list_(
    kind: Annotated[Literal["user", "account"] | None, typer.Option(help="Only users, or only accounts.")] = None,
    search: Annotated[str, typer.Option(metavar="TEXT", help="A part of an id, a name or an e-mail.")] = "",
    linked: Annotated[
        bool | None, typer.Option("--linked/--unlinked", help="Only those with customers, or only those without.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="So many.")] = 50,
    after: Annotated[str, typer.Option(metavar="PLACE", help="`next` of the page before.")] = "",
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """List contacts, the oldest first."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.contacts.listing import Filter
    from tidegate.workflows.contacts import contacts

    with opened() as hub:
        wanted = Filter(hub.livemode(connection), kind, search, linked, connection)
        with hub.engine.connect() as db:
            page = contacts.page(db, wanted, after, limit)
    if as_json:
        show.document(page)
        return
    columns = ("contact", "name", "email", "owner", "customers", "live_subscriptions", "created_at")
    show.table(columns, [[row[column] for column in columns] for row in page["contacts"]])
    more = f"; more with --after {page['next']}" if page["next"] else ""
    show.line(f"{len(page['contacts']):,} contacts{more}")


@app.command("show")
def show_(contact: Ref, connection: ConnectionName = None, as_json: AsJson = False) -> None:
    """Show a contact: ids, e-mails, customers and how each is known, members, packages, subscriptions, usage, sales."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.contacts import directory
    from tidegate.workflows.contacts import contacts

    with opened() as hub, hub.engine.connect() as db:
        found = contacts.shown(db, directory.find(db, hub.livemode(connection), contact))
    if as_json:
        show.document(found)
    else:
        print_contact(found)


def print_contact(found: dict[str, Any]) -> None:
    """A contact for people: its facts line by line, then its customers, subscriptions and usage as tables."""
    from tidegate.cli import show
    from tidegate.contacts.words import evidence_in_words

    follows = {name: "" if found[f"{name}_is_yours"] else " (follows Stripe)" for name in ("name", "email")}
    show.line(f"{found['contact']}  {found['name']}{follows['name'] if found['name'] else ''}")
    facts = {
        "ids": ", ".join(one["id"] for one in found["ids"]),
        "e-mail": f"{found['email']}{follows['email']}" if found["email"] else "",
        "e-mails": ", ".join(found["emails"]) if len(found["emails"]) > 1 else "",
        "domains": ", ".join(found["domains"]),
        "owner": found["owner"],
        "properties": found["properties"] or "",
        "billing id": found["billing_id"],
        "packages": ", ".join(f"{one['package']} (version {one['version']})" for one in found["packages"]),
        "features": ", ".join(found["features"]),
        "merged": ", ".join(f"{one['contact']} (merge {one['merge']})" for one in found["merged"]),
        "forgotten": found["forgotten_at"],
    }
    for kind in ("members", "accounts"):
        of_kind = found.get(kind, [])
        facts[kind] = ", ".join(one["contact"] + (f" ({one['role']})" if one["role"] else "") for one in of_kind)
    for name, value in facts.items():
        if value:
            show.line(f"{name}: {show.cell(value)}")
    if found["links"]:
        columns = ("customer", "name", "email", "method", "evidence", "linked_at", "linked_by")
        links = [row | {"evidence": evidence_in_words(row["evidence"] or {})} for row in found["links"]]
        show.table(columns, [[row[column] or None for column in columns] for row in links])
    if found["subscriptions"]:
        rows = [
            (one["id"], one["customer"], one["status"], one["current_period_end"], _items(one["items"]))
            for one in found["subscriptions"]
        ]
        show.table(["subscription", "customer", "status", "period ends", "items"], rows)
    if found["usage"]:
        rows = [
            (key, one["used"], "unlimited" if one["unlimited"] else one["limit"], one["resets_at"])
            for key, one in found["usage"].items()
        ]
        show.table(["feature", "used", "limit", "resets"], rows)
    if sold := [one for one in found["changes"] if "run" in one["what"]]:
        rows = [(one["at"], one["by"], one["action"], *(one["what"][name] for name in SOLD)) for one in sold]
        show.table(["at", "by", "did in Stripe", *SOLD], rows)


SOLD = ("package", "id", "run")
"""What is told of a change that was sent to Stripe from here."""


def _items(items: list[dict[str, Any]]) -> str:
    return ", ".join(f"{one['quantity'] or 1} × {one['product_name'] or one['price']}" for one in items)


@app.command()
def link(
    contact: Ref,
    customer: Customer,
    preview: Previewed = False,
    yes: Yes = False,
    token: Token = None,
    connection: ConnectionName = None,
    as_json: AsJson = False,
    listed: Listed = MOST_LISTED,
) -> None:
    """Make a Stripe customer a contact's by hand; no matching changes that any more."""
    from tidegate.cli.hub import opened
    from tidegate.cli.previews import carry_out, tell
    from tidegate.cli.who import person
    from tidegate.workflows.contacts import contacts

    with opened(may_migrate=True) as hub:
        change = contacts.linked(hub.account(connection), customer, contact, person())
        found = carry_out(hub.engine, change, only_preview=preview, yes=yes, token=token, as_json=as_json)
    done = [f"{customer} is {found.result['contact']}'s customer now."] if found.done else []
    tell(found, done, as_json=as_json, listed=listed)


@app.command()
def unlink(
    customer: Customer,
    rematch: Annotated[
        bool, typer.Option("--rematch", help="Let matching decide again, instead of keeping it apart for good.")
    ] = False,
    preview: Previewed = False,
    yes: Yes = False,
    token: Token = None,
    connection: ConnectionName = None,
    as_json: AsJson = False,
    listed: Listed = MOST_LISTED,
) -> None:
    """Take a Stripe customer from its contact and keep it apart."""
    from tidegate.cli.hub import opened
    from tidegate.cli.previews import carry_out, tell
    from tidegate.cli.who import person
    from tidegate.workflows.contacts import contacts

    with opened(may_migrate=True) as hub:
        change = contacts.unlinked(hub.account(connection), customer, person(), rematch=rematch)
        found = carry_out(hub.engine, change, only_preview=preview, yes=yes, token=token, as_json=as_json)
    done = [f"{customer} is {found.result['contact'] or 'nobody'}'s customer now."] if found.done else []
    tell(found, done, as_json=as_json, listed=listed)


@app.command()
def rename(
    contact: Ref,
    new: Annotated[str, typer.Argument(metavar="ID", help="Your id for it from now on.")],
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """Give a contact another id of yours; the old one goes on leading to it, and usage stays."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.workflows.contacts import contacts_edit

    with opened(may_migrate=True) as hub:
        after = contacts_edit.rename(hub.engine, hub.livemode(connection), contact, new, person())
    if as_json:
        show.document({"contact": after.ref, "was": contact})
    else:
        show.line(f"{contact} is {after.ref} now; the old id goes on leading to it.")


@app.command()
def alias(
    contact: Ref,
    other: Annotated[str, typer.Argument(metavar="ID", help="Another id of yours that leads to it.")],
    remove: Annotated[bool, typer.Option("--remove", help="Let this former id lead to nobody.")] = False,
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """Let one more id lead to a contact, or no longer."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.workflows.contacts import contacts_edit

    with opened(may_migrate=True) as hub:
        livemode = hub.livemode(connection)
        found = contacts_edit.alias(hub.engine, livemode, contact, other, person(), remove=remove)
    if as_json:
        show.document({"contact": found.ref, "id": other, "removed": remove})
    else:
        show.line(f"{other} leads to {'nobody' if remove else found.ref} now.")


for group in (
    contacts_review.app,
    contacts_changes.app,
    contacts_data.app,
    contacts_stripe.app,
    contacts_suppress.app,
    contacts_timeline.app,
):
    app.registered_commands += group.registered_commands
    app.registered_groups += group.registered_groups
