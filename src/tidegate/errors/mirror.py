"""Resources of the mirror, and the inbox of Stripe's events."""

from tidegate.errors.base import TidegateError, Unreachable, UsageError


class ResourceUnknown(UsageError):
    """There is no resource named {name}.{nearest} Known: {known}."""


class ResourceNotListed(UsageError):
    """{name} cannot be imported by themselves: {reason}"""


class CustomerUnknown(UsageError):
    """The mirror of {connection} has no customer {customer}. Check the id; `tidegate contacts refresh --customer
    {customer}` fetches one that is new.
    """


class ObjectUnknown(UsageError):
    """The mirror of {connection} has no {id} among its {resource}. `tidegate audit --resource {resource}` tells whether
    Stripe has it.
    """


class EventUnknown(UsageError):
    """There is no event {event} in the inbox of {connection}."""


class EventRefused(UsageError):
    """This body is no event for the connection {connection}: {problem}"""


class BodyTooLarge(UsageError):
    """The body is larger than the {limit} bytes that are taken; TIDEGATE_WEBHOOK_MAX_BYTES says so for webhooks."""


class InboxBusy(Unreachable):
    """The inbox could not take the event: {problem}. It was not stored; send it again."""


class SignatureInvalid(TidegateError):
    """The webhook's signature does not fit: {problem}. Check that the connection's webhook secret is that of this
    endpoint.
    """
