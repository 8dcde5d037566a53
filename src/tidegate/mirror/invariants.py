"""What holds of the mirror whatever Stripe says; each invariant is a query for what breaks it."""

from sqlalchemy import Connection, text

from tidegate.mirror.tables import STRIPE_TABLES
from tidegate.stripe_api.resources import RESOURCES


def broken(db: Connection, account: str) -> dict[str, list[str]]:
    """The invariants by name, each with what breaks it.

    `versions`: every kept version (`invoices/in_1`) is one of an object that has a row, live or deleted.
    """
    kept = [name for name, resource in RESOURCES.items() if resource.versions]
    return {"versions": [one for name in kept for one in _versions_of_nothing(db, account, name)]}


def _versions_of_nothing(db: Connection, account: str, name: str) -> list[str]:
    ids = db.scalars(
        text(f"""
select distinct v.object_id from tidegate.versions v
where v.connection = :connection and v.resource = :resource and not exists (
  select from stripe.{STRIPE_TABLES[name].name} t where t.connection = v.connection and t.id = v.object_id)
order by 1"""),
        {"connection": account, "resource": name},
    )
    return [f"{name}/{id_}" for id_ in ids]
