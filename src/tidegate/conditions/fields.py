"""What a condition can ask of a contact: its fields, of which kind each is, and where each stands in SQL."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

Kind = Literal["number", "text", "instant", "flag", "list", "any"]
"""`any`: a property of yours, whose kind is what a contact has there."""
PROPERTIES = "properties."
_WORDS: Mapping[Kind, str] = {
    "number": "a number",
    "text": "a text",
    "instant": "a point in time",
    "flag": "true or false",
    "list": "a list",
    "any": "of any kind",
}


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a contact.

    `sql`: its value, of tables that whoever asks joins (`contact_fields.CONTACTS`); null where it is unknown.
    `values`: all that a text or a list's entries can be; empty: anything. `path`: the keys of a property. `written`:
    one of all that can be, where there are too many to name: each is as long and in the same letters.
    """

    name: str
    kind: Kind
    sql: str
    says: str
    values: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    written: str = ""

    @property
    def is_a(self) -> str:
        """What it is, in words: `a number`."""
        return f"one of {', '.join(self.values)}" if self.values and self.kind == "text" else _WORDS[self.kind]


class Fields:
    """The fields that a condition may name."""

    def __init__(self, known: Iterable[Field]) -> None:
        self.known: Mapping[str, Field] = {field.name: field for field in known}

    def find(self, name: str) -> Field | None:
        """The field, or the property, of that name; None: there is none."""
        if name.startswith(PROPERTIES):
            path = tuple(name.removeprefix(PROPERTIES).split("."))
            return Field(name, "any", "c.properties", "a property of yours", path=path) if all(path) else None
        return self.known.get(name)

    def nearest(self, name: str) -> str:
        """Words that lead on from a name that is none."""
        near = get_close_matches(name, self.known, 1, 0.5)
        here = [known for known in self.known if known.rpartition(".")[2] == name or known.partition(".")[0] == name]
        if found := (here or near)[:1]:
            return f"there is no field {name!r}, perhaps {found[0]}"
        return f"there is no field {name!r}; a property of yours is called {PROPERTIES}{name}"
