"""The lines of an item's last period: what its invoice took off, which tax was in it, what was used."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

from tidegate.revenue.history.evidence import Billed
from tidegate.stripe_api.shapes.lines import InvoiceLine


class Lines:
    """The lines of a subscription's finalised invoices by item and period, prorations left out. Usage, of prices that
    are `metered`, is told when its period is over, anything else when it begins.
    """

    def __init__(self, billed: Sequence[Billed], metered: AbstractSet[str]) -> None:
        by_item: dict[str, dict[tuple[int, str], list[InvoiceLine]]] = {}
        for invoice, line in billed:
            item = line.subscription_item
            if item and not line.proration and invoice.status not in {"draft", "void", None}:
                told_at = line.period_end if line.price in metered else line.period_start
                by_item.setdefault(item, {}).setdefault((told_at or 0, invoice.id or ""), []).append(line)
        self._periods = {item: sorted(periods.items(), key=lambda one: one[0]) for item, periods in by_item.items()}

    def at(self, instant: int) -> Mapping[str, Sequence[InvoiceLine]]:
        """By item those of the last period that was told by then (epoch seconds)."""
        found: dict[str, Sequence[InvoiceLine]] = {}
        for item, periods in self._periods.items():
            for (told_at, _), lines in reversed(periods):
                if told_at <= instant:
                    found[item] = lines
                    break
        return found
