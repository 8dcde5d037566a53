"""Lifecycle: stages, segments, health, alerts, actions."""

from tidegate.errors.base import UsageError


class LifecycleInvalid(UsageError):
    """{problem}"""


class AlertUnknown(UsageError):
    """There is no alert {alert}. `tidegate alerts list` shows those that are open."""


class ActionInvalid(UsageError):
    """The action cannot be taken: {problem}"""


class ActionUnknown(UsageError):
    """There is no action {action}.{nearest} `tidegate actions list` shows all."""


class OwnerUnknown(UsageError):
    """There is no owner {owner}.{nearest} `tidegate owners list` shows all."""


class NoteUnknown(UsageError):
    """{contact} has no note {note}. `tidegate contacts timeline {contact}` shows all."""


class TaskUnknown(UsageError):
    """There is no task {task}. `tidegate tasks list` shows those that are open."""
