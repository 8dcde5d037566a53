"""Sources, models and syncs changed by a person or a token: made so and written down in one transaction."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection

from tidegate.catalog import journal
from tidegate.connections import accounts
from tidegate.outbound import pausing, sharing, syncs
from tidegate.outbound.specs import Model, Sync
from tidegate.secrets import Vault
from tidegate.workflows.outbound import sources


def define_source(db: Connection, key: str, url: str, env: str, vault: Callable[[], Vault], by: str) -> dict[str, Any]:
    """A source, as `sources.define`."""
    known = sources.define(db, key, url, env, vault)
    journal.note(db, by, "source.defined", key, url=known["url"])
    return known


def define_model(db: Connection, model: Model, by: str) -> dict[str, Any]:
    """A model, as it is listed then. Raises SyncUnknown for its source, and ManagedByFile."""
    syncs.define_model(db, model)
    journal.note(db, by, "model.defined", model.key, **model.model_dump(mode="json", exclude={"key"}))
    return listed(db, "models", model.key)


def define_sync(db: Connection, sync: Sync, by: str) -> dict[str, Any]:
    """A sync of the connection that it names, or of the only one, with `alike` (`sharing.alike`). Raises the errors of
    `accounts.named` and `syncs.define_sync`.
    """
    connection = accounts.named(db, sync.connection).name
    syncs.define_sync(db, sync, connection)
    spec = sync.model_dump(mode="json", exclude_unset=True, exclude={"key"})
    journal.note(db, by, "sync.defined", sync.key, **spec | {"connection": connection})
    return listed(db, "syncs", sync.key) | {"alike": sharing.alike(db, sync, connection)}


def remove(db: Connection, table: str, key: str, by: str) -> None:
    """Removes one of `sources`, `models` or `syncs`, as `syncs.remove`."""
    syncs.remove(db, table, key)
    journal.note(db, by, f"{table.removesuffix('s')}.removed", key)


def pause(db: Connection, by: str) -> dict[str, Any]:
    """Lets nothing be sent, as `pausing.pause`."""
    found = pausing.pause(db, by)
    journal.note(db, by, "outbound.paused", pausing.WHAT)
    return found


def resume(db: Connection, by: str) -> bool:
    """Lets runs send again; false: nothing was paused."""
    was = pausing.resume(db)
    if was:
        journal.note(db, by, "outbound.resumed", pausing.WHAT)
    return was


def listed(db: Connection, table: str, key: str) -> dict[str, Any]:
    """One of `sources`, `models` or `syncs` as `syncs.every` lists it. Raises SyncUnknown."""
    read: dict[str, Callable[[Connection, str], Any]] = {
        "sources": syncs.source, "models": syncs.model, "syncs": syncs.sync,
    }  # fmt: skip
    read[table](db, key)
    return next(dict(one) for one in syncs.every(db, table) if one["key"] == key)
