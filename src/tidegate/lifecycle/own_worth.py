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


LARGEST = 10**12
"""What a contact can be worth at most, in whole units: a larger number, or one below 0, is a slip and says nothing."""


def own(name: str, kind: Kind, into: Compiled) -> str:
    """A property of the contact `c`, null where it has no such value; empty: none is named."""
    found = CONTACT_FIELDS.find(name) if name else None
    said = value(found, into, "own", kind=kind) if found is not None else ""
    return f"case when {said} between 0 and {LARGEST} then {said} end" if said and kind == "number" else said


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


def renews_at(db: Connection, into: Compiled) -> str:
    """When a contact renews next, by its property, else by its facts `f`, which know of each of its subscriptions
    whether that lives to see it.
    """
    said = own(rulebook.worth(db).renews_at, "instant", into)
    return f"coalesce({said}, f.renews_at)" if said else "f.renews_at"


def _only(db: Connection) -> str:
    found = list(db.scalars(_CURRENCIES))
    return found[0] if len(found) == 1 else ""


_CURRENCIES = text("select distinct currency from tidegate.mrr_days limit 2")
