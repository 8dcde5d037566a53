"""The command line: one file per noun or verb; each imports what is heavy only when it runs."""

from collections.abc import Callable
from functools import cache
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from tidegate import __version__
from tidegate.cli import (
    actions,
    alerts,
    config,
    contacts,
    destinations,
    explain,
    features,
    inbox,
    mappings,
    models,
    overrides,
    owners,
    packages,
    pauses,
    rates,
    revenue,
    secrets,
    sources,
    stages,
    sync,
    tasks,
    tokens,
    usage,
    users,
)
from tidegate.cli.audit import audit
from tidegate.cli.backup import backup
from tidegate.cli.catch_up import catch_up
from tidegate.cli.close import close
from tidegate.cli.cohorts import cohorts
from tidegate.cli.connect import connect
from tidegate.cli.consume import consume
from tidegate.cli.data_quality import data_quality
from tidegate.cli.demo import demo
from tidegate.cli.disconnect import disconnect
from tidegate.cli.doctor import doctor
from tidegate.cli.entitlements import entitlements
from tidegate.cli.events import events
from tidegate.cli.export import export
from tidegate.cli.health import health
from tidegate.cli.import_ import import_
from tidegate.cli.ledger import ledger
from tidegate.cli.metrics import metrics
from tidegate.cli.migrate import migrate
from tidegate.cli.movements import movements
from tidegate.cli.mrr import mrr
from tidegate.cli.price import price
from tidegate.cli.reconcile import reconcile
from tidegate.cli.refresh import refresh
from tidegate.cli.renewals import renewals
from tidegate.cli.restore import restore
from tidegate.cli.run import Program
from tidegate.cli.sandbox import sandbox
from tidegate.cli.serve import serve
from tidegate.cli.setup import setup
from tidegate.cli.sql import sql
from tidegate.cli.status import status
from tidegate.cli.stop import stop
from tidegate.cli.subscriptions import cancel, change, subscribe
from tidegate.cli.worker import worker


def say_version(wanted: bool) -> None:
    """Prints the version and ends, when wanted."""
    if wanted:
        typer.echo(f"tidegate {__version__}")
        raise typer.Exit


app = typer.Typer(
    cls=Program,
    epilog="Exit codes: 0 done, 1 something is wrong, 2 usage or configuration, 3 Stripe or the database out of reach, "
    "or the key refused.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def program(
    version: Annotated[
        bool, typer.Option("--version", help="Say which version this is.", callback=say_version, is_eager=True)
    ] = False,
) -> None:
    """Tidegate: the two-way subscription hub for Stripe."""


PANELS: dict[str, dict[str, Callable[..., Any]]] = {
    "Begin": {"demo": demo, "setup": setup, "connect": connect, "import": import_, "sandbox": sandbox},
    "Keep going": {
        "serve": serve,
        "worker": worker,
        "catch-up": catch_up,
        "refresh": refresh,
        "backup": backup,
        "restore": restore,
        "migrate": migrate,
        "stop": stop,
    },
    "Look": {"status": status, "audit": audit, "doctor": doctor, "sql": sql, "export": export},
    "Revenue": {
        "mrr": mrr,
        "movements": movements,
        "metrics": metrics,
        "cohorts": cohorts,
        "renewals": renewals,
        "events": events,
        "close": close,
        "reconcile": reconcile,
        "data-quality": data_quality,
        "ledger": ledger,
        "price": price,
    },
    "Contacts and entitlements": {"entitlements": entitlements, "consume": consume},
    "Sell": {"subscribe": subscribe, "change": change, "cancel": cancel},
    "Lifecycle": {"health": health},
    "End": {"disconnect": disconnect},
}

for panel, commands in PANELS.items():
    for name, command in commands.items():
        app.command(name, rich_help_panel=panel)(command)

app.add_typer(config.app, name="config", rich_help_panel="Catalog")
app.add_typer(features.app, name="features", rich_help_panel="Catalog")
app.add_typer(mappings.app, name="mappings", rich_help_panel="Catalog")
app.add_typer(packages.app, name="packages", rich_help_panel="Catalog")
app.add_typer(contacts.app, name="contacts", rich_help_panel="Contacts and entitlements")
app.add_typer(overrides.app, name="overrides", rich_help_panel="Contacts and entitlements")
app.add_typer(revenue.app, name="revenue", rich_help_panel="Revenue")
app.add_typer(rates.app, name="rates", rich_help_panel="Revenue")
app.add_typer(stages.app, name="stages", rich_help_panel="Lifecycle")
app.add_typer(stages.segments_app, name="segments", rich_help_panel="Lifecycle")
app.add_typer(alerts.app, name="alerts", rich_help_panel="Lifecycle")
app.add_typer(actions.app, name="actions", rich_help_panel="Lifecycle")
app.add_typer(owners.app, name="owners", rich_help_panel="Lifecycle")
app.add_typer(tasks.app, name="tasks", rich_help_panel="Lifecycle")
app.add_typer(sources.app, name="sources", rich_help_panel="Outbound")
app.add_typer(models.app, name="models", rich_help_panel="Outbound")
app.add_typer(sync.app, name="sync", rich_help_panel="Outbound")
app.add_typer(pauses.pause_app, name="pause", rich_help_panel="Outbound")
app.add_typer(pauses.resume_app, name="resume", rich_help_panel="Outbound")
app.add_typer(destinations.app, name="destinations", rich_help_panel="Outbound")
app.add_typer(explain.app, name="explain", rich_help_panel="Look")
app.add_typer(usage.app, name="usage", rich_help_panel="Outbound")
app.add_typer(inbox.app, name="inbox", rich_help_panel="Keep going")
app.add_typer(tokens.app, name="tokens", rich_help_panel="Keep going")
app.add_typer(users.app, name="users", rich_help_panel="Keep going")
app.add_typer(secrets.app, name="secrets", rich_help_panel="Keep going")


@cache
def tree() -> TyperGroup:
    """All commands, as they are run; made once, which takes as long as a short command does."""
    made = get_command(app)
    assert isinstance(made, TyperGroup)
    return made


def main() -> None:
    """The program `tidegate`; ends the process with its exit code."""
    tree()()
