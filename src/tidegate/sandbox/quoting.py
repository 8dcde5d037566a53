"""Quotes: drafted, sent, taken, withdrawn or left until they expire."""

from tidegate.sandbox import contracts
from tidegate.sandbox.contracts import Terms
from tidegate.sandbox.objects import quotes
from tidegate.sandbox.resources import Obj
from tidegate.sandbox.world import DAY, Due, World


def quote(world: World, due: Due) -> None:
    """A quote is drafted for a customer, a dozen lines; sent at once unless `due.detail` is draft."""
    prices = [world.prices[f"addon-{number}"] for number in range(1, 13)]
    lines = [
        quotes.quote_line(world.ids.new("li_1", 23), price, 2, price["unit_amount"] * 2, f"Add-on {number}")
        for number, price in enumerate(prices, 1)
    ]
    made = quotes.quote(world.ids.new("qt_1", 23), world.clock.now, due.about, lines)
    world.state.put(made, "quote.created")
    if due.detail == "draft":
        return
    made |= {"status": "open", "number": f"QT-{made['id'][-6:].upper()}-0001-1"}
    made["status_transitions"] = made["status_transitions"] | {"finalized_at": world.clock.now}
    world.state.put(made, "quote.finalized")
    if due.detail in ("accepted", "canceled"):
        world.plan(world.clock.now + 6 * DAY, "quote_answer", made["id"], due.detail)
    world.plan(made["expires_at"], "quote_answer", made["id"], "canceled")


def quote_answer(world: World, due: Due) -> None:
    """The customer takes an open offer, which starts a subscription, or it is withdrawn or expires: canceled."""
    made = world.state.full("quotes", due.about)
    if made["status"] != "open" or made["customer"] not in world.state["customers"]:
        return
    made["status"] = due.detail
    made["status_transitions"] = made["status_transitions"] | {f"{due.detail}_at": world.clock.now}
    if due.detail == "accepted":
        customer = world.state.full("customers", made["customer"])
        items: list[tuple[Obj, int | None]] = [
            (world.state.full("prices", one["price"]["id"]), one["quantity"]) for one in made["line_items"]["data"]
        ]
        started = contracts.start(world, customer, Terms(items))
        made |= {"subscription": started["id"], "invoice": started["latest_invoice"]}
    world.state.put(made, f"quote.{due.detail}")
