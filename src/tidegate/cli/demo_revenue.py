"""The demo's part on revenue: what the ledger says, and whether that is what the simulated company itself says."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tidegate.cli.steps import Steps
    from tidegate.connections.accounts import Account
    from tidegate.wiring import Hub
    from tidegate.workflows.demo.demo import Simulated

MONTHS = 12
BARS = "▁▂▃▄▅▆▇█"


def held(hub: "Hub", account: "Account", simulated: "Simulated", steps: "Steps") -> dict[str, Any]:
    """The ledger against the sandbox's truth: `wrong` names the customers that differ now."""
    from tidegate.workflows.demo.demo_revenue import as_json, compared, zone

    truth = simulated.revenue(zone(hub.engine, account))
    found = as_json(compared(hub.engine, account, truth))
    steps.done("revenue", f"MRR {_amounts(found['mrr'])}; {_verdict(found)}")
    return found


def tell(revenue: dict[str, Any]) -> None:
    """MRR by currency now, how it went in the last twelve months, and the verdict."""
    from tidegate.cli import show
    from tidegate.money import shown

    show.line()
    last = revenue["months"][-MONTHS:]
    for currency, amount in revenue["mrr"].items():
        curve = bars([month["mrr"].get(currency, 0) for month in last])
        show.line(f"MRR {shown(amount, currency):>16}  {curve}  {last[0]['month']} to {last[-1]['month']}")
    show.line(f"MRR is {_verdict(revenue)}, and in {revenue['recovered']:.1%} of their months before.")


def bars(values: Sequence[int]) -> str:
    """A line of bars, the largest value's the highest."""
    most = max(values, default=0) or 1
    return "".join(BARS[max(0, value) * (len(BARS) - 1) // most] for value in values)


def _verdict(revenue: dict[str, Any]) -> str:
    wrong, customers = len(revenue["wrong"]), revenue["customers"]
    if wrong:
        return f"DIFFERENT from the sandbox's truth for {wrong:,} of {customers:,} customers"
    return f"EQUAL to the sandbox's truth for all {customers:,} customers"


def _amounts(mrr: dict[str, int]) -> str:
    from tidegate.money import shown

    return ", ".join(shown(amount, currency) for currency, amount in mrr.items()) or "0"
