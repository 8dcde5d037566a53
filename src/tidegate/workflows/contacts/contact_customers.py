"""Whose Stripe customers are meant: a contact's, or one customer alone."""

from sqlalchemy import Connection, text

from tidegate.connections.accounts import Account
from tidegate.contacts import directory

CUSTOMER = "cus_"


def customers_of(db: Connection, account: Account, who: str) -> list[str]:
    """The customers (Stripe ids) that a contact has in this account; of `cus_…` that one.

    Raises ContactUnknown, ContactAmbiguous.
    """
    if who.startswith(CUSTOMER):
        return [who]
    contact = directory.find(db, account.livemode, who)
    return list(db.scalars(_CUSTOMERS, {"connection": account.name, "contact": contact.key}))


_CUSTOMERS = text("""
select customer from tidegate.links where connection = :connection and contact = :contact order by customer""")
