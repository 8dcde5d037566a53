"""Histories of one subscription, told in a line: versions, invoices and the spans that are derived of them."""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from tests.support.priced import Json, facts, item, price, subscription

from tidegate.pricing.policy import policy
from tidegate.revenue.history.evidence import Billed
from tidegate.revenue.history.history import history
from tidegate.revenue.history.observed import Version
from tidegate.revenue.history.span import Span
from tidegate.stripe_api.shapes.decoders import decoder
from tidegate.stripe_api.shapes.invoices import Invoice
from tidegate.stripe_api.shapes.lines import InvoiceLine

MILLION = 1_000_000


def day(text: str) -> int:
    """Epoch seconds of `2025-03-01` or `2025-03-01T10:00`, UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


BORN = day("2025-01-01")
FIRST_SEEN = day("2025-12-10")
AS_OF = day("2026-01-01")


def version(at: int, of: Json, source: str = "evt_1", **beside: Any) -> Version:
    """A version of a subscription that stood from an instant on."""
    return Version(at, facts(of, **beside), source)


def lived(*items: Json, **more: Any) -> Json:
    """A subscription that began at BORN."""
    return subscription(*items, created=BORN, start_date=BORN, **more)


def bill(id_: str, start: str, *lines: Json, reason: str = "subscription_cycle", **more: Any) -> list[Billed]:
    """An invoice with lines, created when its period begins."""
    told = {"id": id_, "object": "invoice", "created": day(start), "status": "paid", "billing_reason": reason}
    told |= {"collection_method": "charge_automatically", "status_transitions": {"paid_at": day(start)}} | more
    read = decoder(Invoice).decode(json.dumps(told))
    return [Billed(read, decoder(InvoiceLine).decode(json.dumps(one))) for one in lines]


def billed(
    start: str,
    end: str,
    amount: int,
    quantity: int | None = 1,
    *,
    of: str = "si_1",
    unit: int | None = None,
    **more: Any,
) -> Json:
    """A line of an invoice for a period. `unit`: what one costs, where the amount does not tell; `proration`,
    `discount_amounts` and what else a line has.
    """
    unit = unit if unit is not None else amount // quantity if quantity else None
    told: Json = {"id": "il_1", "object": "line_item", "amount": amount, "currency": "usd", "quantity": quantity}
    told |= {"subscription_item": of, "subscription": "sub_1", "proration": False}
    told["period"] = {"start": day(start), "end": day(end)}
    told["pricing"] = {"price_details": {"price": more.pop("price", "price_1"), "product": "prod_1"}}
    if unit is not None:
        told["pricing"]["unit_amount_decimal"] = str(unit)
    return told | more


def prorated(at: str, end: str, amount: int, quantity: int = 1, *, of: str = "si_1", unit: int, **more: Any) -> Json:
    """A proration: what one costs is `unit`."""
    return billed(at, end, amount, quantity, of=of, unit=unit, **more) | {"proration": True}


def spans(
    versions: Sequence[Version],
    bills: Iterable[list[Billed]] = (),
    at: int = AS_OF,
    stood: Version | None = None,
    **choices: str,
) -> list[Span]:
    """The spans of the history, at AS_OF."""
    chosen = policy("default", choices)
    all_ = [one for bill in bills for one in bill]
    return history(versions, all_, chosen, at, stood.facts if stood else None).spans


def told(found: Iterable[Span]) -> list[tuple[str, str, float]]:
    """Each span as (from, to, worth a month), amounts in minor units; an open end is empty."""
    return [(shown(one.starts_at), shown(one.ends_at), one.mrr / MILLION) for one in found]


def shown(at: int | None) -> str:
    """An instant as `day` takes it."""
    if at is None:
        return ""
    text = f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M}"
    return text.removesuffix("T00:00")


MONTHLY = item(price(1000, id="price_1"))
