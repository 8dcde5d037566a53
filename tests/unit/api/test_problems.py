"""Errors as problem documents: whoever waits for another is told when to try again, and why."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, cast

import pytest
from fastapi import FastAPI
from psycopg.errors import LockNotAvailable
from sqlalchemy.exc import DBAPIError, OperationalError

from tidegate.api import problems
from tidegate.errors import ContactsBusy


def test_contacts_that_are_being_changed_are_tried_again_later() -> None:
    answer = problems.of_error(ContactsBusy())
    said = json.loads(bytes(answer.body))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert said["type"] == "urn:tidegate:problem:contacts-busy"
    assert "being changed by another command" in said["detail"]


def test_a_row_that_others_hold_is_no_database_that_is_away() -> None:
    app = FastAPI()
    problems.install(app, ())
    handler = cast("Callable[..., Any]", app.exception_handlers[DBAPIError])
    answer = handler(None, OperationalError("", {}, LockNotAvailable("canceling statement due to lock timeout")))
    answer = asyncio.run(answer) if asyncio.iscoroutine(answer) else answer
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert json.loads(bytes(answer.body))["type"] == "urn:tidegate:problem:database-busy"


def test_a_database_that_is_away_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    app = FastAPI()
    problems.install(app, ())
    handler = cast("Callable[..., Any]", app.exception_handlers[DBAPIError])
    answers = [handler(None, OperationalError("", {}, Exception("connection refused"))) for _ in range(500)]
    assert {one.status_code for one in answers} == {503}
    (record,) = caplog.records
    assert "connection refused" in record.message
    assert record.exc_info is None
