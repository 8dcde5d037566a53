from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import stripe
from tests.support.writing import Account, account

from tidegate.sandbox.answers import Answer, Refusal, Request
from tidegate.sandbox.clock import Clock
from tidegate.sandbox.idempotency import KEPT_SECONDS, IdempotencyKeys, fingerprint, key_of

PATH = "/v1/customers"
FORM = {"email": "ada@example.com"}


@pytest.fixture(scope="module")
def own() -> Iterator[Account]:
    with account() as made:
        yield made


def count(own: Account) -> int:
    return own.sandbox.call(lambda: len(own.sandbox.state["customers"]))


def test_a_key_gives_the_same_outcome_twice(own: Account) -> None:
    before = count(own)
    first, second = (own.post(PATH, FORM, "twice") for _ in range(2))
    assert (first.status_code, first.content) == (second.status_code, second.content)
    assert count(own) == before + 1
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"
    assert second.headers["original-request"] == first.headers["request-id"] != second.headers["request-id"]
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"] == "twice"
    assert count(own) == before + 1


def test_without_a_key_each_request_counts(own: Account) -> None:
    before = count(own)
    assert [own.post(PATH, FORM).status_code for _ in range(2)] == [200, 200]
    assert count(own) == before + 2


def test_the_order_of_parameters_does_not_matter(own: Account) -> None:
    first = own.post(PATH, {"name": "Ada", "email": "a@example.com"}, "order")
    second = own.post(PATH, {"email": "a@example.com", "name": "Ada"}, "order")
    assert second.json() == first.json()


@pytest.mark.parametrize(
    ("path", "form", "wrong"),
    [(PATH, {"email": "other@example.com"}, "same parameters"), ("/v1/products", FORM, "same endpoint")],
)
def test_a_key_is_for_one_request(own: Account, path: str, form: dict[str, str], wrong: str) -> None:
    own.post(PATH, FORM, "taken")
    refused = own.post(path, form, "taken")
    error = refused.json()["error"]
    assert (refused.status_code, error["type"]) == (400, "idempotency_error")
    assert wrong in error["message"]


def test_a_refusal_in_the_work_is_kept(own: Account) -> None:
    path = "/v1/customers/cus_later"
    first, second = (own.post(path, {"name": "Ada"}, "refused") for _ in range(2))
    assert first.status_code == second.status_code == 404
    assert second.headers["idempotent-replayed"] == "true"


def test_what_is_turned_away_before_is_not_kept(own: Account) -> None:
    assert own.post(PATH, {"emial": "x"}, "unread").status_code == 400
    assert own.post(PATH, FORM, "unread").status_code == 200
    other = httpx.post(own.sandbox.url + PATH, data=FORM, headers={"Idempotency-Key": "early"})
    assert other.status_code == 401
    assert "idempotent-replayed" not in own.post(PATH, FORM, "early").headers


@pytest.mark.parametrize("key", ["", "k" * 256])
def test_keys_that_are_none(own: Account, key: str) -> None:
    refused = own.post(PATH, FORM, key)
    assert (refused.status_code, refused.json()["error"]["type"]) == (400, "idempotency_error")


def test_a_key_is_forgotten_after_a_day_of_the_sandbox(own: Account) -> None:
    first = own.post(PATH, FORM, "daily").json()
    own.sandbox.advance(KEPT_SECONDS - 1)
    assert own.post(PATH, FORM, "daily").json() == first
    own.sandbox.advance(1)
    assert own.post(PATH, FORM, "daily").json()["id"] != first["id"]


def test_events_name_the_request_that_caused_them(own: Account) -> None:
    own.events()
    made = own.post(PATH, FORM, "named")
    (event,) = own.events()
    assert event["request"] == {"id": made.headers["request-id"], "idempotency_key": "named"}
    own.v1.customers.delete(made.json()["id"])
    (event,) = own.events()
    assert event["request"]["id"].startswith("req_")
    assert event["request"]["idempotency_key"] is None


def test_what_the_clock_brings_was_no_request(own: Account) -> None:
    customer, price = own.customer(), own.price()
    own.subscription(customer, price)
    own.events()
    own.sandbox.advance(32 * 86_400)
    events = own.events()
    assert any(event["type"] == "invoice.paid" for event in events)
    assert all(event["request"] == {"id": None, "idempotency_key": None} for event in events)


def request(path: str = PATH) -> Request:
    return Request("POST", path, [], {})


def test_a_request_under_way_is_not_started_again() -> None:
    clock, seconds = Clock(0), 100.0
    keys = IdempotencyKeys(clock, lambda: seconds)
    outcome = keys.begin(("k", "test"), request(), b"1", b"req_1")
    with pytest.raises(Refusal) as refused:
        keys.replay(("k", "test"), request(), b"1")
    assert (refused.value.status, refused.value.code) == (409, "idempotency_key_in_use")
    outcome.answer = Answer(200, b"{}")
    keys.delay(outcome, 5)
    with pytest.raises(Refusal, match="in-progress"):
        keys.replay(("k", "test"), request(), b"1")
    seconds = 105.0
    told = keys.replay(("k", "test"), request(), b"1")
    assert told
    assert dict(told.headers)[b"Original-Request"] == b"req_1"
    assert keys.replay(("k", "live"), request(), b"1") is None
    assert keys.replay(("other", "test"), request(), b"1") is None


def test_a_slow_answer_holds_its_key() -> None:
    with account(latency=0.5) as own:
        with httpx.Client() as client:
            headers = {"Authorization": f"Bearer {own.sandbox.key}", "Idempotency-Key": "slow"}
            with pytest.raises(httpx.ReadTimeout):
                client.post(own.sandbox.url + PATH, data=FORM, headers=headers, timeout=0.1)
        held = own.post(PATH, FORM, "slow")
        assert (held.status_code, held.json()["error"]["code"]) == (409, "idempotency_key_in_use")
        assert count(own) == 1


def test_keys_are_told_apart_by_mode() -> None:
    asked = Request("POST", PATH, [], {b"idempotency-key": b"k"})
    assert key_of(asked, live=False) == ("k", "test")
    assert key_of(asked, live=True) == ("k", "live")
    assert key_of(request(), live=False) is None
    assert fingerprint({"a": "1", "b": "2"}) == fingerprint({"b": "2", "a": "1"}) != fingerprint({"a": "1"})


def test_an_error_of_the_server_may_come_before_or_after_the_work() -> None:
    with account(faults="500=1") as own:
        outcomes: set[tuple[bool, bool]] = set()
        for number in range(30):
            before = count(own)
            first, again = (own.post(PATH, FORM, f"key-{number}") for _ in range(2))
            assert first.status_code == again.status_code == 500
            outcomes.add((count(own) > before, count(own) > before + 1))
        assert outcomes == {(False, False), (True, False)}


def test_a_lost_answer_is_told_again() -> None:
    with account(faults="reset=0.4") as own:
        client = stripe.StripeClient(own.sandbox.key, base_addresses={"api": own.sandbox.url})
        for number in range(10):
            created(client, number)
        assert count(own) == 10


def created(client: Any, number: int) -> Any:
    """Creates a customer, its one key tried until an answer arrives."""
    for _ in range(60):
        try:
            return client.v1.customers.create(
                {"email": f"{number}@example.com"}, {"idempotency_key": f"once-{number}", "max_network_retries": 0}
            )
        except stripe.APIConnectionError:
            continue
    raise AssertionError("no answer in 60 tries")
