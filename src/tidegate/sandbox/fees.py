"""One-time fees, which wait for the next invoice."""

from tidegate.sandbox.objects import invoices
from tidegate.sandbox.resources import Obj
from tidegate.sandbox.world import World


def fee(world: World, subscription: Obj) -> None:
    """A one-time fee waits for the next invoice."""
    now, price = world.clock.now, world.prices["setup"]
    waits = invoices.invoiceitem(
        world.ids.new("ii_1", 23),
        now,
        subscription["customer"],
        subscription["currency"],
        price["unit_amount"],
        1,
        (now, now),
        description="Onboarding",
        pricing=invoices.pricing(price, price["unit_amount_decimal"]),
    )
    world.state.put(waits, "invoiceitem.created")
