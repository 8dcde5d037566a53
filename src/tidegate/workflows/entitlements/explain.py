"""Why a contact may use a feature or not: the whole path from the contact to it, with the names of all on the way."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Engine, text

from tidegate.catalog import snapshot
from tidegate.entitlements import answers, holders
from tidegate.errors import TidegateError
from tidegate.workflows.entitlements.entitlements import with_names


def entitlement(engine: Engine, livemode: bool, contact: str, feature: str) -> dict[str, Any]:
    """The answer of a check, with `paths`: for each of its `sources` the steps from the contact to the feature, each
    with `what` it is, its `id`, its `name` and what else tells of it.

    Raises ContactUnknown, ContactAmbiguous, CatalogUnknown.
    """
    with engine.connect() as db:
        standing = holders.ask(db, livemode, [contact], [feature])
        found = standing.asked[contact]
        if isinstance(found, TidegateError):
            raise found
        catalog = snapshot.at(db, standing.revision)
        said = with_names(db, answers.said(found, catalog, standing.as_of, feature))
        holder = said.get("via", said["contact"])
        key = next(k for k, one in zip(found.keys, found.holders, strict=True) if one.contact == holder)
        named = _names(db, key, feature)
        paths = [_path(db, source, named, feature) for source in said["sources"]]
    return said | {"as_of": standing.as_of.isoformat(), "paths": paths}


def _names(db: Connection, contact: int, feature: str) -> Mapping[str, Any]:
    return {**db.execute(_NAMES, {"contact": contact, "feature": feature}).mappings().one()}


def _path(db: Connection, source: Mapping[str, Any], named: Mapping[str, Any], feature: str) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = [{"what": "contact", "id": named["ref"], "name": named["name"]}]
    if "customer" in source:
        steps += _from_stripe(db, source, named["key"])
    elif "override" in source:
        gives = {"gives": source["gives"]} if "package" not in source else {}
        steps.append(
            {"what": "override", "id": source["override"], "name": "", "by": source["by"], "why": source["reason"]}
            | {"operation": source["operation"], "until": source["until"]}
            | gives
        )
    else:
        steps.append({"what": "default", "id": source["package"], "name": "", "why": source["reason"]})
    if "package" in source:
        name = db.scalar(text("select name from tidegate.packages where key = :key"), {"key": source["package"]})
        version = {"version": source["version"], "gives": source["gives"], "times": source["times"]}
        steps.append({"what": "package", "id": source["package"], "name": name or ""} | version)
    steps.append({"what": "feature", "id": feature, "name": named["feature_name"], "type": named["type"]})
    return steps


def _from_stripe(db: Connection, source: Mapping[str, Any], contact: int) -> list[dict[str, Any]]:
    names = ("connection", "customer", "subscription", "item", "price", "mapping")
    row = db.execute(_ON_THE_WAY, {name: source[name] for name in names} | {"contact": contact}).mappings().first()
    if row is None:
        return []
    target = {"package": source["package"]} if "package" in source else {"gives": source["gives"]}
    return [
        {"what": "link", "id": row["method"], "name": "", "evidence": row["evidence"]}
        | {"since": row["linked_at"].isoformat(), "by": row["linked_by"]},
        {"what": "customer", "id": source["customer"], "name": row["customer_name"], "email": row["email"]}
        | {"connection": source["connection"]},
        {"what": "subscription", "id": source["subscription"], "name": "", "status": row["status"]}
        | {"granted": source["granted"], "why": source["reason"], "until": source["until"]},
        {"what": "item", "id": source["item"], "name": "", "quantity": row["quantity"]},
        {"what": "price", "id": source["price"], "name": row["nickname"]}
        | {"product": row["product"], "product_name": row["product_name"]}
        | {name: row[name] for name in ("unit_amount", "currency", "interval", "interval_count")},
        {"what": "mapping", "id": source["mapping"], "name": "", "of": "price" if row["mapped_price"] else "product"}
        | {"per_quantity": row["per_quantity"], "kept": row["removed_at"] is not None, **target},
    ]


_NAMES = text("""
select c.key, c.kind || ':' || c.external_id as ref, c.name, f.name as feature_name, f.type
from tidegate.contacts c, tidegate.features f where c.key = :contact and f.key = :feature""")

_ON_THE_WAY = text("""
select l.method, l.evidence, l.linked_at, l.linked_by, coalesce(c.name, '') as customer_name,
  coalesce(c.email, '') as email, g.status, i.quantity, coalesce(p.data ->> 'nickname', '') as nickname,
  coalesce(i.product, p.product) as product, coalesce(o.name, '') as product_name, i.unit_amount, i.currency,
  i.interval, i.interval_count, m.price as mapped_price, m.per_quantity, m.removed_at
from tidegate.grants g
join tidegate.mappings m on m.id = g.mapping
left join tidegate.links l on l.connection = g.connection and l.customer = g.customer and l.contact = :contact
left join stripe.customers c on c.connection = g.connection and c.id = g.customer
left join stripe.subscription_items i
  on i.connection = g.connection and i.subscription = g.subscription and i.id = g.item
left join stripe.prices p on p.connection = g.connection and p.id = g.price
left join stripe.products o on o.connection = g.connection and o.id = coalesce(i.product, p.product)
where g.connection = :connection and g.subscription = :subscription and g.item = :item and g.customer = :customer
  and g.price = :price and g.mapping = :mapping""")
