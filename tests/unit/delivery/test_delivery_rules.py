"""What destinations are sent, how answers are judged, who may be reached: without a database or a network."""

import base64
import random
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError
from standardwebhooks import Webhook as Reference

from tidegate.delivery import addresses
from tidegate.delivery.destinations import KINDS
from tidegate.delivery.destinations.segment import LARGEST, LARGEST_CALL, Segment, SegmentOptions
from tidegate.delivery.http import SendFailed, written
from tidegate.delivery.judging import LONGEST, backoff, judged, retry_after
from tidegate.delivery.messages import Answer, Message, Person, Request
from tidegate.delivery.options import Options, pattern_of, wants
from tidegate.delivery.shapes import flat
from tidegate.delivery.signing import key_of, signed
from tidegate.errors import AddressRefused
from tidegate.workflows.contacts import contact_properties

AS_OF = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.mark.parametrize("name", ["rate", "retry_days", "pause_days"])
@pytest.mark.parametrize("said", [float("inf"), float("nan"), 0, 1e12])
def test_what_no_clock_can_count_is_refused(name: str, said: float) -> None:
    with pytest.raises(ValidationError):
        Options.model_validate({name: said})


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, "delivered"), (204, "delivered"), (301, "refused"), (400, "permanent"), (401, "refused"),
        (403, "temporary"), (404, "temporary"), (408, "temporary"), (410, "refused"), (413, "permanent"),
        (422, "permanent"), (429, "limited"), (500, "temporary"), (503, "temporary"),
    ],
)  # fmt: skip
def test_what_an_answer_means(status: int, kind: str) -> None:
    assert judged(Answer(status, {}, b""), AS_OF).kind == kind


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("", None), ("120", 120.0), ("Sun, 01 Mar 2026 12:01:00 GMT", 60.0), ("Sun, 01 Mar 2026 11:00:00 GMT", 0.0),
        ("soon", None), ("-5", None), ("99999999", 86_400.0),
    ],
)  # fmt: skip
def test_retry_after_is_a_number_or_a_date(given: str, seconds: float | None) -> None:
    assert retry_after(Answer(429, {"retry-after": given}, b""), AS_OF) == seconds


def test_backoff_doubles_with_jitter_up_to_an_hour() -> None:
    chance = random.Random(1)
    waits = [backoff(failures, chance) for failures in range(1, 40)]
    assert 4 <= waits[0] <= 6
    assert 8 <= waits[1] <= 12
    assert all(0.8 * LONGEST <= one <= 1.2 * LONGEST for one in waits[15:])
    assert len({round(one, 6) for one in waits[15:]}) > 20


def test_a_signature_is_the_one_of_the_specification() -> None:
    body = b'{"test": 2432232314}'
    headers = signed([SECRET], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    now = int(datetime.now(UTC).timestamp())
    assert Reference(SECRET).verify(body, dict(signed([SECRET], "evt_1", now, body))) == {"test": 2432232314}


@pytest.mark.parametrize("secret", ["abc", "whsec_***", "whsec_" + base64.b64encode(b"short").decode()])
def test_a_secret_that_is_none_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match=r"secret|base64"):
        key_of(secret)


@pytest.mark.parametrize(
    ("patterns", "type_", "name", "wanted"),
    [
        (["*"], "contact.linked", "", True),
        (["billing_event.*"], "billing_event.recorded", "Subscription Billed", True),
        (["billing_event.*"], "entitlement.changed", "", False),
        (["billing_event.recorded:Subscription *"], "billing_event.recorded", "Subscription Billed", True),
        (["billing_event.recorded:Payment Failed"], "billing_event.recorded", "Subscription Billed", False),
        (["sync.failed"], "sync_failed", "", False),
        ([], "contact.linked", "", False),
    ],
)
def test_which_events_are_wanted(patterns: list[str], type_: str, name: str, wanted: bool) -> None:
    assert wants(patterns, type_, name) is wanted
    assert bool(pattern_of(patterns)) is bool(patterns)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True), ("10.0.0.1", False), ("127.0.0.1", False), ("169.254.169.254", False), ("100.64.0.1", False),
        ("0.0.0.0", False), ("224.0.0.1", False), ("::1", False), ("fe80::1%eth0", False), ("fd00::1", False),
        ("2606:4700::1111", True), ("::ffff:10.0.0.1", False), ("::ffff:8.8.8.8", True), ("64:ff9b::a00:1", False),
        ("2002:7f00:1::", False),
    ],
)  # fmt: skip
def test_which_addresses_are_of_the_internet(address: str, public: bool) -> None:
    assert addresses.is_public(address) is public


def test_one_private_address_among_several_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(2, 1, 6, "", ("8.8.8.8", 443)), (2, 1, 6, "", ("10.1.2.3", 443))]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: found)
    with pytest.raises(AddressRefused, match=r"example\.com is at 10\.1\.2\.3, which is private"):
        addresses.checked("example.com", 443)
    assert len(addresses.checked("example.com", 443, allow_private=True)) == 2


def test_a_request_is_written_as_it_is_meant() -> None:
    place, data = written(Request("POST", "https://bücher.example:8443/a b?x=ü", {"X-A": "1"}, b"{}"))
    assert place == ("https", "xn--bcher-kva.example", 8443)
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /a%20b?x=%C3%BC HTTP/1.1"
    assert {"host: xn--bcher-kva.example:8443", "x-a: 1", "content-length: 2"} <= set(lines)
    assert body == b"{}"
    for wrong in (Request("GET", "file:///etc/passwd"), Request("GET", "https://x.com", {"X": "1\r\nHost: evil"})):
        with pytest.raises(SendFailed):
            written(wrong)


def test_segment_batches_hold_no_more_than_is_allowed() -> None:
    def message(number: int, size: int) -> Message:
        data: dict[str, Any] = {"text": "x" * size}
        return Message(number, f"evt_{number}", "sync.finished", AS_OF, data, Person("user", "u"))

    messages = [message(number, 20_000) for number in range(60)] + [message(99, LARGEST_CALL + 1), message(100, 10)]
    made = Segment().exchanges(SegmentOptions(write_key="k"), messages, AS_OF)
    assert [one for exchange in made for one in exchange.messages] == messages
    assert all(len(exchange.requests[0].body) <= LARGEST for exchange in made)
    assert [one.delivery for one in next(e for e in made if e.messages[0].delivery == 99).messages] == [99]


def test_nested_properties_are_made_flat() -> None:
    said = {"mrr": {"usd": 5, "eur": 1}, "packages": ["pro", "sso"], "renews_at": None}
    assert flat(said, "") == {"mrr_usd": 5, "mrr_eur": 1, "packages": "pro, sso", "renews_at": ""}


def test_each_kind_keeps_properties_that_there_are() -> None:
    for kind in KINDS.values():
        contact_properties.refuse_unknown(kind.properties)
        assert issubclass(kind.options, Options)
        assert kind.options.secret <= kind.options.model_fields.keys()
