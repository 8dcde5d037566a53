"""Reads what starting, changing or ending a contact's subscription depends on: its customers, what runs, the prices."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, text

from tidegate.catalog import names, packages
from tidegate.connections import accounts
from tidegate.connections.accounts import Account
from tidegate.contacts import policy as policies
from tidegate.contacts.directory import Contact
from tidegate.errors import SaleInvalid, SaleRefused
from tidegate.mirror import lookups
from tidegate.outbound.selling.facts import LIVE, Customer, Facts, Item, Price, Subscription
from tidegate.outbound.selling.wish import Wish

MARK = "tidegate_contact"
"""The key of a customer's metadata that names the contact it was made for, where no other key does."""


def facts(db: Connection, account: Account, contact: Contact, wish: Wish) -> Facts:
    """The facts as the mirror and the catalog have them. Raises CatalogUnknown, SaleInvalid, SaleRefused."""
    package = packages.one(db, wish.package)
    if packages.newest_version(db, wish.package) is None:
        raise SaleInvalid(
            problem=f"The package {wish.package} has no published version, so it would give nothing: "
            f"`tidegate packages publish {wish.package}` first."
        )
    who = {"c": account.name, "contact": contact.key}
    customers = customers_of(db, account, contact)
    if lookups.forgotten(db, account.name, [one.id for one in customers]):
        raise SaleRefused(problem=f"{contact.ref} was forgotten: nothing is sent of it any more.")
    if not customers and accounts.named(db, account.name).complete_as_of is None:
        raise SaleRefused(
            problem=f"{account.name} was never imported whole, so {contact.ref} may be a customer already that nobody "
            f"here knows of, and would be made a second time. Import first: `tidegate import --name {account.name}`."
        )
    prices = db.execute(_PRICES, {"c": account.name, "package": wish.package}).mappings()
    return Facts(
        contact.ref,
        wish.package,
        package["kind"],
        tuple(_price(row) for row in prices),
        customers,
        _subscriptions(db, who),
        making_of(db, account, contact),
        _promotion_code(db, account, wish.promotion_code),
    )


def customers_of(db: Connection, account: Account, contact: Contact) -> tuple[Customer, ...]:
    """The contact's customers that are not deleted, the oldest first."""
    rows = db.execute(_CUSTOMERS, {"c": account.name, "contact": contact.key})
    return tuple(Customer(row.id, row.name or "", row.email or "", row.currency) for row in rows)


def making_of(db: Connection, account: Account, contact: Contact) -> dict[str, Any]:
    """The parameters of a customer that is made for a contact: matching finds the contact by them, where it can."""
    policy = policies.read(policies.stored(db, account.name))
    key = policy.metadata_keys[0] if policy.metadata_keys and policy.kind == contact.kind else MARK
    said = contact.external_id if key != MARK else contact.ref
    made: dict[str, Any] = {"metadata": {key: said}}
    made |= {"name": contact.name} if contact.name else {}
    return made | ({"email": contact.email} if contact.email else {})


def known_by(making: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """By what a customer that is made so would be found (`lookups.find`): the way, the metadata key, and the value."""
    found = [("metadata", str(key), str(value)) for key, value in making["metadata"].items()]
    return [*found, *([("email", "", str(making["email"]))] if "email" in making else [])]


def waiting_for(db: Connection, account: Account, known: Sequence[tuple[str, str, str]]) -> list[str]:
    """The customers that would be found by one of these and whose contacts are still to be found out."""
    email = [value.lower() for way, _, value in known if way == "email"]
    said = {key: value for way, key, value in known if way == "metadata"}
    values = {"c": account.name, "email": email, "names": list(said), "values": list(said.values())}
    return list(db.scalars(_WAITING, values))


def _subscriptions(db: Connection, who: dict[str, Any]) -> tuple[Subscription, ...]:
    rows = db.execute(_SUBSCRIPTIONS, who | {"live": list(LIVE)}).mappings().all()
    found: dict[str, list[RowMapping]] = {}
    for row in rows:
        found.setdefault(row["subscription"], []).append(row)
    return tuple(
        Subscription(
            id_,
            items[0]["customer"],
            items[0]["status"],
            items[0]["subscription_currency"] or items[0]["currency"],
            tuple(Item(row["item"], _price(row), row["quantity"], row["package"], row["kind"]) for row in items),
            bool(items[0]["cancel_at_period_end"]),
            items[0]["ends_at"],
            items[0]["period_end"],
            items[0]["schedule"],
            bool(items[0]["pending"]),
        )
        for id_, items in found.items()
    )


def _price(row: RowMapping) -> Price:
    return Price(
        row["id"],
        row["product"] or "",
        bool(row["active"]),
        row["currency"] or "",
        row["unit_amount"],
        row["interval"],
        row["interval_count"] or 1,
        row["usage_type"] == "metered",
        names.called(row["product_name"], row["nickname"], None, None),
    )


def _promotion_code(db: Connection, account: Account, said: str | None) -> str | None:
    """The id of a promotion code that is named by its id or by what the buyer types. Raises SaleInvalid."""
    if said is None:
        return None
    ids = list(db.scalars(_CODE, {"c": account.name, "said": said}))
    if not ids:
        raise SaleInvalid(problem=f"The mirror has no active promotion code {said}; a new one comes in with "
                          "`tidegate catch-up`.")  # fmt: skip
    if len(ids) > 1:
        raise SaleInvalid(problem=f"Several promotion codes are called {said}: say which by its id, {', '.join(ids)}.")
    return ids[0]


_CUSTOMERS = text("""
select c.id, c.name, c.email, c.data ->> 'currency' as currency
from tidegate.links l join stripe.customers c on c.connection = l.connection and c.id = l.customer
where l.connection = :c and l.contact = :contact and c.deleted_at is null order by c.created, c.id""")

_WAITING = text("""
select distinct c.id from tidegate.changed_customers w cross join lateral unnest(w.customers) as q(id)
join stripe.customers c on c.connection = w.connection and c.id = q.id and c.deleted_at is null
where w.connection = :c and (lower(c.email) = any(cast(:email as text[])) or exists (
  select from unnest(cast(:names as text[]), cast(:values as text[])) as said(name, value)
  where c.data -> 'metadata' ->> said.name = said.value))
order by 1""")

# With a customer its subscriptions end at once, whenever the mirror hears of it.
# What an item gives is what its grant says: mappings that a subscription keeps count there, too.
_SUBSCRIPTIONS = text("""
select s.id as subscription, s.customer, s.status, s.currency as subscription_currency, s.cancel_at_period_end,
  coalesce(s.cancel_at, case when s.cancel_at_period_end then e.period_end end) as ends_at, e.period_end, s.schedule,
  s.data ->> 'pending_update' is not null as pending, i.id as item, i.quantity, g.package, k.kind,
  i.price as id, i.product, p.active, coalesce(p.currency, i.currency) as currency,
  coalesce(p.unit_amount, i.unit_amount) as unit_amount, coalesce(p.interval, i.interval) as interval,
  coalesce(p.interval_count, i.interval_count) as interval_count, coalesce(p.usage_type, i.usage_type) as usage_type,
  p.nickname, o.name as product_name
from tidegate.links l
join stripe.customers c on c.connection = l.connection and c.id = l.customer and c.deleted_at is null
join stripe.subscriptions s on s.connection = l.connection and s.customer = l.customer and s.deleted_at is null
join stripe.subscription_items i on i.connection = s.connection and i.subscription = s.id and i.deleted_at is null
cross join lateral (
  select coalesce(max(n.current_period_end), s.current_period_end) as period_end from stripe.subscription_items n
  where n.connection = s.connection and n.subscription = s.id and n.deleted_at is null) e
left join stripe.prices p on p.connection = i.connection and p.id = i.price
left join stripe.products o on o.connection = i.connection and o.id = i.product
left join tidegate.grants g on g.connection = i.connection and g.subscription = s.id and g.item = i.id
left join tidegate.packages k on k.key = g.package
where l.connection = :c and l.contact = :contact and s.status = any(cast(:live as text[]))
order by s.created, s.id, coalesce(k.kind = 'base', false) desc, i.created, i.id""")

_PRICES = text("""
select p.id, p.product, p.active and coalesce(o.active, true) as active, p.currency, p.unit_amount, p.interval,
  p.interval_count, p.usage_type, p.nickname, o.name as product_name
from stripe.prices p
left join stripe.products o on o.connection = p.connection and o.id = p.product
left join tidegate.mappings m on m.connection = p.connection and m.price = p.id and m.removed_at is null
left join tidegate.mappings n on n.connection = p.connection and n.product = p.product and n.removed_at is null
where p.connection = :c and p.deleted_at is null and p.interval is not null
  and case when m.id is not null then m.package else n.package end = :package
order by p.currency, p.unit_amount, p.id""")

_CODE = text("""
select id from stripe.promotion_codes
where connection = :c and deleted_at is null and coalesce(active, true) and (id = :said or code = :said) order by id""")
