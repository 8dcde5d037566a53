"""`tidegate demo`: a simulated Stripe, a whole import, webhooks, and the proof that the copy equals the original."""

import secrets
import sys
import time
from collections.abc import Generator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.options import AsJson

if TYPE_CHECKING:
    import socket

    from tidegate.cli.children import Child
    from tidegate.cli.demo_home import DemoHome
    from tidegate.cli.steps import Steps
    from tidegate.connections.accounts import Account
    from tidegate.wiring import Hub
    from tidegate.workflows.demo.demo import Simulated

NAME = "demo"
DAYS = 10
"""How far the simulated company's clock moves while webhooks come."""
DUPLICATES = 0.05
"""How many webhooks come twice; all come in random order: Stripe promises neither once nor order."""
PACE = 5.0
"""Seconds after which the simulated company's clock follows this machine's, while the page stays."""
WITHIN = 90.0
"""Seconds for a step that waits for another process."""


Serve = Annotated[bool, typer.Option("--serve/--no-serve", help="Whether the page stays up until Ctrl-C.")]
Customers = Annotated[int, typer.Option(min=1, help="Customers of the simulated company.")]
Months = Annotated[int, typer.Option(min=1, help="Months of its history.")]
Seed = Annotated[int, typer.Option(help="The same seed makes the same company.")]
Home = Annotated[
    Path | None, typer.Option(help="Folder of the demo's own database. [default: demo under TIDEGATE_HOME]")
]


def demo(
    serve: Serve = True,
    customers: Customers = 300,
    months: Months = 24,
    seed: Seed = 1,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Show it all on a simulated Stripe: import, webhooks, MRR, a warehouse; whether copy and MRR equal Stripe's.

    Every run begins afresh in a folder of its own and touches no other installation. Exit 1 when anything differs.
    """
    from tidegate.cli import show
    from tidegate.cli.demo_contacts import known, understood
    from tidegate.cli.demo_delivery import sent
    from tidegate.cli.demo_home import prepared
    from tidegate.cli.demo_lifecycle import joined, lived, placed
    from tidegate.cli.demo_outbound import written
    from tidegate.cli.demo_revenue import held
    from tidegate.cli.hub import configured
    from tidegate.cli.steps import Steps
    from tidegate.store.embedded import exit_on_signals
    from tidegate.wiring import open_hub
    from tidegate.workflows.demo.demo_delivery import begin, receiving

    config = configured()
    exit_on_signals()
    steps = Steps(show.remark if as_json else show.line)
    with ExitStack() as running:
        place = running.enter_context(prepared(home or config.home / NAME, config))
        hub = running.enter_context(open_hub(place.settings, pool_size=16, application="tidegate demo"))
        steps.done("database", f"PostgreSQL under {place.settings.home}, begun afresh")
        options = {"customers": customers, "months": months, "seed": seed}
        simulated, key = running.enter_context(_simulated(place, options | _dated(serve)))
        steps.done("sandbox", f"a simulated Stripe at {simulated.url}: {customers:,} customers, {months} months")
        account, secret = _connected(hub, simulated.url, key)
        steps.done("connect", f"{account.display_name} ({account.account}) as {account.name}")
        imported = _imported(hub, account, steps)
        accepted = understood(hub, account, steps)
        receiver = running.enter_context(receiving())
        begin(hub.engine, hub.vault, receiver)
        placed(hub, simulated, steps)
        server, address = running.enter_context(_served(place, serve))
        steps.done("serve", f"web process and worker at {address}")
        found = _lived(hub, account, simulated, f"{address}/api/webhooks/stripe/{NAME}", secret, steps)
        found["swept"] = _swept(hub, account, steps)
        result = _compared(hub, account, simulated, steps) | {"imported": imported, **found}
        result["contacts"] = known(hub, account, accepted, steps)
        result["revenue"] = held(hub, account, simulated, steps)
        result["sync"] = written(hub, account, steps)
        result["lifecycle"] = lived(hub, account, simulated, receiver, steps)
        result["delivery"] = sent(hub, receiver, steps, WITHIN)
        if serve:
            joined(hub, account, simulated, steps)
        where = {"home": str(place.settings.home), "address": address}
        _tell(where | result | {"steps": steps.ended}, steps.seconds, as_json)
        if serve:
            _stay(server, address, simulated)
    if not result["equal"] or result["revenue"]["wrong"]:
        raise typer.Exit(1)


def _dated(serve: bool) -> dict[str, int]:
    """Where the company's clock begins: so that it ends with today where the page stays, else on the same day in every
    run.
    """
    from tidegate.cli.demo_lifecycle import MONTH
    from tidegate.workflows.demo.demo import began

    return {"as-of": began(time.time(), DAYS + MONTH)} if serve else {}


def _stay(server: "Child", address: str, simulated: "Simulated") -> None:
    """Leaves the page up until Ctrl-C; meanwhile the company lives on by this machine's clock."""
    from tidegate.cli import show
    from tidegate.cli.hub import stopping

    show.remark(f"The page is at {address} until you press Ctrl-C.")
    with stopping("Ending the demo.") as stop:
        _wait(server, simulated, stop.event.wait)


@contextmanager
def _simulated(place: "DemoHome", options: dict[str, int]) -> Generator[tuple["Simulated", str]]:
    """A simulated Stripe in a process of its own, and its key."""
    from tidegate.cli.children import first_document, tied
    from tidegate.workflows.demo.demo import Simulated

    chosen = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    arguments = ["sandbox", "--port", "0", "--json", *chosen]
    with tied(arguments, place.environment) as child:
        ready = first_document(child, "The simulated Stripe")
        with Simulated(ready["url"]) as simulated:
            yield simulated, ready["key"]


def _connected(hub: "Hub", url: str, key: str) -> tuple["Account", str]:
    """The connection, without limits of ours, and the secret of its webhooks."""
    from tidegate.cli.who import person
    from tidegate.stripe_api.client import StripeApi
    from tidegate.stripe_api.limits import LocalBudget
    from tidegate.workflows.mirror.connect import ConnectRequest, connect

    secret = f"whsec_{secrets.token_urlsafe(24)}"
    request = ConnectRequest(key, NAME, write_key=key, webhook_secrets=(secret,), api_base=url, rate=0, endpoint_rate=0)

    def opened(key: str, base: str | None) -> "closing[StripeApi]":
        return closing(StripeApi(key, base=base, budget=LocalBudget()))

    return connect(hub.engine, hub.vault, request, opened, person()), secret


def _imported(hub: "Hub", account: "Account", steps: "Steps") -> dict[str, Any]:
    """The summary of a whole import. Raises ImportIncomplete."""
    summary = _read_all(hub, account)
    read = sum(counts["read"] for counts in summary["resources"].values())
    rows = sum(counts["stored"] + sum(counts["children"].values()) for counts in summary["resources"].values())
    rate = rows / max(summary["seconds"], 0.001)
    steps.done("import", f"{read:,} objects in {summary['pages']:,} pages, {rows:,} rows, {rate:,.0f} rows a second")
    return summary


def _swept(hub: "Hub", account: "Account", steps: "Steps") -> dict[str, int]:
    """A second import finds what changed without an event, such as invoice items; returns how many per resource."""
    summary = _read_all(hub, account)
    found = {name: counts["stored"] for name, counts in summary["resources"].items() if counts["stored"]}
    named = ", ".join(f"{number:,} {name}" for name, number in found.items())
    steps.done("sweep", f"read again: {named} had changed without an event" if found else "read again: nothing new")
    return found


def _read_all(hub: "Hub", account: "Account") -> dict[str, Any]:
    from tidegate.cli import progress
    from tidegate.cli.import_ import step
    from tidegate.errors import ImportIncomplete
    from tidegate.workflows.mirror.import_account import ImportOptions, import_account

    options = ImportOptions(readers=hub.settings.import_readers)
    with hub.stripe(account) as api, progress.shown() as tell:
        summary = import_account(hub.engine, account, api, options, progress=lambda now: tell(step(now)))
    if summary["state"] != "done":
        problem = "; ".join(f"{name}: {text}" for name, text in summary["problems"].items()) or summary["state"]
        raise ImportIncomplete(connection=NAME, problem=problem)
    return summary


@contextmanager
def _served(place: "DemoHome", stays: bool) -> Generator[tuple["Child", str]]:
    """The web process with its worker, ready, and its address: the usual port when the page stays and it is free.

    It is handed the socket that listens: a port that was only found free may be another's by the time it comes to it.
    """
    import httpx

    from tidegate.cli.children import tied
    from tidegate.cli.serve import address as address_of
    from tidegate.errors import ConfigurationError
    from tidegate.workflows.demo.demo import wait

    listener = listening(place.settings.port if stays else 0)
    address, number = address_of(listener), listener.fileno()
    arguments = ["serve", "--host", "127.0.0.1", "--listener", str(number)]
    with (
        closing(listener),
        tied(arguments, place.environment, keep=[place.lock, number], stdout=sys.stderr.fileno()) as child,
        httpx.Client(trust_env=False, timeout=5) as http,
    ):
        listener.close()  # the child has it: who asks when that has ended is to be refused

        def ready() -> bool:
            if child.poll() is not None:
                raise ConfigurationError(problem=f"The web process ended (exit code {child.returncode}).")
            try:
                return http.get(f"{address}/readyz").status_code == 200
            except httpx.TransportError:
                return False

        wait(ready, WITHIN, lambda: "the web process is not ready")
        yield child, address


def listening(wanted: int) -> "socket.socket":
    """A socket that listens on this port of 127.0.0.1, or on any where that is taken."""
    from tidegate.cli.serve import bind
    from tidegate.errors import PortTaken

    try:
        return bind("127.0.0.1", wanted)
    except PortTaken:
        return bind("127.0.0.1", 0)


def _lived(
    hub: "Hub", account: "Account", simulated: "Simulated", endpoint: str, secret: str, steps: "Steps"
) -> dict[str, Any]:
    """Lets the company live on for some days, its events come by webhook and be handled by the worker."""
    from tidegate.workflows.demo.demo import wait_for_deliveries, wait_for_drain
    from tidegate.workflows.demo.demo_outbound import doubled

    simulated.register(endpoint, secret, shuffle=True, duplicate=DUPLICATES)
    doubled(account, hub.stripe_writing)
    events = simulated.advance(DAYS)
    webhooks = wait_for_deliveries(simulated, WITHIN)
    detail = f"{events:,} events of {DAYS} days, delivered {webhooks['delivered']:,} times, signed, in random order"
    steps.done("webhooks", detail)
    states = wait_for_drain(hub.engine, account.name, WITHIN)
    steps.done("drain", ", ".join(f"{number:,} {state}" for state, number in states.items()) or "nothing came")
    return {"events": events, "webhooks": webhooks, "inbox": states}


def _compared(hub: "Hub", account: "Account", simulated: "Simulated", steps: "Steps") -> dict[str, Any]:
    """The mirror against Stripe's API, object by object, and against the sandbox's own counts."""
    from tidegate.workflows.demo.demo import counted
    from tidegate.workflows.mirror.audit import audit

    with hub.stripe(account) as api:
        report = audit(hub.engine, account, api)
    compared = sum(one["in_stripe"] for one in report["resources"])
    counts = counted(hub.engine, account.name, simulated.truth())
    equal = report["clean"] and all(one.equal for one in counts)
    steps.done("compare", f"{compared:,} objects by content, {len(counts)} tables by count")
    tables = [{"table": one.table, "in_stripe": one.in_stripe, "stored": one.stored} for one in counts]
    return {"equal": equal, "counts": tables, "audit": report}


def _tell(document: dict[str, Any], seconds: float, as_json: bool) -> None:
    from tidegate.cli import show
    from tidegate.cli.audit import print_findings
    from tidegate.cli.demo_contacts import tell
    from tidegate.cli.demo_delivery import tell as tell_delivery
    from tidegate.cli.demo_lifecycle import tell as tell_lifecycle
    from tidegate.cli.demo_outbound import tell as tell_sync
    from tidegate.cli.demo_revenue import tell as tell_revenue

    if as_json:
        show.document(document | {"seconds": round(seconds, 3)})
        return
    verdicts = {one["resource"].replace("/", "_"): one["verdict"] for one in document["audit"]["resources"]}
    show.line()
    show.table(
        ["table", "in Stripe", "in PostgreSQL", "contents"],
        [
            (one["table"], one["in_stripe"], one["stored"], verdicts.get(one["table"], "with its parent"))
            for one in document["counts"]
        ],
    )
    print_findings(document["audit"])
    unhandled = document["inbox"].get("parked", 0)
    if unhandled:
        show.line(f"{unhandled:,} events could not be handled: `tidegate inbox list` says why.")
    tell(document["contacts"])
    tell_revenue(document["revenue"])
    tell_sync(document["sync"])
    tell_delivery(document["delivery"])
    tell_lifecycle(document["lifecycle"])
    verdict = "EQUAL to" if document["equal"] else "DIFFERENT from"
    show.line(f"The copy is {verdict} the original ({show.duration(seconds)} in all).")


def _wait(server: "Child", simulated: "Simulated", stopped: Any) -> None:
    """Until somebody stops the demo. Raises ConfigurationError when the web process ends before, StripeUnreachable when
    the simulated Stripe does.
    """
    from tidegate.errors import ConfigurationError

    moved = time.monotonic()
    while not stopped(0.5):
        if time.monotonic() - moved >= PACE:
            simulated.live_to(int(time.time()))
            moved = time.monotonic()
        if server.poll() is not None:
            raise ConfigurationError(problem=f"The web process ended (exit code {server.returncode}).")
