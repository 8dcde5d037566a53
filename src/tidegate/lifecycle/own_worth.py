"""What properties of yours say of a contact's worth and renewal, where they stand for what Stripe does; as SQL."""

from sqlalchemy import Connection, text

from tidegate.conditions.compile import Compiled, value
from tidegate.conditions.contact_fields import CONTACT_FIELDS
from tidegate.conditions.fields import Kind
from tidegate.lifecycle import rulebook
from tidegate.money import exponent
from tidegate.revenue import editions

MRR = "coalesce(f.mrr, '{}')"
"""What a contact pays by Stripe, of its facts `f`: by currency, in millionths of a minor unit."""


def own(name: str, kind: Kind, into: Compiled) -> str:
    """A property of the contact `c`, null where it has no such value; empty: none is named."""
    found = CONTACT_FIELDS.find(name) if name else None
    return value(found, into, "own", kind=kind) if found is not None else ""


def mrr(db: Connection, into: Compiled) -> str:
    """What a contact pays, as `MRR` has it, or what its property says, in the base currency; without one in the only
    currency that there is. Where there are several and no base, a number says nothing of its currency.
    """
    said = own(rulebook.worth(db).mrr, "number", into)
    currency = (editions.base(db) or _only(db)) if said else ""
    if not currency:
        return MRR
    into.values |= {"own_currency": currency, "own_unit": 10 ** (6 + exponent(currency))}
    return f"""case when {said} is null then {MRR} when {said} = 0 then '{{}}'
  else jsonb_build_object(cast(:own_currency as text), round({said} * cast(:own_unit as bigint))) end"""


def renewing(db: Connection, into: Compiled) -> tuple[str, str]:
    """When a contact renews next, of its facts `f` or of its property; and whether it does, that is, whether it does
    not end before. A property says so itself.
    """
    goes_on = "(f.ends_at is null or f.ends_at > f.renews_at)"
    said = own(rulebook.worth(db).renews_at, "instant", into)
    return (
        (f"coalesce({said}, f.renews_at)", f"({said} is not null or {goes_on})") if said else ("f.renews_at", goes_on)
    )


def _only(db: Connection) -> str:
    found = list(db.scalars(_CURRENCIES))
    return found[0] if len(found) == 1 else ""


_CURRENCIES = text("select distinct currency from tidegate.mrr_days limit 2")
