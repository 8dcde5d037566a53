"""Destinations as people and tokens handle them: defined, listed, paused, resumed, replayed, removed."""

import base64
import secrets as randomness
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from sqlalchemy import Connection, text

from tidegate.catalog import journal
from tidegate.connections import accounts, sealing
from tidegate.delivery import backlog, queue, stored
from tidegate.delivery.destinations import KINDS
from tidegate.delivery.event_types import EVENT_TYPES
from tidegate.delivery.options import wants
from tidegate.delivery.signing import PREFIX
from tidegate.delivery.stored import HIDDEN, Stored, properties_of
from tidegate.errors import DeliveryUnknown, DestinationInvalid
from tidegate.lifecycle import routes
from tidegate.revenue.billing.event import NAMES
from tidegate.secrets import Vault
from tidegate.workflows.contacts import contact_properties
from tidegate.workflows.lifecycle import lifecycle_actions


def define(
    db: Connection,
    key: str,
    kind: str,
    said: Mapping[str, Any],
    by: str,
    *,
    variables: Mapping[str, Any],
    vault: Callable[[], Vault],
    managed_by: str = "",
) -> bool:
    """A destination under a key; one that is there is replaced. False: it was the same. See `stored.define`.

    Raises DestinationInvalid, also for a property or an event that is none, and ManagedByFile.
    """
    options = stored.checked(key, kind, said)
    _refuse_unknown_events(key, options.events or ())
    contact_properties.refuse_unknown(properties_of(kind, options))
    sealing.hold_key(db)
    changed = stored.define(
        db,
        key,
        kind,
        said,
        variables=variables,
        vault=vault,
        livemode=livemode_of(db, key, options.mode),
        managed_by=managed_by,
    )
    if changed:
        journal.note(db, by, "destination.defined", key, kind=kind)
    return changed


def _refuse_unknown_events(key: str, patterns: Sequence[str]) -> None:
    """Raises DestinationInvalid for a pattern that nothing that can happen fits: nobody would ever be sent it."""
    known = [*EVENT_TYPES, *(f"billing_event.recorded:{name}" for name in NAMES)]
    for one in patterns:
        if not any(wants((one,), *(said.partition(":")[::2])) for said in known):
            near = get_close_matches(one, known, 1)
            meant = f" Is it {near[0]}?" if near else ""
            raise DestinationInvalid(
                problem=f"{key}: there is no event {one!r}.{meant} Events: {', '.join(EVENT_TYPES)}"
            )


def livemode_of(db: Connection, key: str, mode: str | None) -> bool | None:
    """Whose contacts and events a destination is sent; None: those of live and of test data. Where nothing is said, of
    the only mode that there is. Raises DestinationInvalid where that is not certain.
    """
    if mode is not None:
        return None if mode == "both" else mode == "live"
    modes = {one.livemode for one in accounts.every(db)}
    if len(modes) != 1:
        there = "there are live and test data" if modes else "no account is connected yet"
        raise DestinationInvalid(problem=f"{key}: {there}, so say `mode`: live, test or both")
    return modes.pop()


def kept_secrets(destination: Stored, spec: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The secret options of a destination, for who changes the others: with their values, and, of those, the ones that
    come from variables, as they are written in its `spec`.
    """
    names = [name for name in sorted(type(destination.options).secret) if name in spec]
    values = {name: getattr(destination.options, name) for name in names}
    return values, {name: spec[name] for name in names if spec[name] != HIDDEN}


def made_secret() -> str:
    """A new secret to sign webhooks with."""
    return PREFIX + base64.b64encode(randomness.token_bytes(32)).decode()


def exists(db: Connection, key: str) -> bool:
    """Whether there is a destination of that key."""
    return any(one["key"] == key for one in stored.every(db))


def listing(db: Connection) -> list[dict[str, Any]]:
    """The destinations by key as `stored.every` shows them, with how much is `waiting` and `dead`, and their `state`:
    paused, failing or live.
    """
    counted = backlog.counts(db)
    return [_with_state(one, counted) for one in stored.every(db)]


def shown(db: Connection, key: str) -> dict[str, Any]:
    """One of `listing`. Raises DestinationUnknown."""
    return _with_state(stored.shown(db, key), backlog.counts(db))


def _with_state(one: dict[str, Any], counted: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    own = counted.get(one["key"], {})
    state = "paused" if one["paused_at"] else "failing" if one["failing_since"] else "live"
    return one | {"state": state, "waiting": own.get("waiting", 0), "dead": own.get("dead", 0)}


def pause(db: Connection, key: str, by: str) -> dict[str, Any]:
    """Sends it nothing from now on. Raises DestinationUnknown."""
    stored.pause(db, key, by)
    journal.note(db, by, "destination.paused", key)
    return shown(db, key)


def resume(db: Connection, key: str, by: str) -> dict[str, Any]:
    """Sends it what is due. Raises DestinationUnknown."""
    stored.resume(db, key)
    journal.note(db, by, "destination.resumed", key)
    return shown(db, key)


def replay(db: Connection, key: str, by: str, deliveries: Sequence[int] | None = None) -> int:
    """Lets dead letters be sent again, all of them where none is named; returns how many. Raises DestinationUnknown,
    and DeliveryUnknown for one that is no dead letter.
    """
    stored.shown(db, key)
    if deliveries is not None:
        known = set(db.scalars(_DEAD, {"key": key, "ids": list(deliveries)}))
        for one in deliveries:
            if one not in known:
                raise DeliveryUnknown(delivery=one, destination=key)
    count = queue.replay(db, key, deliveries)
    journal.note(db, by, "destination.replayed", key, deliveries=count)
    return count


def remove(db: Connection, key: str, by: str) -> dict[str, int]:
    """Removes a destination with what is due to it. Raises DestinationUnknown, ManagedByFile, LifecycleInvalid while
    alerts are routed to it, and ActionInvalid where actions send to it.
    """
    routes.require_unused(db, key)
    lifecycle_actions.refuse_in_use(db, key)
    found = stored.remove(db, key)
    journal.note(db, by, "destination.removed", key)
    return found


def kinds() -> list[str]:
    """The kinds that there are."""
    return sorted(KINDS)


_DEAD = text("""
select id from tidegate.deliveries
where destination = :key and state = 'dead' and id = any(cast(:ids as bigint[]))""")
