"""Outbound: sources, models, syncs and their runs."""

from tidegate.errors.base import FoundWrong, Unreachable, UsageError


class SyncInvalid(UsageError):
    """The {what} {key} cannot be taken: {problem}"""


class SyncUnknown(UsageError):
    """There is no {what} {key}.{nearest} `tidegate {list} list` shows all."""


class SourceUnreachable(Unreachable):
    """The source {source} cannot be read: {problem}"""


class ModelInvalid(UsageError):
    """The model {model} cannot be used: {problem}"""


class ModelRowsInvalid(FoundWrong):
    """The model {model} has rows that cannot be told apart, so nothing was sent: {problem}"""


class RowsUnknown(UsageError):
    """The model {model} has no row {keys}, so nothing was planned and nothing sent. A row's key is what the model's
    primary key says, of several columns as a JSON array; `tidegate models preview {model}` shows some.
    """


class SyncStopped(FoundWrong):
    """The sync {sync} stopped before it sent anything: {problem}"""


class MirrorIncomplete(FoundWrong):
    """The sync {sync} cannot tell what Stripe has already, so nothing is planned and nothing sent: {problem}. Import
    first: `tidegate import --name {connection}`.
    """


class PlanStale(UsageError):
    """Plan {plan} of {sync} is not what a run would do any more: {problem}. Plan again: `tidegate sync plan {sync}`."""


class SyncRunning(FoundWrong):
    """The sync {sync} runs already, in {process}; see `tidegate sync tail {sync}`."""


class OutboundPaused(FoundWrong):
    """Outbound is paused since {since} by {by}, so no sync runs, and nothing is sent to Stripe. `tidegate resume
    outbound` ends that.
    """


class OutboundInUse(UsageError):
    """The {what} {key} is named by {by}; remove that first."""


class RunNotReverted(UsageError):
    """Run {run} cannot be taken back: {problem}"""


class OutboundBusy(SyncRunning):
    """The sync {sync} waits for its turn: {other}, in {process}, writes to {line} just now, and runs that do so follow
    each other, so that no two write to one object at a time. See `tidegate sync tail {other}`; try again when it has
    ended.
    """


class SyncTakenOver(SyncRunning):
    """The sync {sync} lost its lock in the database, and {next} runs in {process} by now. What it had not sent is for
    its next run.
    """
