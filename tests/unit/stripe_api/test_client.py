"""StripeApi against a server that misbehaves in every way: retries, final errors, and what goes over the wire."""

import gc
import gzip
import ipaddress
import json
import logging
import socket
import ssl
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import unquote

import msgspec
import pytest
import stripe
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from urllib3.connection import HTTPConnection

from tidegate.cli.run import failure_of
from tidegate.errors import (
    ConfigurationError,
    StripeAccessRevoked,
    StripeBodyUnreadable,
    StripeCertificateRefused,
    StripeCursorGone,
    StripeEndpointMissing,
    StripeKeyInvalid,
    StripeObjectMissing,
    StripePermissionMissing,
    StripeRateLimited,
    StripeRefused,
    StripeUnreachable,
    TidegateError,
    WorkStopped,
)
from tidegate.stripe_api.breaking_off import Reads
from tidegate.stripe_api.calls import Patience
from tidegate.stripe_api.client import SDK_WORDS, StripeApi
from tidegate.stripe_api.endpoints import object_path
from tidegate.stripe_api.limits import LocalBudget

SRC = str(Path(__file__).parents[3] / "src")
KEY = "sk_test_51Secret00000000000000"
DATE = "Sat, 21 Nov 2026 10:00:05 GMT"


class Hurry:
    """A clock that only sleeping moves: tests never wait."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.time = 1000.0

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds

    def patience(self, **changes: Any) -> Patience:
        now = datetime(2026, 11, 21, 10, 0, 0, 900_000, tzinfo=UTC)
        base = Patience(sleep=self.sleep, clock=lambda: self.time, now=lambda: now, chance=lambda: 0.5)
        return replace(base, **changes)


class Watched:
    """A budget without limits that remembers what it was asked and told."""

    def __init__(self) -> None:
        self.acquired: list[tuple[str, bool]] = []
        self.noted: list[tuple[str, int, float | None, str | None]] = []

    def acquire(self, endpoint: str, *, interactive: bool = False, stop: Event | None = None) -> float:
        self.acquired.append((endpoint, interactive))
        return 0.0

    def note(self, endpoint: str, status: int, retry_after: float | None = None, reason: str | None = None) -> None:
        self.noted.append((endpoint, status, retry_after, reason))


def api_at(stub: Any, hurry: Hurry | None = None, **options: Any) -> StripeApi:
    options.setdefault("patience", (hurry or Hurry()).patience())
    options.setdefault("budget", LocalBudget())
    return StripeApi(KEY, base=stub.base, **options)


def refused(code: str = "", message: str = "No.", param: str = "", kind: str = "invalid_request_error") -> bytes:
    return json.dumps({"error": {"type": kind, "code": code, "message": message, "param": param}}).encode()


def test_a_request_carries_what_the_sdk_gives_it(stub: Any) -> None:
    api_at(stub, stripe_account="acct_1").get(
        "/v1/invoices", {"limit": 100, "expand": ["data.a", "data.b"], "created": {"gte": 5, "lt": 9}, "status": None}
    )
    (seen,) = stub.seen
    assert (seen.method, unquote(seen.path)) == (
        "GET",
        "/v1/invoices?limit=100&expand[0]=data.a&expand[1]=data.b&created[gte]=5&created[lt]=9",
    )
    assert seen.headers["Authorization"] == f"Bearer {KEY}"
    assert seen.headers["Stripe-Version"] == stripe.api_version
    assert seen.headers["Stripe-Account"] == "acct_1"
    assert seen.headers["User-Agent"].startswith("Stripe/v1 PythonBindings/")
    assert seen.headers["Accept-Encoding"] == "identity", "on loopback compression only costs"
    assert "Tidegate-Call" not in seen.headers
    assert "telemetry_id" not in seen.headers["X-Stripe-Client-User-Agent"]


def test_the_body_comes_back_byte_for_byte(stub: Any, reply: Any) -> None:
    body = b' {"object" :"list","data":[ {"id":"x\\u0000"} ]}\n '
    stub.answer(reply(body=body, headers={"Date": DATE, "Request-Id": "req_7"}))
    answer = api_at(stub).get("/v1/customers")
    assert (answer.body, answer.request_id) == (body, "req_7")


def test_an_id_somebody_chose_arrives_as_it_is(stub: Any) -> None:
    api_at(stub).get(object_path("/v1/coupons", "50% off/ü"))
    assert unquote(stub.seen[0].path) == "/v1/coupons/50% off/ü"
    assert stub.seen[0].path.count("/") == 3


def test_a_remote_server_is_asked_to_compress(stub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidegate.stripe_api.transport.LOOPBACK", frozenset[str]())
    api_at(stub).get("/v1/customers")
    assert stub.seen[0].headers["Accept-Encoding"] == "gzip"


def test_a_certificate_that_nobody_vouches_for_is_refused_at_once(stub: Any, tmp_path: Path) -> None:
    stub.socket = certified(tmp_path).wrap_socket(stub.socket, server_side=True)
    with pytest.raises(StripeCertificateRefused) as raised:
        https_at(stub).get("/v1/customers")
    assert "self-signed certificate. Check `--api-base`" in str(raised.value)
    assert stub.seen == [], "the key has not been sent"


@pytest.mark.parametrize(
    ("begins", "ends", "told"), [(-90, -1, "certificate has expired"), (1, 90, "certificate is not yet valid")]
)
def test_a_certificate_out_of_its_time_is_told_with_the_clock_it_was_held_against(
    stub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begins: int, ends: int, told: str
) -> None:
    stub.socket = certified(tmp_path, begins, ends).wrap_socket(stub.socket, server_side=True)
    monkeypatch.setattr(stripe, "ca_bundle_path", str(tmp_path / "server.pem"))
    with pytest.raises(StripeCertificateRefused) as raised:
        https_at(stub).get("/v1/customers")
    failure = failure_of(raised.value)
    assert failure.code == 3
    assert f"at GET /v1/customers is not valid, so nothing was sent there: {told}. " in failure.message
    assert f"clock says {datetime.now(UTC):%Y-%m-%d} " in failure.message
    assert "renew the certificate" in failure.message
    assert stub.seen == [], "the key has not been sent"


def test_a_certificate_in_its_time_that_is_vouched_for_is_accepted(
    stub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub.socket = certified(tmp_path).wrap_socket(stub.socket, server_side=True)
    monkeypatch.setattr(stripe, "ca_bundle_path", str(tmp_path / "server.pem"))
    assert https_at(stub).get("/v1/customers").body == b'{"object": "list", "data": []}'


def https_at(stub: Any) -> StripeApi:
    base = stub.base.replace("http", "https")
    return StripeApi(KEY, base=base, budget=LocalBudget(), patience=Hurry().patience())


def certified(folder: Path, begins: int = -1, ends: int = 1) -> ssl.SSLContext:
    """The server side of TLS with a certificate that vouches for itself, `server.pem`: valid from and to so many days
    from now.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now + timedelta(days=begins))
        .not_valid_after(now + timedelta(days=ends))
        .add_extension(here, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "server.pem"
    pem.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + certificate.public_bytes(Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


def test_retries_are_logged_without_the_key(stub: Any, reply: Any, caplog: pytest.LogCaptureFixture) -> None:
    stub.answer(reply(status=503, body=refused(message=f"Down, {KEY}.")), reply())
    with caplog.at_level(logging.INFO, logger="tidegate"):
        api_at(stub).get("/v1/customers")
    (record,) = [record for record in caplog.records if record.name.startswith("tidegate")]
    assert "stripe.try_again in=0.2s: Stripe refused GET /v1/customers with 503" in record.getMessage()
    assert KEY not in caplog.text


def test_a_compressed_body_is_unpacked(stub: Any, reply: Any) -> None:
    stub.answer(reply(body=gzip.compress(b'{"a":1}'), headers={"Content-Encoding": "gzip"}))
    assert api_at(stub).get("/v1/customers").body == b'{"a":1}'


@pytest.mark.parametrize(
    ("date", "took", "at"),
    [
        (DATE, 0.0, datetime(2026, 11, 21, 10, 0, 5, tzinfo=UTC)),
        (DATE, 0.3, datetime(2026, 11, 21, 10, 0, 4, tzinfo=UTC)),
        (DATE, 2.0, datetime(2026, 11, 21, 10, 0, 3, tzinfo=UTC)),
        (DATE, 2.1, datetime(2026, 11, 21, 10, 0, 2, tzinfo=UTC)),
        ("", 0.5, datetime(2026, 11, 21, 10, 0, 0, tzinfo=UTC)),
        ("", 1.0, datetime(2026, 11, 21, 9, 59, 59, tzinfo=UTC)),
        ("yesterday", 0.0, datetime(2026, 11, 21, 10, 0, 0, tzinfo=UTC)),
    ],
)
def test_the_time_of_a_body_is_never_later_than_what_it_shows(
    stub: Any, reply: Any, date: str, took: float, at: datetime
) -> None:
    stub.answer(reply(headers={"Date": date}))
    ticks = iter([0.0, 0.0, took, took])
    answer = api_at(stub, patience=Hurry().patience(clock=lambda: next(ticks))).get("/v1/customers")
    assert (answer.at, answer.seconds) == (at, took)


BROKEN = {
    "500": {"status": 500, "body": refused(kind="api_error")},
    "503 that is no JSON": {"status": 503, "body": b"<html>upstream</html>"},
    "409 in progress": {"status": 409, "body": refused("idempotency_key_in_use", kind="idempotency_error")},
    "429": {"status": 429, "body": refused("rate_limit")},
    "400 to be tried again": {"status": 400, "body": refused(), "headers": {"Stripe-Should-Retry": "true"}},
    "reset": {"reset": True},
    "body cut off": {"body": b'{"data": [' + b"1," * 5000 + b"1]}", "sent": 400},
    "body cut off, length right": {"body": b'{"data": [1, 2'},
    "body mangled between its braces": {"body": b'{"id": "cus_1", "na}'},
    "page of a proxy": {"body": b"<html>Please log in</html>"},
    "empty": {"body": b""},
    "broken gzip": {"body": b'{"a":1}', "headers": {"Content-Encoding": "gzip"}},
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_what_may_pass_is_tried_again(stub: Any, reply: Any, broken: dict[str, Any]) -> None:
    stub.answer(reply(**broken), reply(**broken), reply())
    hurry = Hurry()
    assert api_at(stub, hurry).get("/v1/customers").body == reply().body
    assert len(stub.seen) == 3
    assert hurry.slept == [0.25, 0.5], "full jitter: chance times 0.5, 1, 2 … seconds"


@pytest.mark.parametrize(
    ("broken", "maybe_done"),
    [("500", True), ("409 in progress", True), ("429", False), ("reset", True), ("body cut off", True)],
)
def test_an_error_tells_whether_the_work_may_have_been_done(
    stub: Any, reply: Any, broken: str, maybe_done: bool
) -> None:
    stub.answer(*[reply(**BROKEN[broken])] * 2, *[reply(status=429, body=refused("rate_limit"))] * 6)
    with pytest.raises(StripeRateLimited) as caught:
        api_at(stub).post("/v1/customers")
    assert caught.value.facts["maybe_done"] is maybe_done, "also where the last try was only turned away"


def test_where_nobody_answers_at_all_nothing_was_done() -> None:
    with pytest.raises(StripeUnreachable) as caught:
        StripeApi(KEY, base="http://127.0.0.1:1", budget=Watched(), patience=Hurry().patience()).post("/v1/customers")
    assert caught.value.facts["maybe_done"] is False


@pytest.mark.parametrize(("method", "at"), [("post", 3), ("delete", 3), ("get", 4)])
def test_what_an_earlier_try_may_have_done_is_told_as_of_then(stub: Any, reply: Any, method: str, at: int) -> None:
    stub.answer(reply(reset=True), reply(status=429, body=refused("rate_limit")), reply(headers={"Date": DATE}))
    answer = getattr(api_at(stub), method)("/v1/customers/cus_1")
    assert answer.at == datetime(2026, 11, 21, 10, 0, 1 + at, tzinfo=UTC)


FINAL: dict[str, tuple[dict[str, Any], int, type[TidegateError], str]] = {
    "500": (
        {"status": 500, "body": refused(kind="api_error", message="Our fault.")},
        8,
        StripeRefused,
        "Stripe refused GET /v1/customers with 500 (api_error): Our fault. Request id: req_stub.",
    ),
    "500 Stripe says is final": (
        {"status": 500, "body": refused(kind="api_error"), "headers": {"Stripe-Should-Retry": "false"}},
        1,
        StripeRefused,
        "with 500",
    ),
    "proxy's 502": ({"status": 502, "body": b"<h1>Bad\n gateway</h1>"}, 8, StripeRefused, "<h1>Bad gateway</h1>"),
    "429": ({"status": 429, "body": refused("rate_limit", "Slow.")}, 8, StripeRateLimited, "(tried 8 times): Slow."),
    "401": (
        {"status": 401, "body": refused(message="Invalid API Key provided: sk_test_****0000")},
        1,
        StripeKeyInvalid,
        "run `tidegate connect` again with the same --name. Request id: req_stub.",
    ),
    "401 expired": ({"status": 401, "body": refused("api_key_expired")}, 1, StripeKeyInvalid, "401 at GET"),
    "403": (
        {"status": 403, "body": refused(message="The provided key 'rk_test_51abcdefgh' lacks rak_customer_read.")},
        1,
        StripePermissionMissing,
        "The provided key 'rk_test_…' lacks rak_customer_read. Give the restricted key that permission",
    ),
    "403 of Connect": (
        {"status": 403, "body": refused("account_invalid", "The key has no access to account 'acct_1'.")},
        1,
        StripeAccessRevoked,
        "Let its owner give it again",
    ),
    "404": (
        {"status": 404, "body": refused("resource_missing", "No such customer: 'cus_1'", "id")},
        1,
        StripeObjectMissing,
        "No such customer: 'cus_1'",
    ),
    "404 of a proxy": (
        {"status": 404, "body": b"<html>no such page</html>"},
        1,
        StripeEndpointMissing,
        "knows no such path: <html>no such page</html> Is the address",
    ),
    "cursor": (
        {"status": 400, "body": refused("resource_missing", "No such customer", "starting_after")},
        1,
        StripeCursorGone,
        "that the list at GET /v1/customers was to continue after no longer exists",
    ),
    "400": ({"status": 400, "body": refused("parameter_unknown")}, 1, StripeRefused, "with 400 (parameter_unknown)"),
    "301": ({"status": 301, "headers": {"Location": "/x"}, "body": b""}, 1, StripeRefused, "the answer was empty."),
    "reset": ({"reset": True}, 8, StripeUnreachable, "Stripe could not be reached at GET /v1/customers: "),
    "cut off": (
        {"body": b'{"data": [' + b"1," * 5000 + b"1]}", "sent": 400},
        8,
        StripeBodyUnreadable,
        "Connection broken: IncompleteRead(400 bytes read, 9613 more expected) (tried 8 times). Request id: req_stub.",
    ),
    "no JSON": ({"body": b"<html></html>"}, 8, StripeBodyUnreadable, "it is not JSON (tried 8 times)"),
}


@pytest.mark.parametrize(("answer", "tries", "error", "text"), FINAL.values(), ids=FINAL)
def test_a_final_failure_names_request_endpoint_and_remedy(
    stub: Any,
    reply: Any,
    caplog: pytest.LogCaptureFixture,
    answer: dict[str, Any],
    tries: int,
    error: type[TidegateError],
    text: str,
) -> None:
    stub.answer(reply(**answer))
    with caplog.at_level(logging.DEBUG), pytest.raises(TidegateError) as caught:
        api_at(stub).get("/v1/customers", {"email": "who@example.com"})
    assert type(caught.value) is error
    assert text in str(caught.value)
    assert len(stub.seen) == tries == caught.value.facts["tries"]
    assert KEY not in str(caught.value) + repr(caught.value) + caplog.text
    assert "who@example.com" not in str(caught.value)


def test_a_key_that_an_answer_repeats_is_shown_nowhere(stub: Any, reply: Any) -> None:
    stub.answer(reply(status=400, body=refused(message=f"You sent {KEY} and whsec_abc/def+123456==.")))
    with pytest.raises(StripeRefused) as caught:
        api_at(stub).get("/v1/customers")
    assert "You sent sk_test_… and whsec_…." in str(caught.value)
    assert KEY not in str(caught.value.facts)


def test_a_server_that_is_not_there(stub: Any) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        base = f"http://127.0.0.1:{unused.getsockname()[1]}"
        api = StripeApi(KEY, base=base, budget=LocalBudget(), patience=Hurry().patience())
        with pytest.raises(StripeUnreachable, match=r"GET /v1/account: 127.0.0.1:\d+: .*refused \(tried 8 times\)"):
            api.get("/v1/account")


def test_a_server_that_never_answers(stub: Any, reply: Any) -> None:
    stub.answer(reply(silent=True), reply(silent=True), reply())
    api = api_at(stub, timeout=(5, 0.05))
    assert api.get("/v1/account").body == reply().body
    stub.answer(reply(silent=True))
    with pytest.raises(StripeUnreachable, match=r"timed out"):
        api.get("/v1/account", interactive=True)


def test_retry_after_is_waited_out_and_told_to_the_budget(stub: Any, reply: Any) -> None:
    limited = {"Retry-After": "7", "Stripe-Rate-Limited-Reason": "endpoint-rate", "Stripe-Should-Retry": "false"}
    stub.answer(reply(status=429, body=refused("rate_limit"), headers=limited), reply())
    hurry, budget = Hurry(), Watched()
    api_at(stub, hurry, budget=budget).get("/v1/customers/cus_1")
    assert hurry.slept == [7.25]
    assert budget.noted == [("GET /v1/customers/:id", 429, 7.0, "endpoint-rate")]
    assert budget.acquired == [("GET /v1/customers/:id", False)] * 2, "every try draws from the budget"


def test_time_bounds_the_tries_as_well(stub: Any, reply: Any) -> None:
    stub.answer(reply(status=503, headers={"Retry-After": "40"}))
    hurry = Hurry()
    with pytest.raises(StripeRefused) as caught:
        api_at(stub, patience=hurry.patience(seconds=100.0)).get("/v1/customers")
    assert caught.value.facts["tries"] == 3
    assert sum(hurry.slept) < 100


def test_whoever_waits_is_told_sooner(stub: Any, reply: Any) -> None:
    stub.answer(reply(status=500))
    budget = Watched()
    with pytest.raises(StripeRefused):
        api_at(stub, budget=budget).get("/v1/customers", interactive=True)
    assert budget.acquired == [("GET /v1/customers", True)] * 3


def test_a_post_keeps_its_idempotency_key_across_retries(stub: Any, reply: Any) -> None:
    stub.answer(reply(status=500), reply(reset=True), reply(status=409), reply(body=b'{"id":"cus_1"}'))
    api = api_at(stub)
    answer = api.post("/v1/customers", {"metadata": {"a": "b"}, "items": [{"price": "p"}], "validate": True})
    assert answer.body == b'{"id":"cus_1"}'
    assert {seen.body for seen in stub.seen} == {"metadata[a]=b&items[0][price]=p&validate=true"}
    assert len(stub.seen) == 4
    assert len({seen.headers["Idempotency-Key"] for seen in stub.seen}) == 1
    api.post("/v1/customers")
    assert stub.seen[-1].headers["Idempotency-Key"] != stub.seen[0].headers["Idempotency-Key"]
    api.post("/v1/customers", idempotency_key="run-1-row-2")
    assert stub.seen[-1].headers["Idempotency-Key"] == "run-1-row-2"


def test_a_delete_whose_answer_was_lost_says_so_by_its_tries(stub: Any, reply: Any) -> None:
    stub.answer(reply(reset=True), reply(status=404, body=refused("resource_missing", param="id")))
    with pytest.raises(StripeObjectMissing) as caught:
        api_at(stub).delete("/v1/customers/cus_1")
    assert caught.value.facts["tries"] == 2
    assert [seen.method for seen in stub.seen] == ["DELETE"] * 2


@pytest.mark.parametrize("text", [rb"\ud83d", rb"\u0000", b"\xff"])
def test_odd_text_is_json_all_the_same(stub: Any, reply: Any, text: bytes) -> None:
    body = b'{"id": "cus_1", "name": "' + text + b'"}'
    stub.answer(reply(body=body))
    assert api_at(stub).get("/v1/customers/cus_1").body == body
    assert len(stub.seen) == 1


class Page(msgspec.Struct):
    data: list[int]


def test_a_body_the_decoder_finds_broken_is_read_again(stub: Any, reply: Any) -> None:
    stub.answer(reply(body=b'{"data": [1,, 2]}'), reply(body=b'{"data": [1, 2]}'))
    page, answer = api_at(stub).read("/v1/customers", msgspec.json.Decoder(Page).decode)
    assert page == Page([1, 2])
    assert answer.body == b'{"data": [1, 2]}'
    stub.answer(reply(body=b'{"data": [1,, 2]}'))
    with pytest.raises(StripeBodyUnreadable, match=r"it is not JSON \(.*\(tried 8 times\)"):
        api_at(stub).read("/v1/customers", msgspec.json.Decoder(Page).decode)


def test_json_of_another_shape_is_not_read_again(stub: Any, reply: Any) -> None:
    stub.answer(reply(body=b'{"data": "none"}'))
    with pytest.raises(msgspec.ValidationError):
        api_at(stub).read("/v1/customers", msgspec.json.Decoder(Page).decode)
    assert len(stub.seen) == 1


def test_connections_are_kept_and_closed(stub: Any) -> None:
    api = api_at(stub)
    for _ in range(3):
        api.get("/v1/customers")
    assert stub.accepted == 1
    api.close()
    gc.collect()  # an unclosed socket would warn, and warnings are errors
    api.get("/v1/customers")
    assert stub.accepted == 2


@pytest.mark.parametrize(
    ("key", "base", "problem"),
    [
        ("", None, "is empty"),
        ("sk_live_ü", None, "characters no key has"),
        ("sk_live_1 sk_live_2", None, "characters no key has"),
        (KEY, "127.0.0.1:12111", "is no address"),
        (KEY, "ftp://x", "is no address"),
        ("rk_live_1", "http://proxy.example.com", "not sent unencrypted to proxy.example.com"),
    ],
)
def test_what_cannot_work_is_refused_at_once(key: str, base: str | None, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        StripeApi(key, base=base, budget=LocalBudget())


def test_a_parameter_the_sdk_would_swallow_is_refused(stub: Any) -> None:
    with pytest.raises(ValueError, match="usage"):
        api_at(stub).post("/v1/setup_intents", {"usage": "off_session"})
    assert stub.seen == []


def test_the_words_the_sdk_keeps_are_known() -> None:
    assert {*stripe.RequestOptions.__annotations__, "base", "usage"} == SDK_WORDS


def test_knowing_the_client_does_not_load_the_sdk() -> None:
    seen = (
        "import sys; import tidegate.stripe_api.client; print({'stripe', 'urllib3', 'sqlalchemy'} & set(sys.modules))"
    )
    run = subprocess.run(
        [sys.executable, "-c", seen], capture_output=True, text=True, check=True, env={"PYTHONPATH": SRC}
    )
    assert run.stdout.strip() == "set()"


def test_the_address_of_stripe_itself_is_the_sdks() -> None:
    api = StripeApi("sk_live_1", budget=LocalBudget())
    assert "sk_live_1" not in repr(api) + repr(vars(api))
    assert api._sdk._requestor.base_addresses["api"] == stripe.DEFAULT_API_BASE


def test_a_body_that_trickles_is_given_up_though_every_byte_comes_in_time(stub: Any, reply: Any) -> None:
    stub.answer(reply(body=b'{"data": "' + b"x" * 40 + b'"}', trickle=0.01))
    patience = Hurry().patience(tries=2, body_seconds=0.1, clock=time.monotonic)
    with pytest.raises(StripeBodyUnreadable, match=r"not whole after 0 s.*tried 2 times"):
        api_at(stub, patience=patience).get("/v1/customers")


def test_who_is_asked_to_stop_waits_no_longer_to_try_again(stub: Any, reply: Any) -> None:
    stop = Event()

    class Stopping(Watched):
        def note(self, *told: Any) -> None:
            super().note(*told)
            stop.set()

    hurry = Hurry()
    api = api_at(stub, hurry, budget=Stopping())
    stub.answer(reply(status=429, headers={"Retry-After": "60"}), reply())
    with api.heeding(stop), pytest.raises(WorkStopped, match="waited for GET /v1/invoices"):
        api.get("/v1/invoices")
    assert len(stub.seen) == 1
    stub.answer(reply(status=429, headers={"Retry-After": "60"}), reply())
    before = hurry.time
    api.get("/v1/invoices")
    assert hurry.time >= before + 60, "without heeding it is waited out"


@pytest.mark.parametrize("answers", ["nothing", "half"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_who_is_asked_to_stop_waits_no_longer_for_an_answer(
    stub: Any, reply: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str, answers: str
) -> None:
    if scheme == "https":
        stub.socket = certified(tmp_path).wrap_socket(stub.socket, server_side=True)
        monkeypatch.setattr(stripe, "ca_bundle_path", str(tmp_path / "server.pem"))
    stop = Event()
    stub.answer(reply(silent=True) if answers == "nothing" else reply(trickle=60))
    base = stub.base.replace("http", scheme)
    api = StripeApi(KEY, base=base, budget=LocalBudget(), patience=Patience(stop_seconds=0))
    stub.when_seen = stop.set
    with api.heeding(stop), pytest.raises(WorkStopped, match="waited for GET /v1/invoices"):
        api.get("/v1/invoices")
    assert len(stub.seen) == 1


def test_a_request_that_writes_is_not_broken_off() -> None:
    reads, (ours, theirs) = Reads(), socket.socketpair()
    connection = HTTPConnection("stripe.example")
    connection.sock = ours
    with ours, theirs:
        reads.note(connection, "GET")
        reads.note(connection, "POST")
        reads.break_off()
        theirs.send(b"answer")
        assert ours.recv(10) == b"answer"
        reads.note(connection, "GET")
        reads.break_off()
        assert ours.recv(10) == b""
