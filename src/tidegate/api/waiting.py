"""Futures of an event loop that a thread answers: many at once, each loop woken once."""

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Any

Answer = tuple[asyncio.AbstractEventLoop, asyncio.Future[Any], Any]
"""The loop that waits, its future, and the outcome: an exception is raised there, anything else is the result."""


def resolve(answers: Iterable[Answer]) -> None:
    """Gives every future its outcome. A loop that is closed, and a future that nobody waits for, are passed over."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
    for loop, future, outcome in answers:
        by_loop.setdefault(loop, []).append((future, outcome))
    for loop, resolved in by_loop.items():
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits for the answer any more
            loop.call_soon_threadsafe(_answer, resolved)


def _answer(resolved: list[tuple[asyncio.Future[Any], Any]]) -> None:
    for future, outcome in resolved:
        if future.done():
            continue  # whoever asked hung up
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
