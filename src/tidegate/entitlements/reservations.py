"""Settles what was reserved: confirmed with the amount that was really used, or released."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, text

from tidegate.catalog.contents import Catalog
from tidegate.entitlements import forwards, holders, ledger
from tidegate.entitlements.buckets import Debit
from tidegate.entitlements.forwards import Told, payer_of
from tidegate.entitlements.holders import Asked
from tidegate.entitlements.resolve import resolve
from tidegate.entitlements.usage import Answer, Order, standing_json
from tidegate.errors import UsageInvalid


def settle(
    db: Connection, asked: Asked, feature: str, number: int, catalog: Catalog, as_of: datetime, amount: int | None
) -> Answer:
    """Confirms a reservation of the contact, or of an account of its, with what was really used, at most what was
    reserved; None: all of it, 0: none, which releases it. Settling it again the same way answers the same.

    In the caller's transaction, after `ledger.hold` made others wait. Raises UsageInvalid.
    """
    row = _find(db, asked.keys, feature, number)
    debits = ledger.debits_of(row["debits"])
    reserved = sum(one.amount for one in debits)
    wanted = reserved if amount is None else amount
    if (settled := row["answer"].get("settled")) is not None:
        if settled == wanted:
            return dict(row["answer"])
        raise UsageInvalid(problem=f"the reservation {number} was settled with {settled} already.")
    if row["state"] != "reserved" or row["expires_at"] <= as_of:
        raise UsageInvalid(problem=f"the reservation {number} has expired and was given back; consume anew.")
    if not 0 <= wanted <= reserved:
        raise UsageInvalid(problem=f"the reservation {number} is of {reserved}, so at most that is confirmed.")
    contact = int(row["contact"])
    back = _last_of(debits, reserved - wanted)
    ledger.book(db, [(contact, feature, one) for one in back])
    holder = holders.load(db, [contact], as_of, [feature])[contact]
    after = resolve(holder, catalog, as_of, [feature])[0]
    answer = standing_json(Order(contact, feature, "confirm", reserved), back, after, after)
    answer |= {"reservation": number, "settled": wanted}
    state = "confirmed" if wanted else "released"
    db.execute(_SETTLE, {"id": number, "state": state, "amount": wanted, "answer": json.dumps(answer)})
    if meter := catalog.features[feature].meter:
        forwards.record(db, [Told(number, contact, feature, meter, wanted, payer_of(after, debits))])
    return answer


def _find(db: Connection, contacts: Sequence[int], feature: str, number: int) -> RowMapping:
    values: dict[str, Any] = {"id": number, "contacts": list(contacts), "feature": feature}
    row = db.execute(_RESERVATION, values).mappings().first() if 0 < number < 2**63 else None
    if row is None:
        raise UsageInvalid(problem=f"there is no reservation {number} of {feature} by this contact.")
    return row


def _last_of(debits: Sequence[Debit], back: int) -> list[Debit]:
    """The debits that take `back` units away again, the last first."""
    taken: list[Debit] = []
    for one in reversed(debits):
        if some := min(back, one.amount):
            taken.append(Debit(one.bucket, one.start, -some))
            back -= some
    return taken


_RESERVATION = text("""
select * from tidegate.usage_debits
where id = :id and contact = any(cast(:contacts as bigint[])) and feature = :feature and operation = 'reserve'""")

_SETTLE = text("""
update tidegate.usage_debits set state = :state, amount = :amount, answer = cast(:answer as jsonb) where id = :id""")
