"""What the forms of health and alert rules share: numbers as they are typed, and a change shown before it is done."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from starlette.responses import Response

from tidegate.errors import PreviewStale
from tidegate.web.pages import Visit
from tidegate.workflows.lifecycle import lifecycle_settings


def number(said: str) -> float | int | str:
    """A number that was typed; what is none stays text, for the check to refuse."""
    for read in (int, float):
        with suppress(ValueError):
            return read(said)
    return said


def changed(visit: Visit, page: Callable[..., Response], back: str, **said: Any) -> Response:
    """The page with what other settings would do; where its form came with the token of that, they hold."""
    engine, token, stale = visit.hub.engine, visit.form.get("token") or None, ""
    try:
        found = lifecycle_settings.change(engine, visit.actor, **said, token=token, only_preview=token is None)
        if token is not None:
            return visit.go(back)
    except PreviewStale as error:
        stale = str(error)
        found = lifecycle_settings.change(engine, visit.actor, **said, only_preview=True)
    return page(status=409 if stale else 200, effect=found.as_json(), stale=stale)
