"""What stood before an event: the object that it tells, with its `previous_attributes` put back. Pure."""

from collections.abc import Mapping
from typing import Any, cast

BY_KEY = frozenset({"metadata"})
"""Objects whose keys come and go: null stands there for a key that was not there."""


def before(after: Mapping[str, Any], previous: Mapping[str, Any]) -> dict[str, Any]:
    """The object as it stood before an event told `after` and `previous` (its `previous_attributes`).

    Stripe tells objects by their changed parts only, and everything else, lists included, by its whole old value
    (docs.stripe.com/api/events/object). What the event does not say was different is taken to have been the same.
    """
    return _restored(after, previous, by_key=False)


def _restored(after: Mapping[str, Any], previous: Mapping[str, Any], *, by_key: bool) -> dict[str, Any]:
    restored = dict(after)
    for name, old in previous.items():
        new = after.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            parts = (cast("dict[str, Any]", new), cast("dict[str, Any]", old))
            restored[name] = _restored(*parts, by_key=name in BY_KEY)
        elif old is None and by_key:
            restored.pop(name, None)
        else:
            restored[name] = old
    return restored
