"""OAuth of the simulated Stripe: a page that approves, tokens, and giving access back.

Of a Stripe App under /oauth/v2/authorize and /v1/oauth/…, whose tokens are of the sandbox's own account, may read, end
after an hour and are renewed with refresh tokens that are good once; of the Connect platform that the account is under
/oauth/…, where each approval connects one more account.
"""

from html import escape
from urllib.parse import urlencode, urlsplit

import msgspec

from tidegate.sandbox.accounts import own
from tidegate.sandbox.answers import Answer, Refusal, Request, as_json
from tidegate.sandbox.forms import pairs_of
from tidegate.sandbox.ids import Ids
from tidegate.sandbox.keys import Key
from tidegate.sandbox.platform import PLATFORM, Platform, tell
from tidegate.sandbox.resources import RESOURCES

APP = "ca_SandboxApp"
"""The client id of the Stripe App."""
LASTS = 3600
CODE_LASTS = 300
HTML = ((b"Content-Type", b"text/html; charset=utf-8"),)
READING = {resource.name: "read" for resource in RESOURCES} | {"balance": "read"}
"""What an app's token may do."""


class OAuth:
    """Codes and tokens that were given out. Belongs to the server's event loop."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._itself = platform.itself
        self._ids = Ids(f"oauth-{platform.config.seed}")
        self._codes: dict[str, tuple[str, int]] = {}
        self._refreshing: set[str] = set()
        self._handlers = {
            ("GET", "/oauth/v2/authorize"): self._authorize,
            ("GET", "/oauth/authorize"): self._authorize,
            ("POST", "/v1/oauth/token"): self._token,
            ("POST", "/oauth/token"): self._token,
            ("POST", "/v1/oauth/deauthorize"): self._deauthorize,
            ("POST", "/oauth/deauthorize"): self._deauthorize,
        }

    def serves(self, request: Request) -> bool:
        """Whether the request is for OAuth."""
        return (request.method, request.path) in self._handlers

    def answer(self, request: Request) -> Answer:
        """Answers it. Raises Refusal."""
        try:
            given = dict(pairs_of(request))
            return self._handlers[request.method, request.path](request, given)
        finally:
            self._platform.settle()

    def _authorize(self, request: Request, given: dict[str, str]) -> Answer:
        """The page where a person approves or does not, each a link back with what that came to."""
        client = APP if request.path == "/oauth/v2/authorize" else PLATFORM
        back = given.get("redirect_uri", "")
        if given.get("client_id") != client:
            return page(400, "No such application", f"The sandbox knows {client} at this address.")
        if urlsplit(back).hostname not in ("127.0.0.1", "localhost"):
            return page(400, "Invalid redirect URI", "The sandbox leads back to this machine only.")
        state = {"state": given["state"]} if "state" in given else {}
        if "approve" not in given:
            links = [(name, link(request.path, given | {"approve": yes})) for name, yes in CHOICES]
            return page(200, "Give access?", f"{client} asks to read this account.", links)
        if given["approve"] != "yes":
            denied = {"error": "access_denied", "error_description": "The user denied your request"}
            return leads_to(back, denied | state)
        code = self._ids.new("ac_", 32)
        self._codes[code] = (client, self._now + CODE_LASTS)
        return leads_to(back, {"code": code} | state)

    def _token(self, request: Request, given: dict[str, str]) -> Answer:
        """Exchanges a code, or a refresh token of the app."""
        self._owner(request)
        client = APP if request.path == "/v1/oauth/token" else PLATFORM
        match given.get("grant_type"):
            case "authorization_code":
                of, until = self._codes.pop(given.get("code", ""), ("", 0))
                if of != client or self._now >= until:
                    return refused("invalid_grant", "Authorization code does not exist, has expired or was used.")
                return self._granted() if client == APP else self._connected()
            case "refresh_token" if client == APP:
                if given.get("refresh_token", "") not in self._refreshing:
                    return refused("invalid_grant", "Refresh token does not exist, was used or was revoked.")
                self._refreshing.discard(given["refresh_token"])
                return self._granted(told=False)
            case _:
                return refused("unsupported_grant_type", "This grant type is not supported.")

    def _granted(self, *, told: bool = True) -> Answer:
        mode = "live" if self._itself.state.livemode else "test"
        access, refresh = self._ids.new(f"sk_{mode}_", 40), self._ids.new("rt_", 40)
        self._itself.keys.add(Key(access, READING, ends_at=self._now + LASTS))
        self._refreshing.add(refresh)
        if told:
            tell(self._itself, "account.application.authorized", APP)
        return self._answer(own(self._itself.state), access, refresh, "stripe_apps")

    def _connected(self) -> Answer:
        account = self._platform.found()
        tell(self._platform.connected[account], "account.application.authorized")
        return self._answer(account, self._ids.new("sk_test_", 40), self._ids.new("rt_", 40), "read_only")

    def _answer(self, account: str, access: str, refresh: str, scope: str) -> Answer:
        return as_json(
            {
                "access_token": access,
                "livemode": self._itself.state.livemode,
                "refresh_token": refresh,
                "scope": scope,
                "stripe_publishable_key": "pk_test_sandbox",
                "stripe_user_id": account,
                "token_type": "bearer",
            }
        )

    def _deauthorize(self, request: Request, given: dict[str, str]) -> Answer:
        """Gives the access to an account back, as its owner does in the dashboard."""
        self._owner(request)
        account, client = given.get("stripe_user_id", ""), given.get("client_id")
        if client == APP and account == own(self._itself.state) and self._refreshing:
            self._refreshing.clear()
            for key in self._itself.keys.keys.values():
                key.revoked = key.revoked or key.ends_at is not None
            tell(self._itself, "account.application.deauthorized", APP)
        elif client == PLATFORM and account in self._platform.connected:
            self._platform.part(account)
        else:
            return refused("invalid_client", f"{client} has no access to {account}.")
        return as_json({"stripe_user_id": account})

    def _owner(self, request: Request) -> None:
        """Passes for a key that may do everything. Raises Refusal (401)."""
        if self._itself.keys.check(request.headers, self._now).permissions is not None:
            raise Refusal(401, "OAuth takes the secret key of the account that the application belongs to.")

    @property
    def _now(self) -> int:
        return self._itself.world.clock.now


CHOICES = (("Give access", "yes"), ("Do not", "no"))


def link(path: str, query: dict[str, str]) -> str:
    """A path with a query."""
    return f"{path}?{urlencode(query)}"


def leads_to(back: str, query: dict[str, str]) -> Answer:
    """Sends the browser back."""
    location = f"{back}{'&' if '?' in back else '?'}{urlencode(query)}"
    return Answer(302, b"", ((b"Location", location.encode()),))


def page(status: int, title: str, text: str, links: list[tuple[str, str]] | None = None) -> Answer:
    """A page of the sandbox's own."""
    found = "".join(f'<p><a href="{escape(to)}">{escape(name)}</a></p>' for name, to in links or ())
    head = f'<title>{escape(title)}</title><link rel="icon" href="data:,">'
    body = f"<!doctype html><html lang=en>{head}<h1>{escape(title)}</h1><p>{escape(text)}</p>"
    return Answer(status, f"{body}{found}</html>".encode(), HTML)


def refused(error: str, description: str) -> Answer:
    """An error as OAuth words it (RFC 6749, 5.2)."""
    return Answer(400, msgspec.json.encode({"error": error, "error_description": description}))
