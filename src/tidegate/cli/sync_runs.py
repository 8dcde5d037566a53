"""`tidegate sync runs|show|tail`: what runs sent, request by request, afterwards and while they are at it."""

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tidegate.cli.options import AsJson, SyncName
from tidegate.store.values import plain

if TYPE_CHECKING:
    from tidegate.wiring import Hub

EVERY = 0.5
"""Seconds between two looks at a run."""


def runs(
    name: SyncName, limit: Annotated[int, typer.Option(min=1, help="The newest so many.")] = 20, as_json: AsJson = False
) -> None:
    """List the runs of a sync, newest first."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.workflows.outbound import sync_history

    with opened() as hub, hub.engine.connect() as db:
        found = sync_history.listing(db, name, limit)
    if as_json:
        show.document({"sync": name, "runs": found})
        return
    show.table(
        ["run", "state", "started", "finished", "sent", "failed", ""],
        [
            (str(one["run"]), one["state"], one["started_at"], one["finished_at"], _sent(one["sent"]), one["failed"],
             one["error"])
            for one in found
        ],
    )  # fmt: skip


def show_(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's number, or a sync: its last run.")],
    row: Annotated[str | None, typer.Option("--row", metavar="KEY", help="Only what is about this row.")] = None,
    status: Annotated[
        Literal["done", "failed", "open"] | None, typer.Option(help="Only requests with this outcome.")
    ] = None,
    request: Annotated[
        int | None, typer.Option("--request", metavar="ID", help="This request, with all it said and was answered.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="The first so many requests.")] = 100,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", metavar="FILE", help="Write all of them, with answers, to a .parquet, .csv or .json file."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a run did: its requests, and the rows that it could not send. Personal data is left out.

    `--row` shows a row's requests in all runs with everything they said.
    """
    from tidegate.cli import show
    from tidegate.cli.hub import opened
    from tidegate.errors import UsageError
    from tidegate.outbound.push import history
    from tidegate.outbound.push.history import Which
    from tidegate.workflows.outbound import sync_history

    with opened() as hub, hub.engine.connect() as db:
        found: dict[str, Any] = dict(sync_history.of(db, run))
        if request is not None:
            one = history.one(db, request)
            if one is None or one["sync"] != found["sync"]:
                raise UsageError(problem=f"{found.get('contact') or found['sync']} has no request {request}.")
            requests = [one]
            unsent: list[dict[str, Any]] = []
        else:
            of_run = None if row else found["run"]
            which = Which(of_run, found["sync"], row, status)
            requests = history.listing(db, which, limit + 1)
            unsent = [] if status == "done" else history.unsent(db, found["sync"], of_run, row)
            if row:
                requests = [history.one(db, one["id"]) or one for one in requests]
            if output is not None:
                count = sync_history.export(hub.engine, which, output)
                show.remark(f"{count:,} requests are in {output}.")
    more, requests = len(requests) > limit, requests[:limit]
    if as_json:
        show.document(found | {"requests": requests, "more": more, "rows": unsent})
        return
    _say(found, requests, unsent, whole=bool(row or request))
    if more:
        show.line(f"These are the first {limit:,} requests (--limit); --output writes all.")


def tail(name: SyncName, as_json: AsJson = False) -> None:
    """Follow the run of a sync that is under way, in whichever process it is, until it ends; else its last run."""
    from tidegate.cli import show
    from tidegate.cli.hub import opened, stopping
    from tidegate.cli.sync_shown import request_line
    from tidegate.workflows.outbound import sync_history

    told: list[dict[str, Any]] = []
    with opened() as hub, stopping("") as stop:
        with hub.engine.connect() as db:
            number = int(sync_history.of(db, name)["run"])
        for request in _followed(hub, number, stop.event):
            told.append(request)
            if not as_json:
                show.line(request_line(request))
        with hub.engine.connect() as db:
            found = sync_history.of(db, str(number))
    if as_json:
        show.document(found | {"requests": told})
    else:
        show.line(f"Run {number} of {name} is {found['state']}: {_sent(found['sent']) or 'nothing done'}, "
                  f"{found['failed']:,} failed.")  # fmt: skip
    if stop.signal:
        raise typer.Exit(stop.exit_code)


def _followed(hub: "Hub", run: int, stop: Any) -> Iterator[dict[str, Any]]:
    """The requests of a run as their outcomes come, each once, until it ends."""
    from tidegate.workflows.outbound.sync_tail import Tail

    following = Tail(run)
    while True:
        with hub.engine.connect() as db:
            seen = following.look(db)
        yield from seen.requests
        if seen.over or stop.is_set():
            return
        if not seen.more and seen.run["state"] == "running":
            time.sleep(EVERY)


def _say(
    found: Mapping[str, Any], requests: list[dict[str, Any]], unsent: list[dict[str, Any]], *, whole: bool
) -> None:
    from tidegate.cli import show
    from tidegate.cli.sync_shown import fields, value

    whose = found.get("contact") or found["sync"]
    show.line(
        f"Run {found['run']} of {whose}: {found['state']}, begun {show.cell(found['started_at'])}; "
        f"{_sent(found['sent']) or 'nothing done'}, {found['failed']:,} failed. {found['error']}".rstrip()
    )
    columns = ("id", "key", "operation", "object_id", "state", "status", "request_id", "error")
    if requests:
        shown = [(str(one["id"]), *(value(one[name]) for name in columns[1:-1]), one["error"]) for one in requests]
        show.table(["request", "row", "operation", "object", "state", "status", "Stripe's id", "error"], shown)
    if unsent:
        show.line("Rows that are left, as they stand:")
        show.table(
            ["row", "object", "field", "", "value", ""],
            fields([{"changes": [], "kept": [], **one, "why": f"{one['state']}: {one['why']}"} for one in unsent]),
        )
    for one in requests if whole else ():
        show.line(
            f"\nRequest {one['id']}: {one['method'].upper()} {one['path']}, idempotency key {one['idempotency_key']}"
        )
        for name in ("params", "before", "response"):
            show.line(f"{name}: {json.dumps(one[name], indent=2, ensure_ascii=False, default=plain)}")


def _sent(sent: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {operation}" for operation, count in sent.items())
