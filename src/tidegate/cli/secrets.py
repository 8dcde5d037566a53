"""`tidegate secrets`: the key that encrypts stored credentials."""

import typer

from tidegate.cli.options import AsJson

app = typer.Typer(help="The key that encrypts stored credentials.", no_args_is_help=True)


@app.callback()
def secrets() -> None:
    """The key that encrypts stored credentials."""


@app.command()
def rotate(as_json: AsJson = False) -> None:
    """Encrypt every stored credential with a new key. Killed at any moment, all of them can still be read.

    A key file gets a new key. With TIDEGATE_SECRET_KEY put a new key before the old one (NEW,OLD) first.
    """
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.cli.who import person
    from tidegate.workflows.operation.rotate_secrets import rotate_secrets

    with opened(may_migrate=True) as hub:
        config = hub.settings
        rotated = rotate_secrets(hub.engine, config.secret_key.get_secret_value(), config.home, person())
    if as_json:
        show.document(rotated.as_json())
        return
    sources = f" and {len(rotated.sources)} sources" if rotated.sources else ""
    sources += f" and {len(rotated.destinations)} destinations" if rotated.destinations else ""
    of = f"{len(rotated.connections)} connections{sources}"
    show.line(f"{rotated.secrets} secrets of {of} are encrypted with the new key.")
    if rotated.key == "file":
        show.line(f"The new key is in {rotated.source}; running processes take it up by themselves.")
    else:
        show.line(f"Now take the old key out of {rotated.source} and start every process again.")
    show.line("Whoever is signed in to the page signs in again. Backups made before open with the old key only.")
