"""`tidegate setup`: what is done is what was shown."""

from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest

from tidegate.workflows.contacts import contacts_settings
from tidegate.workflows.contacts.contacts_settings import Effect


def test_contacts_are_matched_by_the_token_of_what_was_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    def commit(_engine: Any, _account: Any, settings: Any, _by: str, token: str | None) -> Effect:
        given.append((settings, token))
        return Effect(done=True)

    monkeypatch.setattr(contacts_settings, "preview", lambda *_: Effect(token="shown"))
    monkeypatch.setattr(contacts_settings, "commit", commit)
    hub: Any = SimpleNamespace(engine=None)
    account: Any = None
    result: dict[str, Any] = {}
    match = import_module("tidegate.cli.setup")._match
    match(hub, account, ["kind=user"], True, result, lambda _line: None, True)
    assert given == [({"kind": "user"}, "shown")]
    assert result["contacts"]["done"]
