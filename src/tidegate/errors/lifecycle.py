"""Lifecycle: stages, segments, health, alerts."""

from tidegate.errors.base import UsageError


class LifecycleInvalid(UsageError):
    """{problem}"""


class LifecycleUnknown(UsageError):
    """There is no {what} {key}.{nearest} `tidegate {list} list` shows all."""


class AlertUnknown(UsageError):
    """There is no alert {alert}. `tidegate alerts list` shows those that are open."""
