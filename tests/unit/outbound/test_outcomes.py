"""What an answer, or none, says of a request: done, refused, unknown, or as if it had never been sent."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tidegate.errors import (
    StripeBodyUnreadable,
    StripeKeyInvalid,
    StripeObjectMissing,
    StripePermissionMissing,
    StripeRateLimited,
    StripeRefused,
    StripeUnreachable,
    TidegateError,
    WorkStopped,
)
from tidegate.outbound.push.outcomes import failed, succeeded
from tidegate.outbound.push.redaction import redacted
from tidegate.outbound.push.requests import Request
from tidegate.outbound.push.seen import is_done
from tidegate.outbound.stored_json import stored

REQUEST = Request("1", "create", 0, {}, "create", "post", "/v1/customers", {}, {}, None, "customers", 1, "key")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def refused(kind: type[TidegateError], status: int, *, maybe_done: bool, code: str = "x") -> TidegateError:
    return kind(
        status=status, code=code, endpoint="POST /v1/customers", message="no.", request_id="req_1", tries=1,
        maybe_done=maybe_done,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (refused(StripeRefused, 400, maybe_done=False), "refused"),
        (refused(StripeRefused, 402, maybe_done=False), "refused"),
        (refused(StripeObjectMissing, 404, maybe_done=False), "refused"),
        # An answer for good under the key of an earlier try is that try's answer.
        (refused(StripeRefused, 400, maybe_done=True), "refused"),
        (refused(StripeRefused, 500, maybe_done=True), "unknown"),
        (refused(StripeRefused, 409, maybe_done=True), "unknown"),
        # What is turned away at the door says nothing about an earlier try.
        (refused(StripeKeyInvalid, 401, maybe_done=False), "unsent"),
        (refused(StripeKeyInvalid, 401, maybe_done=True), "unknown"),
        (refused(StripePermissionMissing, 403, maybe_done=False), "refused"),
        (refused(StripePermissionMissing, 403, maybe_done=True), "unknown"),
        (refused(StripeRateLimited, 429, maybe_done=False), "unsent"),
        (refused(StripeRateLimited, 429, maybe_done=True), "unknown"),
        (refused(StripeRateLimited, 429, maybe_done=False, code="lock_timeout"), "refused"),
        (StripeUnreachable(endpoint="x", problem="reset", tries=8, maybe_done=True), "unknown"),
        (StripeUnreachable(endpoint="x", problem="no route", tries=8, maybe_done=False), "unsent"),
        (StripeBodyUnreadable(endpoint="x", problem="cut off", tries=8, request_id="r", maybe_done=True), "unknown"),
        (WorkStopped(endpoint="x", maybe_done=False), "unsent"),
        (WorkStopped(endpoint="x", maybe_done=True), "unknown"),
        (WorkStopped(endpoint="x"), "unknown"),
    ],
)
def test_what_an_error_says(error: TidegateError, state: str) -> None:
    assert failed(error, REQUEST, NOW, NOW).state == state


def refusal(message: str, params: dict[str, Any], path: str = "/v1/customers") -> str:
    """What is kept of Stripe's message to a request."""
    error = StripeRefused(status=400, code="x", endpoint="POST", message=message, request_id="r", tries=1)
    return failed(error, replace(REQUEST, params=params, path=path), NOW, NOW).error


def test_an_error_names_nobody() -> None:
    said = {"email": "Ann@acme.example", "name": "Ann O'Hara", "phone": "+1 (555) 10", "description": "Met at Expo",
            "address": {"line1": "1 Main St", "country": "DE"}, "metadata": {"tier": "pro"}}  # fmt: skip
    told = refusal(
        "Invalid email ann@acme.example of Ann O'Hara, +1 (555) 10, 1 Main St: Met at Expo. See bob@else.example; "
        "Annual pro DE card_1",
        said,
    )
    for value in ("acme", "O'Hara", "555", "Main", "Expo", "bob"):
        assert value not in told
    assert told.count("[redacted]") == 6
    assert "Annual pro DE card_1" in told


def test_what_is_sold_is_named_and_short_names_spoil_no_sentence() -> None:
    assert "Gold plan" in refusal("No such Gold plan", {"description": "Gold plan"}, "/v1/products")
    assert "No invoice" in refusal("No invoice", {"name": "No"})


def test_a_customers_description_is_kept_redacted() -> None:
    found = succeeded(
        b'{"id": "cus_1", "object": "customer", "description": "Met", "n": [{"description": "x"}]}', "", NOW, NOW
    )
    assert found.response == (
        '{"id":"cus_1","object":"customer","description":"[redacted]","n":[{"description":"[redacted]"}]}'
    )
    found = succeeded(b'{"id": "prod_1", "object": "product", "description": "Met"}', "", NOW, NOW)
    assert '"Met"' in (found.response or "")


def test_an_answer_is_kept_redacted_and_storable() -> None:
    found = succeeded(b'{"id": "cus_1", "email": "a@b.c", "note": "a\\u0000b"}', "req_1", NOW, NOW)
    assert (found.state, found.object_id) == ("done", "cus_1")
    assert found.response == r'{"id":"cus_1","email":"[redacted]","note":"a\ufffdb"}'


def test_an_answer_with_half_a_character_is_read_all_the_same() -> None:
    assert succeeded(b'{"id": "cus_1", "note": "\\ud83d"}', "req_1", NOW, NOW).object_id == "cus_1"


@pytest.mark.parametrize(
    ("value", "json"), [("a\0b", r'"a\ufffdb"'), ("a\\u0000b", r'"a\\u0000b"'), ("\\\0", r'"\\\ufffd"')]
)
def test_nul_is_taken_out_and_what_only_looks_like_it_stays(value: str, json: str) -> None:
    assert stored(value) == json


ITEM = {"id": "si_1", "price": {"id": "price_1"}, "quantity": 3}


@pytest.mark.parametrize(
    ("resource", "operation", "params", "live", "done"),
    [
        ("customers", "update", {"name": "A", "metadata": {"t": "1"}}, {"name": "A", "metadata": {"t": "1"}}, True),
        ("customers", "update", {"name": "A", "metadata": {"t": "1"}}, {"name": "A", "metadata": {}}, False),
        ("customers", "update", {"phone": ""}, {"phone": None}, True),
        ("customers", "update", {"phone": ""}, {"id": "cus_1", "deleted": True}, False),
        ("customers", "delete", {}, {"id": "cus_1", "deleted": True}, True),
        ("customers", "delete", {}, {"id": "cus_1"}, False),
        ("prices", "archive", {"active": False}, {"active": False}, True),
        ("prices", "archive", {"active": False}, {"active": True}, False),
        ("invoices", "void", {}, {"status": "void"}, True),
        ("invoices", "finalize", {}, {"status": "draft"}, False),
        ("invoices", "finalize", {}, {"status": "paid"}, True),
        ("subscriptions", "cancel", {"prorate": True}, {"status": "canceled"}, True),
        ("subscriptions", "end", {}, {"status": "active", "cancel_at_period_end": True}, True),
        ("subscriptions", "update", {"items": [{"id": "si_1", "quantity": 3}], "proration_behavior": "none"},
         {"items": {"data": [ITEM]}}, True),
        ("subscriptions", "update", {"items": [{"id": "si_1", "quantity": 4}]}, {"items": {"data": [ITEM]}}, False),
        ("subscriptions", "update", {"items": [{"id": "si_1", "deleted": True}]}, {"items": {"data": [ITEM]}}, False),
        ("subscriptions", "update", {"items": [{"id": "si_2", "deleted": True}]}, {"items": {"data": [ITEM]}}, True),
        ("subscriptions", "update", {"items": [{"price": "price_2"}]}, {"items": {"data": [ITEM]}}, False),
        ("subscriptions", "update", {"items": [{"price": "price_1"}]}, {"items": {"data": [ITEM]}}, True),
    ],
)  # fmt: skip
def test_what_an_object_shows_of_a_request(
    resource: str, operation: str, params: dict[str, Any], live: dict[str, Any], done: bool
) -> None:
    assert is_done(resource, operation, params, live) is done


def test_nothing_of_a_person_is_kept_wherever_it_stands() -> None:
    address = {"line1": "1 Main St", "city": "Springfield", "state": "Ohio", "country": "US"}
    settings = {
        "custom_fields": [{"name": "Owner", "value": "Ann"}],
        "footer": "Dear Ann",
        "default_payment_method": "pm",
    }
    said = {
        "address": address, "shipping": {"name": "Ann", "address": address}, "tax": {"ip_address": "10.1.2.3"},
        "invoice_settings": settings, "state": "open", "metadata": {"value": "pro"},
    }  # fmt: skip
    kept = redacted(said, "customers")
    mark = "[redacted]"
    assert kept == {
        "address": {"line1": mark, "city": mark, "state": mark, "country": "US"},
        "shipping": {"name": mark, "address": {"line1": mark, "city": mark, "state": mark, "country": "US"}},
        "tax": {"ip_address": mark},
        "invoice_settings": {
            "custom_fields": [{"name": mark, "value": mark}], "footer": mark, "default_payment_method": "pm",
        },
        "state": "open",
        "metadata": {"value": "pro"},
    }  # fmt: skip
    by_name = {
        "address.state": "Ohio", "shipping.address.state": "Ohio", "tax.ip_address": "10.1.2.3",
        "invoice_settings.footer": "Dear Ann", "invoice_settings.custom_fields": [{"value": "Ann"}],
    }  # fmt: skip
    assert "Ann" not in str(redacted(by_name, "customers"))
    assert not any(one in str(redacted(by_name, "customers")) for one in ("Ohio", "10.1.2.3"))
    told = refusal("Ohio, 10.1.2.3 and Dear Ann are open and pro", said)
    assert "(x): [redacted], [redacted] and [redacted] are open and pro" in told
