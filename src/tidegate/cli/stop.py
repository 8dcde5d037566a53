"""`tidegate stop`: ends the embedded database."""

from typing import Annotated

import typer

from tidegate.cli.options import AsJson


def stop(
    force: Annotated[
        bool, typer.Option("--force", help="Although other processes use it: their work breaks off.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Stop the embedded database; refuses while other processes use it. It starts again with the next command."""
    from tidegate.cli import show
    from tidegate.cli.hub import configured
    from tidegate.store.embedded import Embedded

    config = configured()
    ended = Embedded(config.home).force_stop(force)
    if as_json:
        show.document(
            {"home": config.home, "was_running": ended.was_running, "stopped": ended.stopped, "users": ended.users}
        )
    elif not ended.was_running:
        show.line(f"The embedded database under {config.home} is not running.")
    elif ended.stopped:
        show.line(f"Stopped the embedded database under {config.home}.")
    else:
        users = f" (pids {', '.join(map(str, ended.users))})" if ended.users else ""
        show.line(f"Other processes use the database{users}: stop them first, or use --force.")
    if ended.was_running and not ended.stopped:
        raise typer.Exit(1)
