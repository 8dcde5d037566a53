"""Owners and the alert route as people and tokens change them: each change is one transaction, and written down."""

from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Engine

from tidegate.catalog import journal
from tidegate.contacts import directory
from tidegate.errors import ManagedByFile
from tidegate.lifecycle import digests, owners, routes
from tidegate.lifecycle.owners import Owner
from tidegate.lifecycle.routes import Digest, Route
from tidegate.workflows.contacts import contacts_edit
from tidegate.workflows.doorbell import Doorbell
from tidegate.workflows.lifecycle.lifecycle import now


def define_owner(engine: Engine, owner: Owner, by: str) -> dict[str, Any]:
    """Makes or replaces an owner; returns it with how it stands (`owners.listing`). Raises the errors of
    `owners.define`.
    """
    with engine.begin() as db:
        if owners.define(db, owner):
            journal.note(db, by, "owner.defined", owner.key)
        return next(one for one in owners.listing(db) if one["key"] == owner.key)


def remove_owner(engine: Engine, key: str, by: str) -> int:
    """Removes an owner; returns how many contacts still name it. Raises OwnerUnknown and ManagedByFile."""
    with engine.begin() as db:
        left = owners.remove(db, key)
        journal.note(db, by, "owner.removed", key)
        return left


def assign_owner(engine: Engine, livemode: bool, contact: str, owner: str, by: str) -> directory.Contact:
    """Gives a contact to an owner, by key, name or e-mail address; empty: to whoever's rule holds, else to nobody.

    Raises ContactUnknown, and OwnerUnknown for one that is not defined.
    """
    with engine.connect() as db:
        known = {
            said.casefold(): one.key for one in owners.every(db) for said in (one.key, one.name, one.email) if said
        }
        key = known.get(owner.casefold(), owner)
        if key:
            owners.require(db, key)
    return contacts_edit.change(engine, livemode, contact, {"owner": key}, by)


def send_digest(engine: Engine, key: str, by: str) -> dict[str, Any]:
    """Sends a recipient (an owner; empty: the default route) a digest of what happened since its last one, at once;
    returns it as `digests.listing` does. Raises OwnerUnknown, LifecycleInvalid.
    """
    with engine.begin() as db:
        if key:
            owners.require(db, key)
        made = digests.make_now(db, key, now(db))
        journal.note(db, by, "digest.sent", key or "default route", destination=made["destination"])
        Doorbell(engine).ring("deliver", connection="", db=db)
    return made


def set_digest(engine: Engine, key: str, digest: Digest, destination: str, by: str) -> None:
    """Says how often an owner (empty: the default route) is sent a digest, and by which destination. Raises
    OwnerUnknown, ManagedByFile, LifecycleInvalid, DestinationUnknown.
    """
    if not key:
        with engine.connect() as db:
            before = routes.load(db)
        put_route(engine, replace(before, digest=digest, destination=destination), by)
        return
    with engine.connect() as db:
        owner = owners.require(db, key)
    define_owner(engine, replace(owner, digest=digest, destination=destination), by)


def put_route(engine: Engine, route: Route, by: str) -> Route:
    """Makes this the default route. Raises ManagedByFile and the errors of `routes.put`."""
    with engine.begin() as db:
        refuse_managed_route(db)
        if route != routes.load(db):
            routes.put(db, route)
            journal.note(db, by, "alert_route.set", route.destination or "nowhere", digest=route.digest)
        return route


def refuse_managed_route(db: Connection) -> None:
    """Raises ManagedByFile."""
    if routes.managed_by(db):
        raise ManagedByFile(what="The alert route")
