"""Discounts, which Stripe lists nowhere: they are read where they stand whole in what they are taken off."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple, Optional

import msgspec
from sqlalchemy import Connection, text

from tidegate.mirror.arrivals import Arrival, Lost, arrive
from tidegate.mirror.decide import Certainty
from tidegate.stripe_api.resources.discounts import DISCOUNTS
from tidegate.stripe_api.resources.resource import Resource

HOLDERS = frozenset({"customers", "subscriptions", "invoices", "invoiceitems"})
"""Resources whose lists show discounts whole, in themselves or in their children. All stand before the discounts in the
registry: whoever stores both does it in one order.
"""

_WHOLE = re.compile(r'"object":\s*"discount"')


class Inside(NamedTuple):
    """Discounts that stood in other objects as versions of their own, and what of them could not be read."""

    arrivals: list[Arrival]
    lost: list[Lost]

    @property
    def digests(self) -> set[int]:
        """What tells these versions from others in this process, for `known`."""
        return {hash((one.id, one.body)) for one in self.arrivals}


class _Holder(msgspec.Struct):
    discount: msgspec.Raw = msgspec.Raw(b"null")
    discounts: list[msgspec.Raw] | None = None
    items: Optional["_List"] = None
    lines: Optional["_List"] = None


class _List(msgspec.Struct):
    data: list[_Holder] | None = None


_decode = msgspec.json.Decoder(_Holder).decode


def inside(resource: Resource, arrivals: Sequence[Arrival], known: Collection[int] = ()) -> Inside:
    """The discounts that stand whole in objects that were read; each version once, and without those `known`."""
    found = Inside([], [])
    if resource.name not in HOLDERS:
        return found
    seen = set(known)
    for holder in arrivals:
        if holder.deleted or not _likely(holder.body):
            continue
        here = Inside(*arrive(DISCOUNTS, _bodies(holder.body), holder.at, Certainty.READ))
        for one in here.arrivals:
            if (digest := hash((one.id, one.body))) not in seen:
                seen.add(digest)
                found.arrivals.append(one)
        found.lost.extend(here.lost)
    return found


def taken_away(
    connection: Connection, account: str, stage: str, batch: int, arrivals: Mapping[str, Arrival], ids: Sequence[str]
) -> Inside:
    """Deletions of the discounts that stored customers have and versions of them that are staged have no more, each at
    the time of that version: customers keep no versions, and their past would lose what they had.
    """
    found = Inside([], [])
    given = {"connection": account, "batch": batch, "ids": list(ids)}
    for row in connection.execute(text(_TAKEN_AWAY.format(stage=stage)), given):
        holder = arrivals[row.id]
        here = Inside(*arrive(DISCOUNTS, [row.discount.encode()], holder.at, holder.certainty))
        for one in here.arrivals:
            one.deleted = True
            found.arrivals.append(one)
        found.lost.extend(here.lost)
    return found


_TAKEN_AWAY = """
select t.id, cast(t.data -> 'discount' as text) as discount
from {stage} i join stripe.customers t on t.connection = :connection and t.id = i.id
where i.batch = :batch and i.id = any(:ids) and i.data ? 'discount' and t.data #>> '{{discount,id}}' is not null
  and t.data #>> '{{discount,id}}' is distinct from i.data #>> '{{discount,id}}'
order by t.id"""


def _likely(body: str) -> bool:
    """Whether a discount may stand in it: decoding every body of a long import only to find none costs much more."""
    return '"discount"' in body and _WHOLE.search(body) is not None


def _bodies(holder: str) -> Iterator[msgspec.Raw]:
    try:
        yield from _in(_decode(holder))
    except msgspec.DecodeError:
        return  # something there is not as it should be; reading the holder says what


def _in(holder: _Holder) -> Iterator[msgspec.Raw]:
    for raw in [holder.discount, *(holder.discounts or ())]:
        if bytes(raw)[:1] == b"{":
            yield raw
    for part in (holder.items, holder.lines):
        for child in (part.data if part else None) or ():
            yield from _in(child)
