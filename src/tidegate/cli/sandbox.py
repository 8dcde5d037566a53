"""`tidegate sandbox`: a simulated Stripe account, served until interrupted."""

import os
import select
import threading
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tidegate.cli.options import AsJson

if TYPE_CHECKING:
    from tidegate.sandbox import SandboxConfig


Port = Annotated[int, typer.Option(help="Port on 127.0.0.1; 0: any free one.")]
Customers = Annotated[int, typer.Option(help="Customers of the simulated company.")]
Months = Annotated[int, typer.Option(help="Months of history.")]
Seed = Annotated[int, typer.Option(help="The same seed makes the same company.")]
AsOf = Annotated[
    int | None,
    typer.Option(metavar="SECONDS", help="Where its clock stands, UTC epoch seconds.", show_default="1 September 2026"),
]
Latency = Annotated[float, typer.Option(metavar="SECONDS", help="Before every answer.")]
Rate = Annotated[float | None, typer.Option(help="Requests a second in all before a 429.")]
EndpointRate = Annotated[float | None, typer.Option(help="The same, for one endpoint.")]
Faults = Annotated[
    str, typer.Option(metavar="KIND=PROBABILITY,…", help="429, 500, reset, truncate, slow; e.g. 429=0.05,reset=0.01.")
]
Profile = Annotated[
    Literal["company", "bulk"], typer.Option(help="A company's history, or exact numbers of plain objects.")
]
HowMany = Annotated[int, typer.Option(help="How many, with --profile bulk.")]
Lines = Annotated[int, typer.Option(help="With --profile bulk.")]
EventsVersion = Annotated[
    str, typer.Option(help="API version of the events that are listed: the SDK's own, or 2020-08-27.")
]
Livemode = Annotated[bool, typer.Option("--livemode", help="A live account, with a live key.")]
NotActivated = Annotated[
    bool, typer.Option("--not-activated", help="An account that Stripe has not cleared to take payments.")
]
Connected = Annotated[
    int, typer.Option(metavar="N", help="Accounts connected to it as to a Connect platform, each a small company.")
]
ParentPipe = Annotated[int | None, typer.Option(hidden=True, help="A descriptor whose closing ends the sandbox.")]


def sandbox(
    port: Port = 12111,
    customers: Customers = 300,
    months: Months = 12,
    seed: Seed = 1,
    as_of: AsOf = None,
    latency: Latency = 0.0,
    rate: Rate = None,
    endpoint_rate: EndpointRate = None,
    faults: Faults = "",
    profile: Profile = "company",
    subscriptions: HowMany = 0,
    invoices: HowMany = 0,
    lines_per_invoice: Lines = 2,
    events_version: EventsVersion = "",
    livemode: Livemode = False,
    not_activated: NotActivated = False,
    connected: Connected = 0,
    parent_pipe: ParentPipe = None,
    as_json: AsJson = False,
) -> None:
    """Serve a simulated Stripe account to try things on; nothing leaves this machine."""
    from tidegate.sandbox import DEFAULT_AS_OF, SandboxConfig
    from tidegate.sandbox.state import API_VERSION

    config = SandboxConfig(
        port=port,
        customers=customers,
        months=months,
        seed=seed,
        as_of=DEFAULT_AS_OF if as_of is None else as_of,
        latency=latency,
        rate=rate,
        endpoint_rate=endpoint_rate,
        faults=faults,
        profile=profile,
        subscriptions=subscriptions,
        invoices=invoices,
        lines_per_invoice=lines_per_invoice,
        livemode=livemode,
        activated=not not_activated,
        events_version=events_version or API_VERSION,
        connected=connected,
    )
    _serve(config, parent_pipe, as_json)


def _serve(config: "SandboxConfig", parent_pipe: int | None, as_json: bool) -> None:
    from tidegate.cli import show
    from tidegate.cli.hub import stopping
    from tidegate.sandbox import Sandbox

    with stopping("" if parent_pipe is not None else "sandbox: stopped") as stop, Sandbox.start(config) as running:
        if as_json:
            show.document({"url": running.url, "key": running.key})
        else:
            show.line(f"Simulated Stripe at {running.url} with key {running.key}")
            platform = " --platform" if config.connected else ""
            told = f"--name sandbox --api-base {running.url} --api-key {running.key}{platform}"
            show.line(f"Connect it: tidegate connect {told}")
        _wait(stop.event, parent_pipe)


def _wait(stopped: threading.Event, parent_pipe: int | None) -> None:
    """Until a signal comes, or the pipe of a parent closes."""
    if parent_pipe is None:
        stopped.wait()
        return
    while not stopped.is_set():
        readable, _, _ = select.select([parent_pipe], [], [], 0.5)
        if readable and not os.read(parent_pipe, 1):
            return
