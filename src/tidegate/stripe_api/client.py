"""How Tidegate speaks to one Stripe account: get, post and delete by path, raw bytes back."""

import threading
import uuid
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast
from urllib.parse import urlsplit

import msgspec

from tidegate.errors import ConfigurationError, StripeKeyInvalid
from tidegate.stripe_api.calls import CALL, LOOPBACK, Answer, Answered, Call, Patience
from tidegate.stripe_api.mode import livemode_of
from tidegate.stripe_api.shapes import loose

if TYPE_CHECKING:
    from stripe import StripeResponse

    from tidegate.stripe_api.limits import Budget

T = TypeVar("T")

TIMEOUT = (10.0, 80.0)
"""Seconds to connect and to wait for the next byte; 80 is the SDK's own choice: Stripe gives up before that."""
# Names that `raw_request` takes for itself: a request with such a parameter would lose it without a word.
# fmt: off
SDK_WORDS = frozenset({
    "api_key", "base", "content_type", "headers", "idempotency_key", "max_network_retries", "stripe_account",
    "stripe_context", "stripe_version", "usage",
})
# fmt: on


class Tokens(Protocol):
    """Access tokens that end, each good for a while; safe for many threads."""

    def current(self) -> str:
        """One that is good."""
        ...

    def renewed(self, refused: str) -> str:
        """Another one, in place of one that Stripe refused. Raises StripeAccessRevoked when there is none any more."""
        ...


class StripeApi:
    """One Stripe account over one budget; thread-safe, one per connection and process.

    `key`: secret or restricted. `base`: the address of another server than Stripe's (a sandbox). `api_version`: the
    SDK's own by default. `stripe_account`: the connected account (OAuth) to act for. `livemode`: the key's mode, None
    where it says none. `tokens`: where the key of each request comes from, when it is one that ends. Raises
    ConfigurationError for an unusable `base` or key.

    Every call raises, after its retries (`Patience`), StripeUnreachable, StripeBodyUnreadable, or StripeRefused and its
    children; an error names the request and its id, never the key.
    """

    def __init__(
        self,
        key: str,
        *,
        budget: "Budget",
        base: str | None = None,
        api_version: str | None = None,
        stripe_account: str | None = None,
        patience: Patience | None = None,
        timeout: tuple[float, float] = TIMEOUT,
        tokens: Tokens | None = None,
    ) -> None:
        # Half a second to import: commands that never speak to Stripe do without.
        import stripe

        from tidegate.stripe_api.transport import Transport

        address = _checked_base(base, key)
        # Else the SDK writes an id into the user's home directory and reports timings.
        stripe.enable_telemetry = False
        self.livemode = livemode_of(key)
        self._tokens = tokens
        self._transport = Transport(budget, patience or Patience(), timeout)
        self._sdk = stripe.StripeClient(
            _checked_key(key),
            stripe_account=stripe_account,
            stripe_version=api_version or stripe.api_version,
            base_addresses={"api": address, "connect": address, "files": address} if address else {},
            max_network_retries=0,
            http_client=self._transport,
        )

    def get(self, path: str, params: Mapping[str, Any] | None = None, *, interactive: bool = False) -> Answer:
        """Read a path such as `/v1/invoices` and return the answer's bytes.

        An object's id in the path is quoted (`endpoints.object_path`). `params`: lists and dicts are encoded Stripe's
        way (`expand[0]=…`, `created[gte]=…`), None is left out.
        """
        return self._send("get", path, params, Call(_is_json, interactive))

    def read(
        self,
        path: str,
        decode: Callable[[bytes], T],
        params: Mapping[str, Any] | None = None,
        *,
        interactive: bool = False,
    ) -> tuple[T, Answer]:
        """Like `get`, with the body decoded; a body that `decode` (of msgspec) finds broken is asked for again."""
        decoded: list[T] = []
        answer = self._send("get", path, params, Call(lambda body: decoded.append(decode(body)), interactive))
        return decoded[-1], answer

    def post(
        self,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
        interactive: bool = False,
    ) -> Answer:
        """Create or update; every try carries the same idempotency key, one is made where none is given."""
        key = idempotency_key or str(uuid.uuid4())
        return self._send("post", path, params, Call(_is_json, interactive), idempotency_key=key)

    def delete(
        self,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
        interactive: bool = False,
    ) -> Answer:
        """Delete or cancel.

        StripeObjectMissing with `facts["tries"]` above 1 may mean that an earlier try did it and its answer was lost.
        """
        key = idempotency_key or str(uuid.uuid4())
        return self._send("delete", path, params, Call(_is_json, interactive), idempotency_key=key)

    @contextmanager
    def heeding(self, stop: threading.Event) -> Generator[None]:
        """Within the block, whoever waits for the budget or to try again gets WorkStopped when `stop` is set, and who
        waits for an answer a few seconds later (`Patience.stop_seconds`).
        """
        with self._transport.heeding(stop):
            yield

    def close(self) -> None:
        """Close the idle connections to Stripe."""
        self._transport.close()

    def _send(self, method: str, path: str, params: Mapping[str, Any] | None, call: Call, **options: Any) -> Answer:
        given = dict(params or {})
        if taken := SDK_WORDS & given.keys():
            raise ValueError(f"parameters that the SDK keeps for itself: {', '.join(sorted(taken))}")
        if self._tokens is None:
            return self._sent(method, path, given, call, **options)
        token = self._tokens.current()
        try:
            return self._sent(method, path, given, call, **options, api_key=token)
        except StripeKeyInvalid:
            return self._sent(method, path, given, call, **options, api_key=self._tokens.renewed(token))

    def _sent(self, method: str, path: str, given: dict[str, Any], call: Call, **options: Any) -> Answer:
        send = cast("Callable[..., StripeResponse]", self._sdk.raw_request)  # pyright: ignore[reportUnknownMemberType]
        response = send(method, path, **given, **options, headers={CALL: call})
        return cast(Answered, response.headers).answer


_decode_raw = msgspec.json.Decoder(msgspec.Raw).decode


def _is_json(body: bytes) -> None:
    """Raises msgspec.DecodeError for what is no JSON. Odd text in it and its shape are the caller's to judge."""
    try:
        _decode_raw(body)
    except msgspec.DecodeError:
        mended = loose.mended(body)
        if mended is None:
            raise
        _decode_raw(mended)
    except RecursionError:
        return  # too deep for msgspec altogether: asking again would bring the same


def _checked_key(key: str) -> str:
    if not key.strip():
        raise ConfigurationError(problem="The Stripe key is empty. Give one with `tidegate connect`.")
    if not key.isascii() or not key.isprintable() or " " in key.strip():
        raise ConfigurationError(problem="The Stripe key contains characters no key has. Copy it again from Stripe.")
    return key.strip()


def _checked_base(base: str | None, key: str) -> str | None:
    if base is None:
        return None
    parts = urlsplit(base)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigurationError(problem=f"{base!r} is no address of an API. Write it like http://127.0.0.1:12111.")
    if parts.scheme == "http" and "_live_" in key and parts.hostname not in LOOPBACK:
        raise ConfigurationError(problem=f"A live key is not sent unencrypted to {parts.hostname}. Use https.")
    return base.rstrip("/")
