"""`tidegate backup`: the whole hub in one file."""

from pathlib import Path
from typing import Annotated

import typer

from tidegate.cli.options import AsJson


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Readable by you only; a zip with the SQL in it.")],
    with_key: Annotated[
        bool, typer.Option("--with-key", help="Put the secret key in, which opens what is sealed in it.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file of that name, once done.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write everything that the hub knows into one file, as of one instant, while it works on.

    `tidegate restore` brings it back, on the embedded database or on a server of yours.
    """
    from tidegate.cli import progress, show
    from tidegate.cli.hub import opened
    from tidegate.cli.progress import Step
    from tidegate.workflows.operation import backup as workflow

    with opened() as hub, progress.shown(alike=False) as tell:
        done = workflow.backup(
            hub.engine,
            hub.settings,
            file,
            with_key=with_key,
            overwrite=overwrite,
            tell=lambda written: tell(Step("database, kB", written // 1000)),
        )
        tell(Step("database, kB", done["sql_bytes"] // 1000, done["sql_bytes"] // 1000, done=True))
    if as_json:
        show.document(done)
        return
    show.line(f"{done['file']}: {show.size(done['bytes'])}, all there is at {done['taken_at']}.")
    if with_key:
        show.line("The secret key is in it: whoever has the file has Stripe's keys. Keep it as you keep passwords.")
    else:
        where = "with it" if hub.settings.secret_key.get_secret_value() else f"of {hub.settings.home / 'secret.key'}"
        show.line(f"The secret key {where} is NOT in it, and Stripe's keys open with it alone: keep that, elsewhere.")
