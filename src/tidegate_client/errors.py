"""What this client raises. A hub that cannot be reached is no error: answers then say `stale`."""


class TidegateClientError(Exception):
    """Anything of this client's."""


class HubRefused(TidegateClientError):
    """The hub answered that the request cannot be served: a wrong token, a missing scope, an amount that is none.

    `status` is HTTP's, `detail` the hub's own words.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"{status}: {detail}")
        self.status = status
        self.detail = detail


class WebhookInvalid(TidegateClientError):
    """The webhook was not signed with the secret, or long ago; the message says which."""
