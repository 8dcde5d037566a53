"""The demo's part on outbound: a warehouse's accounts planned and written to the simulated Stripe, mistakes named."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tidegate.cli.steps import Steps
    from tidegate.connections.accounts import Account
    from tidegate.wiring import Hub

FILE = "warehouse.duckdb"


def written(hub: "Hub", account: "Account", steps: "Steps") -> dict[str, Any]:
    """A sync planned, run, and run again; `left` names the rows that could not be written, and why."""
    from tidegate.workflows.demo import demo_outbound

    home = hub.settings.home
    done = demo_outbound.write(hub.engine, account, home / FILE, hub.source_url, hub.stripe_writing)
    sent = ", ".join(f"{count:,} {operation}" for operation, count in done.sent.items())
    more = sum(done.again.values())
    detail = f"{done.rows:,} rows of {FILE}: {sent}; {len(done.left):,} left with the reason; again: {more:,} requests"
    steps.done("sync", detail)
    return done.as_json() | {"sync": demo_outbound.SYNC, "home": str(home)}


def tell(sync: dict[str, Any]) -> None:
    """The rows that were left, and where to look further."""
    from tidegate.cli import show
    from tidegate.cli.sync_shown import fields

    show.line()
    show.line(f"{len(sync['left']):,} of {sync['rows']:,} rows of the warehouse could not be written to Stripe:")
    lines = fields([{"changes": [], "kept": [], **one} for one in sync["left"]])
    show.table(["row", "field", "value", ""], [(row, field, value, why) for row, _, field, _, value, why in lines])
    home = f"TIDEGATE_HOME={sync['home']}"
    show.line(f"Every request of the others: {home} tidegate sync show {sync['run']}")
    show.line(f"Mend {FILE} and look what would be sent: {home} tidegate sync plan {sync['sync']}")
