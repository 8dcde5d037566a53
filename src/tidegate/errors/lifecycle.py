"""Lifecycle: stages, segments, health, alerts."""

from tidegate.errors.base import UsageError


class LifecycleInvalid(UsageError):
    """{problem}"""


class AlertUnknown(UsageError):
    """There is no alert {alert}. `tidegate alerts list` shows those that are open."""
