"""Contacts with all that their entitlements are read from: grants, overrides, usage."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from tidegate.catalog.terms import stored_terms
from tidegate.entitlements.access import AccessPolicy, Standing
from tidegate.entitlements.periods import Interval
from tidegate.entitlements.resolve import Grant, Holder, Override


def load(
    db: Connection, contacts: Sequence[int], as_of: datetime, features: Sequence[str] | None = None
) -> dict[int, Holder]:
    """The holders of these internal keys. `features`: whose usage is loaded; None: of all.

    What was reserved, and by `as_of` neither confirmed nor released in time, is not used.
    """
    if not contacts:
        return {}
    only = list(features) if features is not None else None
    values = {"contacts": list(contacts), "features": only, "as_of": as_of}
    policies: dict[str, AccessPolicy] = {}
    for row in db.execute(_POLICIES):
        policies[row.connection] = AccessPolicy.read(row.settings)
    grants: dict[int, list[Grant]] = defaultdict(list)
    for row in db.execute(_GRANTS, values):
        grants[row.contact].append(_grant(row, policies.get(row.connection, _DEFAULT)))
    overrides: dict[int, list[Override]] = defaultdict(list)
    for row in db.execute(_OVERRIDES, values):
        overrides[row.contact].append(_override(row))
    used: dict[int, dict[tuple[str, str, datetime], int]] = defaultdict(dict)
    for row in db.execute(_USED, values):
        used[row.contact][row.feature, row.bucket, row.period_start] = row.used
    return {
        row.key: Holder(
            f"{row.kind}:{row.external_id}",
            row.created_at,
            grants.get(row.key, ()),
            overrides.get(row.key, ()),
            used.get(row.key, {}),
        )
        for row in db.execute(_CONTACTS, values)
    }


_DEFAULT = AccessPolicy()


def _grant(row: Any, policy: AccessPolicy) -> Grant:
    return Grant(
        row.connection,
        row.customer,
        row.subscription,
        row.item,
        row.price,
        row.mapping,
        Standing(row.status, row.ends_at, row.grace_until, row.pause, row.resumes_at),
        row.since,
        row.anchor,
        row.package,
        row.version,
        row.feature,
        stored_terms(row.terms) if row.terms is not None else None,
        row.times,
        Interval(row.interval, row.interval_count or 1) if row.interval else None,
        policy,
    )


def _override(row: Any) -> Override:
    return Override(
        row.id,
        row.since,
        row.by,
        row.reason,
        row.operation,
        row.package,
        row.version,
        row.feature,
        stored_terms(row.terms) if row.terms is not None else None,
        row.expires_at,
        row.priority,
    )


_CONTACTS = text("""
select key, kind, external_id, created_at from tidegate.contacts where key = any(cast(:contacts as bigint[]))""")

_POLICIES = text("select connection, settings from tidegate.contact_settings")

_GRANTS = text("""
select * from tidegate.grants where contact = any(cast(:contacts as bigint[]))
order by contact, since, connection, subscription, item""")

_OVERRIDES = text("""
select * from tidegate.overrides where contact = any(cast(:contacts as bigint[])) and revoked_at is null
order by contact, since, id""")

_USED = text("""
select contact, feature, bucket, period_start, used - coalesce((
  select sum((one ->> 'amount')::bigint) from tidegate.usage_debits r, jsonb_array_elements(r.debits) one
  where r.contact = u.contact and r.feature = u.feature and r.state = 'reserved' and r.expires_at <= :as_of
    and one ->> 'bucket' = u.bucket and (one ->> 'start')::timestamptz = u.period_start), 0)::bigint as used
from tidegate.usage u where contact = any(cast(:contacts as bigint[]))
  and (cast(:features as text[]) is null or feature = any(cast(:features as text[])))""")
