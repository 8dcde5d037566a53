"""What conditions may name: the packages, segments and stages that there are, by the field of theirs."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, text

from tidegate.conditions.contact_fields import CONTACT_FIELDS
from tidegate.conditions.parse import parse
from tidegate.lifecycle import rulebook
from tidegate.lifecycle.places import named_places
from tidegate.lifecycle.rules import named

There = dict[str, set[str]]
"""Keys, by the field whose values they are: `packages`, `stage`, `segments`."""


def there(db: Connection) -> There:
    """What there is."""
    rules = rulebook.load(db)
    return {
        "packages": set(db.scalars(text("select key from tidegate.packages"))),
        "stage": {one.key for one in rules.stages},
        "segments": {one.key for one in rules.segments},
    }


def allowed(db: Connection, before: Iterable[Any]) -> There:
    """What a condition that is written may name: what there is, and what the conditions named that stood there before,
    so that nobody has to change one for a package that was removed since.
    """
    found = there(db)
    for when in before:
        node, wrong = parse(when, CONTACT_FIELDS, named())
        for field, names in ({} if wrong else named_places(node)).items():
            found[field].update(names)
    return found
