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
