"""The demo's part on delivery: a receiver on this machine that is sent billing events and what changes of contacts."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tidegate.cli.steps import Steps
    from tidegate.wiring import Hub
    from tidegate.workflows.demo.demo_delivery import Receiver


def sent(hub: "Hub", receiver: "Receiver", steps: "Steps", seconds: float) -> dict[str, Any]:
    """What the worker has sent to the receiver since it was named."""
    from tidegate.workflows.demo.demo_delivery import KEPT, KEY, wait_until_sent

    found = wait_until_sent(hub.engine, receiver, seconds)
    kept = found["by_type"].get(KEPT, 0)
    events = sum(found["by_type"].values()) - kept
    detail = (
        f"{events:,} events and what {kept:,} contacts are, signed, to {receiver.url}; {found['twice']:,} came twice"
    )
    steps.done("deliver", detail)
    return found | {"destination": KEY, "home": str(hub.settings.home)}


def tell(delivery: dict[str, Any]) -> None:
    """What came, by type, and where to look further."""
    from tidegate.cli import show

    show.line()
    show.table(["sent to a receiver on this machine", "events"], list(delivery["by_type"].items()))
    home = f"TIDEGATE_HOME={delivery['home']}"
    show.line(f"Send them to yourself: {home} tidegate destinations add app webhook --set url=https://…")
