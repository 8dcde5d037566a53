"""The contact settings of a connection: what a customer stands for, and who may be matched or created."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, select, text
from sqlalchemy.dialects.postgresql import insert

from tidegate.contacts.addresses import plain
from tidegate.contacts.match import MatchPolicy
from tidegate.contacts.tables import contact_settings
from tidegate.errors import ContactSettingsInvalid
from tidegate.store.driver import rows

NAMES = ("kind", "metadata_keys", "create_missing", "only_subscribed", "free_mail", "grace_days", "paused_gives")
"""What may be set; the last two say when a subscription gives access (`entitlements.access.AccessPolicy`)."""
PAUSES = ("keep_as_draft", "void", "mark_uncollectible")


def stored(db: Connection, connection: str) -> dict[str, Any]:
    """What is set for a connection and differs from the defaults."""
    found = rows(db, _STORED, {"connection": connection})
    return dict(found[0].settings) if found else {}


def read(said: Mapping[str, Any]) -> MatchPolicy:
    """The policy that stored settings say."""
    default = MatchPolicy()
    return MatchPolicy(
        kind=said.get("kind", default.kind),
        metadata_keys=tuple(said.get("metadata_keys", default.metadata_keys)),
        create_missing=said.get("create_missing", default.create_missing),
        only_subscribed=said.get("only_subscribed", default.only_subscribed),
        free_mail=frozenset(said.get("free_mail", default.free_mail)),
    )


_STORED = text("select settings from tidegate.contact_settings where connection = :connection")


def managed_by(db: Connection, connection: str) -> str:
    """`file` where tidegate.yaml holds the settings; empty: nobody but who changes them."""
    found = db.scalar(select(contact_settings.c.managed_by).where(contact_settings.c.connection == connection))
    return found or ""


def in_full(said: Mapping[str, Any]) -> dict[str, Any]:
    """Stored settings with the defaults of all others, as JSON. `free_mail` are those beside the known providers."""
    matching = read(said)
    return {
        "kind": matching.kind,
        "metadata_keys": list(matching.metadata_keys),
        "create_missing": matching.create_missing,
        "only_subscribed": matching.only_subscribed,
        "free_mail": sorted(matching.free_mail),
        "grace_days": said.get("grace_days", 14),
        "paused_gives": list(said.get("paused_gives", ["keep_as_draft"])),
    }


def checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as they may be stored. Raises ContactSettingsInvalid with everything that is wrong."""
    wrong = [f"{name} is no setting; there are {', '.join(NAMES)}" for name in given if name not in NAMES]
    wrong += [f"{name} {problem}" for name, value in given.items() if (problem := _problem(name, value))]
    if wrong:
        raise ContactSettingsInvalid(problem="; ".join(wrong))
    said = {name: given[name] for name in NAMES if name in given}
    if "free_mail" in said:
        said["free_mail"] = sorted({plain(domain) for domain in said["free_mail"]})
    return said


def store(db: Connection, connection: str, settings: Mapping[str, Any], *, managed_by: str = "") -> None:
    """Keeps checked settings in place of those that were."""
    values = {"settings": dict(settings), "managed_by": managed_by}
    statement = insert(contact_settings).values(connection=connection, **values)
    db.execute(statement.on_conflict_do_update(index_elements=["connection"], set_=values))


def _problem(name: str, value: Any) -> str:
    if name == "kind":
        return "" if value in ("user", "account") else f"is {value!r}; use user or account"
    if name in {"create_missing", "only_subscribed"}:
        return "" if isinstance(value, bool) else "is true or false"
    if name in {"metadata_keys", "free_mail"}:
        return "" if _names(value) else "is a list of names"
    if name == "grace_days":
        whole = isinstance(value, int) and not isinstance(value, bool)
        return "" if whole and 0 <= value <= 365 else "is a number of days, 0 to 365"
    if name == "paused_gives":
        fine = isinstance(value, list) and all(one in PAUSES for one in value)  # pyright: ignore[reportUnknownVariableType]
        return "" if fine else f"is a list of {', '.join(PAUSES)}"
    return ""


def _names(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(one, str) and one.strip() for one in value)  # pyright: ignore[reportUnknownVariableType]
