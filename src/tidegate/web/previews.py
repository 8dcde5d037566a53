"""A change that is shown before it is done: who gains and loses what by it, and a button that does exactly that."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from tidegate.errors import PreviewStale
from tidegate.web.pages import Visit
from tidegate.workflows import previewing
from tidegate.workflows.previewing import Change

NAMED = 50
"""Contacts of each feature that a preview names; all are counted."""


@dataclass(frozen=True, slots=True)
class Asked:
    """How a preview is told: `title` says what is to be done, `act` stands on its button, `back` is where one comes
    from, and where one goes when it is done. `told` says in sentences what its result means; `then`: where one goes
    instead, by the result. `grave`: it takes something from somebody, or cannot be undone. `other`: what may be asked
    for instead, as it is called, and the fields that ask for it.
    """

    title: str
    act: str
    back: str
    told: Callable[[Any], Sequence[str]] = lambda _result: ()
    then: Callable[[Any], str] | None = None
    grave: bool = False
    other: tuple[str, dict[str, str]] | None = None


def previewed(visit: Visit, change: Change, asked: Asked) -> Response:
    """The preview of a change; where its form came with the token of one, the change is done.

    What the change raises is the caller's to say; of a preview that is stale the page shows the new one and says so.
    """
    stale = ""
    if token := visit.form.get("token", ""):
        try:
            done = previewing.commit(visit.hub.engine, change, token)
        except PreviewStale as error:
            stale = str(error)
        else:
            return visit.go(asked.then(done.result) if asked.then is not None else asked.back)
    found = previewing.preview(visit.hub.engine, change)
    facts = found.as_json(NAMED)
    return confirming(visit, asked, found.token, told=asked.told(found.result), stale=stale, effect=facts)


def confirming(
    visit: Visit,
    asked: Asked,
    token: str,
    *,
    told: Sequence[str] = (),
    stale: str = "",
    effect: dict[str, Any] | None = None,
    counted: Sequence[tuple[str, int]] = (),
) -> Response:
    """The page that asks whether to do something: the same form again, with the token. `effect`: a preview as JSON;
    `counted`: what it concerns, and how many of each.
    """
    sent = {name: value for name, value in visit.form.items() if name != "token"}
    facts = {"told": told, "stale": stale, "effect": effect, "counted": counted, "sent": sent, "action": visit.here}
    return visit.render("preview.html", 409 if stale else 200, asked=asked, token=token, **facts)
