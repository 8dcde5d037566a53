"""`tidegate catch-up`: reads Stripe's events since the last time, and handles the inbox."""

import typer

from tidegate.cli.options import AsJson, ConnectionName


def catch_up(connection: ConnectionName = None, as_json: AsJson = False) -> None:
    """Read Stripe's events since the last time and apply them. Exit 1 when some could not be handled."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.workflows.mirror import catch_up as workflow

    with opened(may_migrate=True) as hub:
        account = hub.account(connection)
        with hub.stripe(account) as api:
            summary = workflow.catch_up(hub.engine, account, api, attempts=hub.settings.inbox_attempts)
    inbox = summary["inbox"]
    if as_json:
        show.document(summary)
    else:
        show.line(
            f"Read {summary['seen']:,} events of {account.name}, {summary['new']:,} new, up to {summary['until']}."
        )
        show.line(f"Handled {inbox['handled']:,}, which changed {inbox['customers_changed']:,} customers.")
        for reason, number in inbox["skipped"].items():
            show.line(f"Skipped {number:,}: {reason}.")
        for event, problem in inbox["failed"].items():
            show.line(f"{event} failed: {problem}")
        for event, problem in inbox["put_off"].items():
            show.line(f"{event} waits, since the database could not take it now: {problem}")
        if inbox["refetch_error"]:
            show.line(f"Some objects could not be fetched: {inbox['refetch_error']}")
        if summary["gap"]:
            show.line("Stripe keeps events for 30 days and the last ones read are older: run `tidegate import --full`.")
    if inbox["failed"] or inbox["put_off"] or inbox["refetch_error"] or summary["unreadable"] or summary["gap"]:
        raise typer.Exit(1)
