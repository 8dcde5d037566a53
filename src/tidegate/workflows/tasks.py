"""The thin list of background tasks: each opens what it needs, calls one workflow and may run twice."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tidegate.errors import WorkStopped
from tidegate.workflows import clock_tasks, connection_tasks
from tidegate.workflows.doorbell import FETCH, PROMPT
from tidegate.workflows.entitlements.usage_task import forward_usage
from tidegate.workflows.outbound.revert_task import revert_sync_
from tidegate.workflows.outbound.sync_task import run_sync
from tidegate.workflows.task_context import TaskContext

if TYPE_CHECKING:
    from procrastinate import App

TASKS: dict[str, Callable[..., Any]] = {
    "import_account": connection_tasks.import_account,
    "import_again": connection_tasks.import_account,
    "drain": connection_tasks.drain,
    "refetch": connection_tasks.refetch,
    "refresh": connection_tasks.refresh,
    "catch_up": connection_tasks.catch_up,
    "audit": connection_tasks.audit,
    "sweep": connection_tasks.sweep,
    "probe": connection_tasks.probe,
    "fan_out": connection_tasks.fan_out,
    "deliver": clock_tasks.deliver,
    "deliver_again": clock_tasks.deliver,
    "run_sync": run_sync,
    "forward_usage": forward_usage,
    "tick": clock_tasks.tick,
    "forget_old": clock_tasks.forget_old,
    "keep_lifecycle": clock_tasks.keep_lifecycle,
    "keep_reports": clock_tasks.keep_reports,
    "watch": clock_tasks.watch,
    "revert_sync": revert_sync_,
}
"""Every task by the name that jobs carry; the first argument is the context."""

PERIODIC = {
    "tick": "* * * * *",
    "forget_old": "23 * * * *",
    "keep_lifecycle": "* * * * *",
    "keep_reports": "* * * * *",
    "watch": "* * * * *",
}
"""When tasks start by themselves, as cron lines in UTC; several workers start each once. They are given the `timestamp`
(epoch seconds) of their time."""

QUEUES = {"keep_reports": FETCH}
"""Where tasks that start by themselves wait, but for PROMPT: a report may take a minute."""


def register(app: "App", context: TaskContext) -> None:
    """Makes a worker's app know the tasks, each bound to the context."""
    for name, run in TASKS.items():
        task = app.task(name=name, queue=QUEUES.get(name, PROMPT))(_bound(name, run, context))
        if name in PERIODIC:
            app.periodic(cron=PERIODIC[name], queueing_lock=name)(task)


def _bound(name: str, run: Callable[..., Any], context: TaskContext) -> Callable[..., Any]:
    def task(**arguments: Any) -> Any:
        try:
            return run(context, **arguments)
        except WorkStopped as stopped:
            context.doorbell.ring(name, **arguments)
            return {"state": "stopped", "error": str(stopped)}

    return task
