"""`tidegate consume`: debits usage, as product code does over HTTP."""

from typing import Annotated

import typer

from tidegate.cli.entitlements import ContactRef
from tidegate.cli.options import AsJson, ConnectionName


def consume(
    contact: ContactRef,
    feature: Annotated[str, typer.Argument(metavar="FEATURE", help="A metered feature.")],
    amount: Annotated[int, typer.Argument(metavar="N", help="Units to debit; all of them or none.")] = 1,
    key: Annotated[
        str | None, typer.Option(metavar="K", help="Idempotency key: the same one debits once and answers the same.")
    ] = None,
    happened: Annotated[
        bool, typer.Option("--happened", help="It was used already: count it, though that be over the limit.")
    ] = False,
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """Debit units of a metered feature; ends with 1 when they are refused."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.errors import TidegateError
    from tidegate.workflows.entitlements.entitlements import Use, use

    with opened(may_migrate=True) as hub:
        livemode = hub.livemode(connection)
        [done] = use(hub.engine, [Use(livemode, contact, feature, "consume", amount, key, happened=happened)])
    if isinstance(done, TidegateError):
        raise done
    if as_json:
        show.document(done)
    else:
        left = "no limit" if done["unlimited"] else f"{done['remaining'] or 0:,} left of {done['limit'] or 0:,}"
        again = " (this key was known: nothing is debited anew)" if done.get("repeated") else ""
        verdict = f"Debited {amount:,}" if done["allowed"] else f"Refused ({done['reason']})"
        show.line(f"{verdict} {feature}: {done['used']:,} used, {left}{again}.")
    if not done["allowed"]:
        raise typer.Exit(1)
