"""Subscriptions that are started, changed and ended from the hub."""

from tidegate.errors.base import FoundWrong, UsageError
from tidegate.errors.entitlements import PreviewNeeded
from tidegate.errors.stripe import StripePermissionMissing


class SaleInvalid(UsageError):
    """{problem}"""


class SaleRefused(UsageError):
    """{problem}"""


class SalePreviewNeeded(PreviewNeeded):
    """This changes what {contact} pays and may use, so nothing was done. Look at the preview first (`--preview`, over
    HTTP `?preview=true`), and do it with the token it shows; or say `--yes`, over HTTP `"anyway": true`.
    """


class SaleRunning(FoundWrong):
    """Another process is changing the subscriptions of {contact} just now, so nothing was done. Try again in a
    moment.
    """


class CustomerBusy(FoundWrong):
    """A sync of {connection} writes to {customer} just now, and its request was not answered within {seconds} seconds,
    so the change was not sent: Stripe takes one at a time. Try again in a moment.
    """


class SaleUnsettled(FoundWrong):
    """Nobody knows yet whether a request of run {run} reached Stripe: its process died, or no answer came. Give the
    same command again to settle it, or another one in two minutes; `tidegate sync show {run}` shows the request.
    """


class PaymentRefused(FoundWrong):
    """{problem} Stripe says: {message} Request id: {request_id}."""


class WritePermissionMissing(StripePermissionMissing):
    """The write key of {connection} may not do {endpoint}, so nothing more was sent: {message} Give the restricted key
    that permission in Stripe's dashboard, or another one with `tidegate connect --name {connection} --api-key -
    --write-key -`, both keys on stdin. Request id: {request_id}.
    """
