"""Moves overrides and usage from one contact to another that it was merged into, and back; usage adds up per bucket."""

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, text

from tidegate.entitlements import ledger


def hold(db: Connection, kept: int, other: int) -> None:
    """Until the transaction ends, nobody debits anything of either: ids that are about to lead elsewhere must not be
    looked up in between. Call it before anything is moved.
    """
    ledger.hold_contacts(db, (kept, other))


def merge(db: Connection, kept: int, other: int) -> dict[str, Any]:
    """Gives what `other` has (internal keys) to `kept`, and returns what giving it back needs.

    A debit whose idempotency key `kept` has used for the same feature loses its key: it cannot be asked for again.
    In the caller's transaction, after `hold`.
    """
    pair = {"kept": kept, "other": other}
    usage = [dict(row) for row in db.execute(_USAGE, pair).mappings()]
    before = {
        "usage": usage,
        "overrides": list(db.scalars(text("select id from tidegate.overrides where contact = :other"), pair)),
        "debits": [dict(row) for row in db.execute(_DEBITS, pair).mappings()],
    }
    db.execute(_ADD_USAGE, pair)
    for statement in _MOVE:
        db.execute(statement, pair)
    return json.loads(json.dumps(before, default=str))


def part(db: Connection, kept: int, other: int, before: Mapping[str, Any]) -> None:
    """Gives back to `other` what it had used, and its overrides; what was used since stays with `kept`.

    Where less is left of a bucket than it had used, it gets that. After `hold`.
    """
    pair = {"kept": kept, "other": other}
    rows = {"rows": json.dumps(before["usage"])}
    db.execute(_GIVE_USAGE, pair | rows)
    db.execute(_TAKE_USAGE, pair | rows)
    db.execute(_DROP_EMPTY, pair | rows)
    db.execute(_OVERRIDES_BACK, pair | {"ids": list(before["overrides"])})
    for statement in (_DEBITS_BACK, _FORWARDS_BACK):
        db.execute(statement, pair | {"rows": json.dumps(before["debits"])})


# `fresh`: the other contact had used nothing of that bucket in that period.
_USAGE = text("""
select u.feature, u.bucket, u.period_start, u.period_end, u.used, k.contact is null as fresh
from tidegate.usage u
left join tidegate.usage k on k.contact = :kept and k.feature = u.feature and k.bucket = u.bucket
  and k.period_start = u.period_start
where u.contact = :other""")

_DEBITS = text("""
select d.id, d.idempotency_key from tidegate.usage_debits d where d.contact = :other""")

_ADD_USAGE = text("""
insert into tidegate.usage as u (contact, feature, bucket, period_start, period_end, used)
select :kept, feature, bucket, period_start, period_end, used from tidegate.usage where contact = :other
on conflict (contact, feature, bucket, period_start) do update set used = u.used + excluded.used,
  period_end = greatest(u.period_end, excluded.period_end)""")

_MOVE = (
    text("delete from tidegate.usage where contact = :other"),
    text("update tidegate.overrides set contact = :kept where contact = :other"),
    text("""
update tidegate.usage_debits d set idempotency_key = null
where d.contact = :other and d.idempotency_key is not null and exists (
  select from tidegate.usage_debits k
  where k.contact = :kept and k.feature = d.feature and k.idempotency_key = d.idempotency_key)"""),
    text("update tidegate.usage_debits set contact = :kept where contact = :other"),
    text("update tidegate.meter_forwards set contact = :kept where contact = :other"),
)

_SAID = """jsonb_to_recordset(cast(:rows as jsonb))
  as said(feature text, bucket text, period_start timestamptz, period_end timestamptz, used bigint, fresh boolean)"""

_GIVE_USAGE = text(f"""
insert into tidegate.usage as u (contact, feature, bucket, period_start, period_end, used)
select :other, said.feature, said.bucket, said.period_start, said.period_end, least(said.used, coalesce(k.used, 0))
from {_SAID}
left join tidegate.usage k on k.contact = :kept and k.feature = said.feature and k.bucket = said.bucket
  and k.period_start = said.period_start
on conflict (contact, feature, bucket, period_start) do update set used = u.used + excluded.used""")

_TAKE_USAGE = text(f"""
update tidegate.usage k set used = k.used - least(said.used, k.used)
from {_SAID}
where k.contact = :kept and k.feature = said.feature and k.bucket = said.bucket
  and k.period_start = said.period_start""")

_DROP_EMPTY = text(f"""
delete from tidegate.usage k using {_SAID}
where said.fresh and k.used = 0 and k.contact = :kept and k.feature = said.feature and k.bucket = said.bucket
  and k.period_start = said.period_start""")

_OVERRIDES_BACK = text("""
update tidegate.overrides set contact = :other where contact = :kept and id = any(cast(:ids as bigint[]))""")

_DEBITS_BACK = text("""
update tidegate.usage_debits d set contact = :other, idempotency_key = said.idempotency_key
from jsonb_to_recordset(cast(:rows as jsonb)) as said(id bigint, idempotency_key text)
where d.id = said.id and d.contact = :kept""")

_FORWARDS_BACK = text("""
update tidegate.meter_forwards f set contact = :other
from jsonb_to_recordset(cast(:rows as jsonb)) as said(id bigint)
where f.debit = said.id and f.contact = :kept""")
