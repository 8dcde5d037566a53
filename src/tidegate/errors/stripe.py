"""What Stripe answers, or what kept it from answering; which of it ends the work."""

from tidegate.errors.base import TidegateError, Unreachable
from tidegate.errors.database import DatabaseBusy


class StripeUnreachable(Unreachable):
    """Stripe could not be reached at {endpoint}: {problem} (tried {tries} times). Check the network and `--api-base`;
    the work goes on from where it stopped when it is run again.
    """


class StripeCertificateRefused(StripeUnreachable):
    """The certificate of what answers at {endpoint} is not valid, so nothing was sent there: {problem}. {remedy} The
    work goes on from where it stopped when it is run again.
    """


class StripeRefused(TidegateError):
    """Stripe refused {endpoint} with {status} ({code}): {message} Request id: {request_id}."""


class StripeKeyInvalid(StripeRefused):
    """Stripe does not accept the key of this connection ({status} at {endpoint}: {message}). Make a new key in Stripe's
    dashboard and run `tidegate connect` again with the same --name. Request id: {request_id}."""


class StripeKeyRefused(StripeKeyInvalid):
    """Stripe does not accept this key ({status} at {endpoint}: {message}), so nothing was stored. Look whether it was
    copied whole and still stands under Developers, API keys in Stripe's dashboard. Request id: {request_id}."""


class StripeAccessRevoked(StripeKeyInvalid):
    """The account took back the access that it had given ({status} at {endpoint}: {message}). Let its owner give it
    again: to a Stripe App on the page under Connect, to a platform in Stripe's Connect. Request id: {request_id}.
    """


class StripePermissionMissing(StripeRefused):
    """The key may not do {endpoint}: {message} Give the restricted key that permission in Stripe's dashboard; until
    then a list is left out and the rest is kept current. Request id: {request_id}.
    """


class StripeAccountHidden(StripePermissionMissing):
    """The key may not read the account that it belongs to ({message}), so nothing was stored: that alone tells whose
    key it is. Give the restricted key that permission in Stripe's dashboard, or make one with all that is needed
    (`tidegate connect --show-key-link` prints the link). Request id: {request_id}.
    """


class StripeObjectMissing(StripeRefused):
    """Stripe has no such object at {endpoint}: {message} Request id: {request_id}."""


class StripeEndpointMissing(StripeRefused):
    """What answers at {endpoint} knows no such path: {message} Is the address that of Stripe's API, and no proxy's?
    Request id: {request_id}."""


class StripeCursorGone(StripeRefused):
    """The object that the list at {endpoint} was to continue after no longer exists: {message} Request id:
    {request_id}.
    """


class StripeRateLimited(StripeRefused):
    """Stripe kept answering 429 at {endpoint} (tried {tries} times): {message} Lower `--rate`, or wait. Request id:
    {request_id}."""


class WorkStopped(TidegateError):
    """The work was asked to stop while it waited for {endpoint}. What was stored stays, and it goes on from there the
    next time.
    """


class StripeModeWrong(TidegateError):
    """What answers at {endpoint} shows {found}-mode data ({what}), and the key is one of {wanted} mode: nothing of it
    was stored. Check the connection's key and `--api-base`, and what stands between here and Stripe.
    """


class StripeBodyUnreadable(TidegateError):
    """Stripe's answer at {endpoint} could not be read: {problem} (tried {tries} times). Request id: {request_id}."""


ENDS_THE_WORK = (StripeKeyInvalid, StripeModeWrong, Unreachable, WorkStopped)
"""What makes all further work on a connection useless; other errors concern one list or one object."""


def passes(error: TidegateError) -> bool:
    """Whether the trouble may end by itself, so that trying again later makes sense."""
    busy = isinstance(error, StripeRefused) and int(error.facts.get("status", 0)) >= 500
    return busy or isinstance(error, DatabaseBusy | Unreachable | StripeRateLimited | StripeBodyUnreadable)


def refusal(error: TidegateError) -> str:
    """Why Stripe refuses a list for as long as nobody changes anything: `permission_missing` or `refused`; empty for
    any other trouble.
    """
    if isinstance(error, StripePermissionMissing):
        return "permission_missing"
    about_objects = isinstance(error, StripeCursorGone | StripeObjectMissing | StripeKeyInvalid)
    return "refused" if isinstance(error, StripeRefused) and not about_objects and not passes(error) else ""
