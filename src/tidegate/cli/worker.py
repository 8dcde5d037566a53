"""`tidegate worker`: takes background work off the queue until it is stopped."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tidegate.wiring import Hub
    from tidegate.workflows.task_context import TaskContext


def worker(
    concurrency: Annotated[
        int | None,
        typer.Option(min=1, max=64, metavar="N", help="Tasks at a time; default: TIDEGATE_WORKER_CONCURRENCY."),
    ] = None,
    parent_pipe: Annotated[
        int | None, typer.Option(hidden=True, help="A descriptor whose closing ends the worker.")
    ] = None,
) -> None:
    """Work in the background: imports, events, catching up. Start as many as you like, on any machine."""
    from tidegate.cli.hub import configured, opened
    from tidegate.cli.show import remark
    from tidegate.workflows.worker import engine_connections, run_worker

    places = concurrency or configured().worker_concurrency
    with opened(may_migrate=True, pool_size=engine_connections(places)) as hub:
        if parent_pipe is None:
            remark(f"working on {places} tasks at a time; Ctrl-C stops")
        url = hub.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        run_worker(url, task_context(hub), concurrency=places, parent_pipe=parent_pipe)


def task_context(hub: "Hub") -> "TaskContext":
    """What tasks work with in this installation."""
    from tidegate.workflows.task_context import TaskContext

    return TaskContext(
        hub.engine,
        hub.stripe,
        hub.stripe_writing,
        hub.source_url,
        hub.destination,
        poll_seconds=hub.settings.poll_seconds,
        attempts=hub.settings.inbox_attempts,
        readers=hub.settings.import_readers,
        sweep_hour=hub.settings.sweep_hour,
        retention=hub.settings.retention,
        home=hub.embedded_home,
    )
