"""`tidegate contacts refresh`, `forget`: a contact's customers read from Stripe now; a person's data erased."""

import sys
from typing import Annotated, Any

import typer

from tidegate.cli.options import AsJson, ConnectionName
from tidegate.cli.previews import Previewed, Token

app = typer.Typer()

Maybe = Annotated[str | None, typer.Argument(metavar="CONTACT", help="Its id, present or former.")]


@app.command()
def refresh(
    contact: Maybe = None,
    customer: Annotated[
        str | None, typer.Option(metavar="CUSTOMER", help="This Stripe customer (cus_…), though it may be new.")
    ] = None,
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """Read a contact's subscriptions from Stripe now, and show what it may use; for who just paid."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.workflows.contacts.contacts_fetch import fetch

    with opened(may_migrate=True) as hub:
        account = hub.account(connection) if customer is not None else None
        livemode = account.livemode if account is not None else hub.livemode(connection)
        found = fetch(hub.engine, hub.stripe, livemode, contact, customer=customer, account=account)
    if as_json:
        show.document(found)
        return
    counts = found["fetched"]
    show.line(
        f"Read {counts['customers']:,} customers and {counts['subscriptions']:,} subscriptions; "
        f"{counts['changed']:,} were new or had changed."
    )
    if "link" in found:
        show.line(f"{found['link']['customer']}: {found['link']['reason']}")
    if found["contact"] is not None:
        _print_entitlements(found)


def _print_entitlements(found: dict[str, Any]) -> None:
    from tidegate.cli import show

    packages = ", ".join(f"{one['package']} (version {one['version']})" for one in found["packages"])
    show.line(f"{found['contact']} has {packages or 'no package'}.")
    rows = [
        (key, "yes" if one["granted"] else "no", one["reason"], one.get("used"), one.get("limit"))
        for key, one in found["features"].items()
    ]
    if rows:
        show.table(["feature", "granted", "reason", "used", "limit"], rows)


@app.command()
def forget(
    contact: Maybe = None,
    customer: Annotated[
        str | None, typer.Option(metavar="CUSTOMER", help="A Stripe customer (cus_…) that is no contact's, instead.")
    ] = None,
    confirm: Annotated[str, typer.Option(metavar="ID", help="The id again, instead of being asked for it.")] = "",
    preview: Previewed = False,
    token: Token = None,
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """Erase a person's data from mirror, events and contact for good; amounts and Stripe's ids stay.

    Shows how much first, then asks for the id. What Stripe tells later is redacted as it comes in.
    """
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.workflows.contacts.contacts_forget import forget as erase

    with opened(may_migrate=True) as hub:
        account = hub.account(connection) if customer is not None else None
        livemode = account.livemode if account is not None else hub.livemode(connection)
        told: dict[str, Any] = {"customer": customer, "account": account}
        found = erase(hub.engine, livemode, contact, person(), only_preview=True, **told)
        if not as_json:
            show.table(["table", "rows to redact"], [*found.rows.items(), ("total", sum(found.rows.values()))])
            show.line(f"Customers: {', '.join(one['customer'] for one in found.customers) or 'none'}")
        if not preview:
            if token is None:
                _check(contact or customer or "", confirm)
            found = erase(hub.engine, livemode, contact, person(), only_preview=False, token=token, **told)
    if as_json:
        show.document(found.as_json())
    elif found.done:
        show.line(f"Forgotten{f'; the contact is {found.contact} now' if found.contact else ''}.")
    else:
        show.line(f"Nothing was done. Do it with `--token {found.token}`; it is refused when the facts change.")


def _check(wanted: str, confirm: str) -> None:
    """Lets pass who gives the id again. Raises UsageError."""
    from tidegate.errors import UsageError

    if not confirm and not sys.stdin.isatty():
        raise UsageError(problem=f"Nothing was erased: this needs a person to ask, or `--confirm {wanted}`.")
    given = confirm or str(typer.prompt("Type the id again, and all this is erased for good", err=True))
    if given != wanted:
        raise UsageError(problem=f"Nothing was erased: {given!r} is not {wanted!r}.")
