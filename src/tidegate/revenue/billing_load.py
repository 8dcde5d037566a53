"""Loads what billing events are worked out of, of many customers at once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import msgspec
from sqlalchemy import Connection, text

from tidegate.mirror.changed import KNOWN_UNTIL
from tidegate.revenue import editions
from tidegate.revenue.billing.given import (
    Attempt,
    Bill,
    Catalog,
    Dossier,
    Ended,
    Noted,
    Return,
    Returned,
    Stretch,
    Terms,
    Who,
)
from tidegate.store.driver import each, rows
from tidegate.stripe_api.shapes.base import Listing, Shape
from tidegate.stripe_api.shapes.credits import CreditNote, CreditNoteLine
from tidegate.stripe_api.shapes.decoders import decoder
from tidegate.stripe_api.shapes.invoices import Invoice
from tidegate.stripe_api.shapes.lines import InvoiceLine
from tidegate.stripe_api.shapes.payments import Charge, Dispute, Refund

_S = TypeVar("_S", bound=Shape)
_AROUND = 60
"""Seconds after an invoice counted an attempt in which its charge may be dated."""


def load(db: Connection, connection: str, customers: Sequence[str]) -> tuple[list[Dossier], Catalog]:
    """The dossiers of these customers (Stripe ids), those of test clocks and excluded ones left out, and the catalog
    that they name. Of a contact's customers all are given, or none.

    Their spans and movements are taken as they are stored: the ledger is kept first.
    """
    where = {"connection": connection, "ids": list(customers)}
    kept = editions.current(db, connection)
    units = {"by_contact": kept is None or kept.policy.unit == "contact"}
    bills = _bills(each(db, _TOLD, where))
    known = _Known()
    for what, owner, id_, data in rows(db, _KNOWN, where | units):
        known.take(what, owner, id_, data)
    return known.dossiers(bills), Catalog(known.prices, known.products, known.packages)


def _bills(told: Iterable[Any]) -> dict[str, list[Bill]]:
    """By customer what was billed; the rows of an invoice come before those of what happened to it."""
    found: dict[str, tuple[str, _Parts]] = {}
    for row in told:
        if row.what == "invoice":
            if (invoice := _decoded(Invoice, row.data)) is not None:
                found[row.id] = (row.owner, _Parts(invoice))
        elif row.invoice in found:
            found[row.invoice][1].take(row.what, row.data, row.told_at)
    by_customer: dict[str, list[Bill]] = {}
    for customer, parts in found.values():
        by_customer.setdefault(customer, []).append(parts.bill())
    return by_customer


@dataclass(slots=True)
class _Parts:
    """A bill while it is put together."""

    invoice: Invoice
    notes: list[Noted] = field(default_factory=list[Noted])
    refunds: list[Returned] = field(default_factory=list[Returned])
    disputes: list[Returned] = field(default_factory=list[Returned])
    failures: list[Charge] = field(default_factory=list[Charge])
    attempts: list[Attempt] = field(default_factory=list[Attempt])
    awaits: int | None = None

    def take(self, what: str, data: str, told_at: int) -> None:
        if what == "note" and (note := _decoded(CreditNote, data)) is not None:
            self.notes.append(Noted(note, _listed(CreditNoteLine, note.lines)))
        elif what == "refund" and (refund := _decoded(Refund, data)) is not None:
            self.refunds.append(Returned(refund, told_at))
        elif what == "dispute" and (dispute := _decoded(Dispute, data)) is not None:
            self.disputes.append(Returned(dispute, told_at))
        elif what == "failure" and (charge := _decoded(Charge, data)) is not None:
            self.failures.append(charge)
        elif what == "attempt":
            self.attempts.append(Attempt(int(data), told_at))
        elif what == "awaited":
            self.awaits = max(self.awaits or 0, told_at + _AROUND)

    def bill(self) -> Bill:
        lines = self.invoice.lines
        return Bill(
            self.invoice,
            _listed(InvoiceLine, lines),
            self.notes,
            self.refunds,
            self.disputes,
            self.failures,
            self.attempts,
            whole=lines is not None and not lines.has_more,
            awaits=self.awaits,
        )


class _WhoTold(NamedTuple):
    """A customer, as the query tells of it; `unit`: whose customer it is to the ledger."""

    unit: str
    email: str
    own_id: str
    subscribed: bool


@dataclass(slots=True)
class _Known:
    """What the second query tells, sorted."""

    who: dict[str, Who] = field(default_factory=dict[str, Who])
    units: dict[str, str] = field(default_factory=dict[str, str])
    ended: dict[str, list[Ended]] = field(default_factory=dict[str, list[Ended]])
    stretches: dict[str, list[Stretch]] = field(default_factory=dict[str, list[Stretch]])
    returns: dict[str, list[Return]] = field(default_factory=dict[str, list[Return]])
    prices: dict[str, Terms] = field(default_factory=dict[str, Terms])
    products: dict[str, str] = field(default_factory=dict[str, str])
    packages: dict[str, str] = field(default_factory=dict[str, str])

    def take(self, what: str, owner: str, id_: str, data: str) -> None:
        if what == "customer":
            self.units[id_], *told = _customer(data)
            self.who[id_] = Who(id_, *told)
        elif what == "ended":
            self.ended.setdefault(owner, []).append(_ended(data))
        elif what == "stretch":
            self.stretches.setdefault(owner, []).append(_stretch(data))
        elif what == "return":
            self.returns.setdefault(owner, []).append(_return(data))
        elif what == "price":
            self.prices[id_] = _terms(data)
        else:
            (self.products if what == "product" else self.packages)[id_] = data

    def dossiers(self, bills: Mapping[str, Sequence[Bill]]) -> list[Dossier]:
        paid: dict[str, int] = {}
        for id_, stretches in self.stretches.items():
            for one in stretches:
                if one.pays:
                    unit = self.units[id_]
                    paid[unit] = min(one.starts_at, paid.get(unit, one.starts_at))
        return [
            Dossier(
                who,
                bills=bills.get(id_, ()),
                ended=self.ended.get(id_, ()),
                stretches=self.stretches.get(id_, ()),
                returns=self.returns.get(id_, ()),
                contact_paid_since=paid.get(self.units[id_]),
            )
            for id_, who in self.who.items()
        ]


_customer = decoder(_WhoTold).decode
_ended = decoder(Ended).decode
_stretch = decoder(Stretch).decode
_return = decoder(Return).decode
_terms = decoder(Terms).decode


def _listed(shape: type[_S], listing: Listing | None) -> list[_S]:
    """The objects of a nested list; one that does not fit is left out, `tidegate.unreadable` names it."""
    decoded = (_decoded(shape, raw) for raw in (listing.data if listing else None) or ())
    return [one for one in decoded if one is not None]


def _decoded(shape: type[_S], raw: str | msgspec.Raw) -> _S | None:
    try:
        return decoder(shape).decode(raw)
    except msgspec.MsgspecError:
        return None


# A payment names its invoice by the payment intent, or by the charge alone; a charge itself did so until 2025. That an
# attempt was made without a charge, only a version of the invoice says, told by an event that counts one more; and that
# there is no charge, only everything that happened around that time: until all of it is known, the attempt is awaited.
_TOLD = text(rf"""
with mine as materialized (
  select i.id, i.customer, i.payment_intent, i.charge, i.data from stripe.invoices i
  where i.connection = :connection and i.customer = any(cast(:ids as text[])) and i.deleted_at is null
    and i.test_clock is null and i.status <> 'draft' and not exists (
      select from tidegate.exclusions x where x.connection = i.connection and x.customer = i.customer)),
paying as materialized (
  select p.invoice, p.payment_intent, p.charge from stripe.invoice_payments p join mine m on m.id = p.invoice
  where p.connection = :connection and p.deleted_at is null
  union select id, payment_intent, charge from mine),
charged as materialized (
  select c.id, coalesce(c.invoice, by_intent.invoice, by_charge.invoice) as invoice, c.status, c.created,
    c.data
  from stripe.charges c
  left join (select payment_intent, min(invoice) as invoice from paying where payment_intent is not null group by 1)
    by_intent on by_intent.payment_intent = c.payment_intent
  left join (select charge, min(invoice) as invoice from paying where charge is not null group by 1)
    by_charge on by_charge.charge = c.id
  where c.connection = :connection and c.customer = any(cast(:ids as text[])) and c.deleted_at is null)
select 'invoice' as what, customer as owner, id, id as invoice, data\:\:text as data, 0 as told_at, 0 as place from mine
union all
select 'note', '', n.id, n.invoice, n.data\:\:text, 0, 1 from stripe.credit_notes n join mine m on m.id = n.invoice
where n.connection = :connection and n.deleted_at is null
union all
select 'failure', '', id, invoice, data\:\:text, 0, 1 from charged where status = 'failed' and invoice is not null
union all
select 'refund', '', r.id, c.invoice, r.data\:\:text, extract(epoch from case when r.certainty = 0 then r.updated_at
  else r.created end)\:\:bigint, 1
from stripe.refunds r join charged c on c.id = r.charge
where r.connection = :connection and r.deleted_at is null and c.invoice is not null
union all
select 'dispute', '', d.id, c.invoice, d.data\:\:text, extract(epoch from case when d.certainty = 0 then d.updated_at
  else d.created end)\:\:bigint, 1
from stripe.disputes d join charged c on c.id = d.charge
where d.connection = :connection and d.deleted_at is null and c.invoice is not null
union all
select case when t.told_before or t.known then 'attempt' else 'awaited' end, '', t.invoice, t.invoice, t.number,
  extract(epoch from t.at)\:\:bigint, 1
from (
  select v.invoice, v.number, v.at,
    exists (select from tidegate.billing_events e
      where e.connection = :connection and e.id = 'failed:' || v.invoice || ':' || v.number) as told_before,
    coalesce(v.at + interval '{_AROUND} seconds' < {KNOWN_UNTIL}, false) and not exists (
      select from tidegate.refetches r where r.connection = :connection and r.resource = 'invoice_payments'
      and r.object_id = v.invoice and r.next_try_at < 'infinity') as known
  from (
    select v.object_id as invoice, v.data ->> 'attempt_count' as number, min(v.at) as at
    from tidegate.versions v join mine m on m.id = v.object_id
    where v.connection = :connection and v.resource = 'invoices' and v.previous ? 'attempt_count'
      and v.data ->> 'attempt_count' is not null and v.data ->> 'status' <> 'paid'
    group by 1, 2) v
  where not exists (
    select from charged c where c.invoice = v.invoice
    and c.created between v.at - interval '5 minutes' and v.at + interval '{_AROUND} seconds')) t
order by place, id""")

_KNOWN = text(r"""
with mine as materialized (
  select n.id, coalesce(c.email, '') as email from unnest(cast(:ids as text[])) as n(id)
  left join stripe.customers c on c.connection = :connection and c.id = n.id where c.test_clock is null
    and not exists (select from tidegate.exclusions x where x.connection = :connection and x.customer = n.id)),
known_by as materialized (
  select coalesce((select identity from tidegate.ledgers
    where connection = :connection and adopted_at is not null and retired_at is null), 'own_id') as identity),
subscribed as materialized (
  select s.id, s.customer, s.status, s.ended_at, coalesce(s.cancellation_feedback, s.cancellation_reason, '') as reason
  from stripe.subscriptions s join mine m on m.id = s.customer
  where s.connection = :connection and s.deleted_at is null and s.test_clock is null),
spanned as materialized (
  select s.* from tidegate.spans s join mine m on m.id = s.customer where s.connection = :connection),
back as materialized (
  select v.customer, v.subscription, v.currency, min(v.at) as at, sum(v.amount) as amount,
    json_agg(json_build_array(v.price, v.product) order by v.amount desc, v.item) as prices
  from tidegate.movements v join mine m on m.id = v.customer
  join tidegate.ledgers l on l.connection = v.connection and l.edition = v.edition
    and l.adopted_at is not null and l.retired_at is null
  where v.connection = :connection and v.superseded_at is null and v.kind = 'reactivation' and v.amount > 0
  group by v.customer, v.subscription, v.currency, v.moved_at),
named as materialized (
  select price, product from spanned
  union select l.price, l.product from stripe.invoice_lines l join stripe.invoices i
    on i.connection = l.connection and i.id = l.invoice
  join mine m on m.id = i.customer
  where i.connection = :connection and l.deleted_at is null and l.price is not null),
priced as materialized (
  select n.price, coalesce(p.product, n.product, '') as product, coalesce(p."interval", i."interval", '') as interval,
    coalesce(p.interval_count, i.interval_count, 1) as interval_count,
    coalesce(p.usage_type, i.usage_type, '') = 'metered' as metered
  from (select price, max(product) as product from named group by price) n
  left join stripe.prices p on p.connection = :connection and p.id = n.price
  left join lateral (
    select i."interval", i.interval_count, i.usage_type from stripe.subscription_items i
    where p.id is null and i.connection = :connection and i.price = n.price limit 1) i on true)
select 'customer' as what, m.id as owner, m.id, json_build_array(
    coalesce(case when :by_contact then 'contact:' || k.contact end, m.id), m.email,
    coalesce(case when c.made_by <> 'stripe' and b.identity = 'own_id' then c.external_id end, ''),
    b.identity <> 'customer' and s.customer is not null)\:\:text as data
from mine m cross join known_by b
left join tidegate.links k on k.connection = :connection and k.customer = m.id
left join tidegate.contacts c on c.key = k.contact
left join (select distinct customer from subscribed where status not in ('incomplete', 'incomplete_expired')) s
  on s.customer = m.id
union all
select 'ended', customer, id, json_build_array(id, extract(epoch from ended_at)\:\:bigint, reason)\:\:text
from subscribed where status = 'canceled' and ended_at is not null
union all
select 'stretch', customer, item, json_build_array(subscription, item, extract(epoch from starts_at)\:\:bigint,
  extract(epoch from ends_at)\:\:bigint, currency, mrr, listed, trial, price, product, quantity,
  provenance = 'inferred')\:\:text from spanned
union all
select 'return', customer, subscription, json_build_array(subscription, extract(epoch from at)\:\:bigint, currency,
  amount\:\:bigint, prices, exists (select from spanned s
    where s.subscription = back.subscription and s.ends_at = back.at and s.provenance = 'inferred'))\:\:text from back
union all
select 'price', '', price, json_build_array(interval, interval_count, metered, product)\:\:text from priced
union all
select 'product', '', p.id, coalesce(p.name, '') from stripe.products p
where p.connection = :connection and p.id in (select product from priced)
union all
select 'package', '', coalesce(m.price, m.product), case when p.kind = 'base' then p.key else '' end
from tidegate.mappings m left join tidegate.packages p on p.key = m.package
where m.connection = :connection and m.removed_at is null
  and (m.price in (select price from priced) or m.product in (select product from priced))""")
