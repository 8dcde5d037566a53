"""`tidegate refresh`: recomputes what is derived of the mirror, for changed customers, the named ones, or all."""

from typing import Annotated, Any

import typer

from tidegate.cli.options import AsJson, ConnectionName


def refresh(
    customer: Annotated[
        list[str] | None, typer.Argument(metavar="CUSTOMER…", help="Stripe's ids, cus_…; without any, who has changed.")
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every customer, and every contact without one.")] = False,
    connection: ConnectionName = None,
    as_json: AsJson = False,
) -> None:
    """Recompute links, grants, revenue and what follows. A worker does so by itself; nothing is asked of Stripe."""
    from tidegate.cli import progress, show
    from tidegate.cli.hub import opened, stopping
    from tidegate.cli.progress import Step
    from tidegate.errors import UsageError
    from tidegate.workflows import refresh as workflow

    if customer and all_:
        raise UsageError(problem="Name customers or say --all, not both.")
    with opened(may_migrate=True) as hub:
        account = hub.account(connection)
        if customer:
            with hub.engine.begin() as db:
                done = workflow.refresh(db, account, sorted(set(customer)))
        elif all_:
            with stopping("Stopping after this batch.") as stop, progress.shown() as tell:

                def step(number: int, total: int) -> None:
                    tell(Step("customers", number, total, number == total, ""))

                done = workflow.refresh_all(hub.engine, account, progress=step, stop=stop.event)
        else:
            done = workflow.refresh_changed(hub.engine, account)
    if as_json:
        show.document({"connection": account.name, "complete": not done.more, **done.as_json()})
    else:
        show.line(said(account.name, done.as_json()))
    if done.more:
        raise typer.Exit(1)


def said(connection: str, done: dict[str, Any]) -> str:
    """What a refresh did, in a sentence."""
    return (
        f"Refreshed {done['customers']:,} customers and {done['contacts']:,} contacts of {connection}: "
        f"{done['created']:,} contacts made, {done['linked']:,} customers linked, {done['queued']:,} in review, "
        f"{done['grants']:,} grants written, {done['told']:,} changes of entitlements told, "
        f"{done['spans']:,} spans, {done['movements']:,} movements and {done['events']:,} billing events written."
    )
