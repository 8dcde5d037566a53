"""The way of a request to Stripe: draws it from the budget, sends it, tries again, and keeps the answer's bytes.

The SDK builds the request (auth, version, encoding, idempotency key) and hands it to `Transport`, an SDK HTTP client;
the answer goes back beside the headers and is never parsed by the SDK.

urllib3 carries it: at 500 KB a page and 32 threads 0.46 ms of CPU a request, against 1.5 ms for httpx and 2.5 ms for
requests. Bodies are asked for compressed only of a remote server: on loopback gzip doubles the CPU and saves nothing.
"""

import logging
import ssl
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from math import ceil
from typing import Any
from urllib.parse import urlsplit

import msgspec
import stripe
import urllib3
from urllib3.exceptions import ConnectTimeoutError, DecodeError, HTTPError, LocationValueError, ProtocolError, SSLError

from tidegate.errors import (
    StripeBodyUnreadable,
    StripeCertificateRefused,
    StripeUnreachable,
    TidegateError,
    WorkStopped,
)
from tidegate.stripe_api import failures
from tidegate.stripe_api.breaking_off import Reads
from tidegate.stripe_api.calls import CALL, LOOPBACK, Answer, Answered, Call, Patience, wait_or_stop
from tidegate.stripe_api.endpoints import endpoint_of
from tidegate.stripe_api.limits import Budget

logger = logging.getLogger(__name__)

CHUNK = 1 << 18
"""Bytes of a body that are read at a time."""
POOL = 64
"""Connections kept open; more threads than this open further ones for a single request each."""

OUT_OF_TIME = (9, 10)
"""OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED (openssl-verification-options(1))."""
NOT_IN_TIME = (
    "This machine's clock says {now:%Y-%m-%d %H:%M} UTC: set it if that is wrong; else whoever runs that server, or "
    "the proxy before it, has to renew the certificate."
)
NOT_VOUCHED_FOR = "Check `--api-base`, and whether a proxy answers in Stripe's place."


@dataclass(frozen=True, slots=True)
class Setback:
    """A try that brought nothing: the error it would end as, and whether and after how many seconds to try again.

    `maybe_done`: what was asked may have been carried out all the same.
    """

    error: Callable[[int], TidegateError]
    temporary: bool = True
    retry_after: float | None = None
    maybe_done: bool = True


class Transport(stripe.HTTPClient):
    """An SDK HTTP client that answers every request with an empty object and the `Answer` beside it (`Answered`).

    Thread-safe. Every final failure is an error of tidegate.errors, none the SDK's; its fact `maybe_done` tells whether
    a try of it may have been carried out although no answer said so.
    """

    name = "urllib3"

    def __init__(self, budget: Budget, patience: Patience, timeout: tuple[float, float]) -> None:
        super().__init__()  # pyright: ignore[reportUnknownMemberType]
        self._budget = budget
        self._patience = patience
        self._stop: threading.Event | None = None
        self._reads = Reads()
        connect, read = timeout
        self._pool = urllib3.PoolManager(
            maxsize=POOL,
            timeout=urllib3.Timeout(connect=connect, read=read),
            retries=False,
            cert_reqs="CERT_REQUIRED",
            ca_certs=stripe.ca_bundle_path,
        )
        self._pool.pool_classes_by_scheme = self._reads.pools()

    @contextmanager
    def heeding(self, stop: threading.Event) -> Generator[None]:
        """Within the block `stop` ends every wait: for the budget, before a request is tried again and, after
        `Patience.stop_seconds`, for an answer (not for that of a request that writes).
        """
        self._stop = stop
        try:
            with self._reads.ended_by(stop, self._patience.stop_seconds):
                yield
        finally:
            self._stop = None

    def request_with_retries(
        self,
        method: str,
        url: str,
        headers: Mapping[str, Any],
        post_data: Any = None,
        max_network_retries: int | None = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[str, int, Mapping[str, str]]:
        """Send until an answer is whole or patience ends; called by the SDK, whose own retries stay off."""
        sent = dict(headers)
        call: Call = sent.pop(CALL)
        parts = urlsplit(url)
        sent["Accept-Encoding"] = "identity" if parts.hostname in LOOPBACK else "gzip"
        endpoint = endpoint_of(method, parts.path)
        patience = self._patience
        tries = patience.interactive_tries if call.interactive else patience.tries
        spent = 0.0  # seconds, without the waiting for the budget
        maybe_done, first = False, 0.0  # since when it may have been
        try:
            for attempt in range(1, tries + 1):
                self._budget.acquire(endpoint, interactive=call.interactive, stop=self._stop)
                begun = patience.clock()
                outcome = self._try(method.upper(), url, sent, post_data, call)
                spent += patience.clock() - begun
                if isinstance(outcome, Answer):
                    if maybe_done and method.upper() != "GET":  # an answer told again shows what was then
                        outcome = replace(outcome, at=outcome.at - timedelta(seconds=ceil(begun - first)))
                    return "{}", 200, Answered(outcome)
                if outcome.maybe_done and not maybe_done:
                    maybe_done, first = True, begun
                if outcome.temporary and self._stop and self._stop.is_set():
                    raise WorkStopped(endpoint=endpoint)
                pause = failures.pause_before(attempt, outcome.retry_after, patience.chance())
                spent += pause
                if not outcome.temporary or attempt == tries or spent > patience.seconds:
                    raise outcome.error(attempt)
                logger.info("stripe.try_again in=%.1fs: %s", pause, outcome.error(attempt))
                wait_or_stop(pause, endpoint, patience.sleep, self._stop)
        except TidegateError as error:
            error.facts["maybe_done"] = maybe_done
            raise
        raise AssertionError("a request is tried at least once")

    def _try(self, method: str, url: str, headers: dict[str, str], body: str | None, call: Call) -> Answer | Setback:
        where = f"{method} {urlsplit(url).path}"
        begun = self._patience.clock()
        try:
            response = self._pool.urlopen(
                method, url, body=body, headers=headers, redirect=False, preload_content=False, retries=False
            )
        except HTTPError as problem:
            return _unreachable(where, problem)
        request_id = response.headers.get("Request-Id") or "none"
        try:
            content = self._body(response, begun)
        except (ProtocolError, DecodeError) as problem:
            return _unreadable(where, _said(problem), request_id)
        except HTTPError as problem:
            return _unreachable(where, problem)
        finally:
            response.release_conn()
        seconds = self._patience.clock() - begun
        if not 200 <= response.status < 300:
            return self._refused(method, url, response.status, response.headers, content)
        if problem := _broken(content, call):
            return _unreadable(where, problem, request_id)
        return Answer(content, self._body_time(response.headers.get("Date"), seconds), seconds, request_id)

    def _body(self, response: urllib3.BaseHTTPResponse, begun: float) -> bytes:
        """The whole body; a time-out is only ever one for the next byte, so what trickles is given up here."""
        chunks: list[bytes] = []
        while chunk := response.read1(CHUNK):
            chunks.append(chunk)
            if len(chunks) > 1 and self._patience.clock() - begun > self._patience.body_seconds:
                response.close()
                raise ProtocolError(f"it was not whole after {self._patience.body_seconds:.0f} s")
        return b"".join(chunks)

    def _refused(self, method: str, url: str, status: int, headers: Mapping[str, str], content: bytes) -> Setback:
        path = urlsplit(url).path
        answer = failures.refusal(status, headers, content, self._patience.now())
        self._budget.note(endpoint_of(method, path), status, answer.retry_after, answer.reason)
        return Setback(
            lambda tries: failures.error_of(answer, f"{method} {path}", tries),
            failures.is_temporary(answer),
            answer.retry_after,
            maybe_done=status >= 500 or status == 409,  # 409: an earlier try is under way
        )

    def _body_time(self, date: str | None, seconds: float) -> datetime:
        try:
            ended = parsedate_to_datetime(date) if date else self._patience.now()
        except ValueError:
            ended = self._patience.now()
        begun = ended.replace(tzinfo=ended.tzinfo or UTC) - timedelta(seconds=seconds)
        return begun.astimezone(UTC).replace(microsecond=0)

    def close(self) -> None:
        """Close the idle connections."""
        self._pool.clear()


def _broken(content: bytes, call: Call) -> str | None:
    """What is wrong with the body of a success, None when nothing is."""
    if content.rstrip()[-1:] != b"}":
        return "it is cut off" if content.lstrip()[:1] == b"{" else "it is not JSON"
    try:
        call.accept(content)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        return f"it is not JSON ({problem})"
    return None


def _unreadable(where: str, problem: str, request_id: str) -> Setback:
    return Setback(
        lambda tries: StripeBodyUnreadable(endpoint=where, problem=problem, tries=tries, request_id=request_id)
    )


def _unreachable(where: str, problem: HTTPError) -> Setback:
    if isinstance(problem, SSLError) and isinstance(refused := problem.args[0], ssl.SSLCertVerificationError):
        return _not_trusted(where, refused)
    said = _said(problem)
    return Setback(
        lambda tries: StripeUnreachable(endpoint=where, problem=said, tries=tries),
        temporary=not isinstance(problem, LocationValueError),  # an address that is none stays so
        maybe_done=not isinstance(problem, ConnectTimeoutError | LocationValueError),
    )


def _not_trusted(where: str, refused: ssl.SSLCertVerificationError) -> Setback:
    """A certificate stays as it is: nothing is tried again."""
    remedy = NOT_IN_TIME if refused.verify_code in OUT_OF_TIME else NOT_VOUCHED_FOR
    said = failures.without_secrets(refused.verify_message)
    facts = {"endpoint": where, "problem": said, "remedy": remedy.format(now=datetime.now(UTC))}
    return Setback(lambda tries: StripeCertificateRefused(**facts, tries=tries), temporary=False, maybe_done=False)


def _said(problem: HTTPError) -> str:
    said = str(problem.args[-1]) if isinstance(problem, ConnectTimeoutError) and problem.args else str(problem)
    if isinstance(problem, ProtocolError):
        first, last = str(problem.args[0]).rstrip("."), str(problem.args[-1])
        said = first if last in first else f"{first}: {last}"
    return failures.without_secrets(said) or type(problem).__name__
