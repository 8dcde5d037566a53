"""What applying tidegate.yaml does, step by step, as it is told."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from tidegate.errors import ConfigInvalid, UsageError
from tidegate.workflows.config.config_sections import Sections
from tidegate.workflows.contacts.contacts_settings import Matching

FILE = "file"
"""What `managed_by` says of everything that the file names."""


MATCHED = ("customers", "linked", "changed", "created", "queued", "queued_before")
"""What is told of matching under other contact settings (`contacts_settings.Effect`)."""


@dataclass(frozen=True, slots=True)
class Step:
    """One difference between file and hub: `action` is create, change, publish, manage, release or remove."""

    action: str
    section: str
    subject: str
    detail: dict[str, Any] = field(default_factory=dict[str, Any])

    def as_json(self) -> dict[str, Any]:
        """As the command answers it."""
        return {"action": self.action, "section": self.section, "subject": self.subject, **self.detail}


@dataclass(slots=True)
class Applying:
    """A file on its way into the hub. `matching`: customers under other contact settings, by connection; `later`: they
    are matched afterwards, and `matching` is what the preview found.
    """

    sections: Sections
    by: str
    prune: bool = False
    keep_holders: bool = True
    later: bool = False
    steps: list[Step] = field(default_factory=list[Step])
    matching: dict[str, Matching] = field(default_factory=dict[str, Matching])

    def note(self, action: str, section: str, subject: str, **detail: Any) -> None:
        """Remembers a difference."""
        self.steps.append(Step(action, section, subject, detail))

    @contextmanager
    def at(self, entry: BaseModel) -> Generator[None]:
        """What is wrong with an entry is told with its line."""
        try:
            yield
        except ConfigInvalid:
            raise
        except UsageError as error:
            raise self.sections.document.wrong(self.sections.of(entry), str(error)) from error

    @contextmanager
    def pruning(self) -> Generator[None]:
        """What cannot be removed is told with what holds it."""
        try:
            yield
        except UsageError as error:
            hint = " Whoever holds it keeps it: --all-holders takes it from them." if self.keep_holders else ""
            raise self.sections.document.wrong((), f"--prune: {error}{hint}") from error


def noted(applying: Applying, section: str, subject: str, known: Any, now: dict[str, Any], **detail: Any) -> None:
    """A step that tells what of an object changes; `manage`: only that the file manages it from now on."""
    if known is None:
        shown = {name: value for name, value in now.items() if name != "managed_by"}
        applying.note("create", section, subject, now=shown, **detail)
        return
    names = sorted({*now, *(known if section == "contacts" else ())} - {"managed_by"})
    other = [name for name in names if known.get(name) != now.get(name)]
    if not other:
        applying.note("manage", section, subject, **detail)
        return
    before = {name: known.get(name) for name in other}
    applying.note("change", section, subject, before=before, now={name: now.get(name) for name in other}, **detail)
