"""What an answer, or none, says of a request: done, refused, unknown, or as if it had never been sent."""

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
from tidegate.outbound.push.seen import is_done
from tidegate.outbound.stored_json import stored

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
    assert failed(error, NOW, NOW).state == state


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
