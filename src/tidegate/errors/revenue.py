"""What subscriptions are worth, and the policies that say so."""

from tidegate.errors.base import UsageError


class PolicyInvalid(UsageError):
    """{problem}"""


class SubscriptionInvalid(UsageError):
    """That is no subscription of Stripe's: {where}: {problem}."""
