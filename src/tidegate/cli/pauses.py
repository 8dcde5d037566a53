"""`tidegate pause outbound` and `tidegate resume outbound`: nothing is sent to Stripe between the two."""

import typer

from tidegate.cli.options import AsJson

pause_app = typer.Typer(help="Stop something for the whole hub.", no_args_is_help=True)
resume_app = typer.Typer(help="Let it go on.", no_args_is_help=True)


@pause_app.callback()
def pause() -> None:
    """Stop something for the whole hub."""


@resume_app.callback()
def resume() -> None:
    """Let it go on."""


@pause_app.command("outbound")
def pause_outbound(as_json: AsJson = False) -> None:
    """Send nothing to Stripe from now on: runs at work stop within seconds, none begins. Plans can still be made."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.workflows.outbound import outbound_changes

    with opened(may_migrate=True) as hub, hub.engine.begin() as db:
        found = outbound_changes.pause(db, person())
    if as_json:
        show.document({"paused": True, **found})
    else:
        show.line(f"Outbound is paused since {show.cell(found['at'])} by {found['by']}.")


@resume_app.command("outbound")
def resume_outbound(as_json: AsJson = False) -> None:
    """Let syncs run again; what is due by its schedule runs within a minute."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.workflows.outbound import outbound_changes

    with opened(may_migrate=True) as hub, hub.engine.begin() as db:
        was = outbound_changes.resume(db, person())
    if as_json:
        show.document({"paused": False, "was": was})
    else:
        show.line("Outbound goes on." if was else "Outbound was not paused.")
