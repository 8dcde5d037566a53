"""All events of a customer."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from tidegate.revenue.billing.billed import billed
from tidegate.revenue.billing.changes import canceled, changes, returned
from tidegate.revenue.billing.event import Event
from tidegate.revenue.billing.failed import failed
from tidegate.revenue.billing.given import Bill, Catalog, Dossier, Who
from tidegate.revenue.billing.pieces import pieces
from tidegate.revenue.billing.refunded import Withdrawn, refunded, withdrawn


def by_date(event: Event) -> tuple[int, str]:
    """The key that puts events in order."""
    return event.at, event.id


@dataclass(slots=True)
class Derived:
    """Events, one customer's after the other's, each's by date. `unsettled`: invoices of which too little is known
    yet, so nothing is said of them. `withdrawn`: by the id of an event that may have been recorded, when and how what
    it told was taken back. `awaited`: customers to be looked at again once everything before an instant (epoch seconds)
    is known.
    """

    events: list[Event] = field(default_factory=list[Event])
    unsettled: set[str] = field(default_factory=set[str])
    withdrawn: dict[str, Withdrawn] = field(default_factory=dict[str, Withdrawn])
    awaited: dict[str, int] = field(default_factory=dict[str, int])

    def add(self, dossier: Dossier, catalog: Catalog) -> None:
        """Adds the events of a customer."""
        events: list[Event] = []
        for bill in dossier.bills:
            if bill.awaits is not None:
                customer = dossier.who.customer
                self.awaited[customer] = max(bill.awaits, self.awaited.get(customer, 0))
            if bill.invoice.deleted or bill.invoice.status in {"draft", None}:
                continue
            if not bill.settled:
                self.unsettled.add(bill.invoice.id or "")
                continue
            events += _of_bill(bill, dossier.who, catalog)
            self.withdrawn.update(withdrawn(bill))
        events += changes(dossier.stretches, dossier.who, catalog, dossier.paid_since)
        events += (returned(one, dossier.who, catalog) for one in dossier.returns)
        events += (canceled(one, dossier.stretches, dossier.who, catalog) for one in dossier.ended)
        self.events += sorted(events, key=by_date)


def _of_bill(bill: Bill, who: Who, catalog: Catalog) -> Iterator[Event]:
    found = pieces(bill, catalog)
    yield from billed(bill, found, who, catalog)
    yield from refunded(bill, found, who, catalog)
    yield from failed(bill, found, who, catalog)
