"""What subscriptions are worth, and the policies that say so."""

from tidegate.errors.base import TidegateError, UsageError


class PolicyInvalid(UsageError):
    """{problem}"""


class SubscriptionInvalid(UsageError):
    """That is no subscription of Stripe's: {where}: {problem}."""


class LedgerMissing(UsageError):
    """The connection {connection} has no ledger of its revenue yet. A worker begins it with what was imported; so does
    `tidegate refresh --all`.
    """


class ReportUnread(TidegateError):
    """Reading this takes longer than a page may wait, so a worker reads it now. Look again in a minute or two."""


class ReportInvalid(UsageError):
    """{problem}"""


class RatesInvalid(UsageError):
    """These are no rates of currencies: {where}: {problem}."""


class ClosingRefused(UsageError):
    """The month {month} cannot be closed: {problem}"""


class MonthOpen(UsageError):
    """The month {month} is not closed, so there is nothing to compare it with. `tidegate close {month}` closes it."""


class ExclusionInvalid(UsageError):
    """{problem}"""


class ExportUnreadable(UsageError):
    """{file} cannot be read as part of an exported ledger: {problem}"""


class EngineInvalid(UsageError):
    """The engine {engine} cannot be used: {problem}"""


class EngineFailed(TidegateError):
    """The engine {engine} failed: {problem}"""
