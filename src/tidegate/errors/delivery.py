"""Delivery: destinations and what is sent to them."""

from tidegate.errors.base import FoundWrong, Unreachable, UsageError


class DestinationInvalid(UsageError):
    """The destination cannot be taken: {problem}"""


class DestinationUnknown(UsageError):
    """There is no destination {key}.{nearest} `tidegate destinations list` shows all."""


class DeliveryUnknown(UsageError):
    """There is no dead letter {delivery} of {destination}. `tidegate destinations dead {destination}` shows all."""


class AddressRefused(UsageError):
    """{host} is at {address}, which is private or of this machine, and nothing is sent there. Where that is meant, say
    `allow_private: true` of the destination.
    """


class DestinationUnreachable(Unreachable):
    """The destination {key} cannot be reached: {problem}"""


class DestinationRefused(FoundWrong):
    """The destination {key} did not take it: {problem}"""
