"""The steps of those who each show one thing: what they do, written out, where others decide by chance."""

from collections.abc import Callable

from tidegate.sandbox import (
    aftermath,
    changes,
    contracts,
    crediting,
    customers,
    endings,
    redemptions,
    schedules,
    waiting,
)
from tidegate.sandbox.billing import period_end
from tidegate.sandbox.catalog import role_of
from tidegate.sandbox.fees import fee
from tidegate.sandbox.payments import attempt
from tidegate.sandbox.resources import Obj
from tidegate.sandbox.world import DAY, World

Step = Callable[[World, Obj], object]
"""Takes the subscription; what comes back is of no matter."""


def first(subscription: Obj) -> Obj:
    """The first item."""
    return subscription["items"]["data"][0]


def seats(number: int, behavior: changes.Prorations = "create_prorations") -> Step:
    """So many seats more (or fewer) of the first item."""

    def step(world: World, subscription: Obj) -> None:
        item = first(subscription)
        price = world.state.full("prices", item["price"]["id"])
        changes.change(world, subscription, item, price, item["quantity"] + number, behavior)

    return step


def to_price(role: str, quantity: int = 1) -> Step:
    """Another price for the first item."""
    return lambda world, subscription: changes.change(
        world, subscription, first(subscription), world.prices[role], quantity
    )


def drop_add_on(world: World, subscription: Obj) -> None:
    """The last item is taken off."""
    changes.remove_item(world, subscription, subscription["items"]["data"][-1])


def cancel_at(days: int) -> Step:
    """An end with a period that ends about so many days from now."""

    def step(world: World, subscription: Obj) -> None:
        item = first(subscription)
        at = item["current_period_end"]
        while at < world.clock.now + days * DAY:
            at = period_end(item["price"], at, subscription["billing_cycle_anchor"])
        endings.schedule_end(world, subscription, "unused", None, at)

    return step


def cancel_with_credit(world: World, subscription: Obj) -> None:
    """An end at once, what is unused credited and all that is pending billed."""
    endings.end(world, subscription, "cancellation_requested", invoice_now=True, prorate=True)


def pause(behavior: str, days: int | None) -> Step:
    """A pause of so many days, or without end."""

    def step(world: World, subscription: Obj) -> None:
        waiting.pause(world, subscription, behavior, world.clock.now + days * DAY if days else None)

    return step


def await_payment(world: World, subscription: Obj) -> None:
    """A larger plan whose payment fails at first."""
    waiting.await_payment(world, subscription, first(subscription), world.prices["business-month-usd"], declined=True)


def to_largest(end_behavior: str) -> Step:
    """The largest plan from the next period on, by a schedule that ends so."""

    def step(world: World, subscription: Obj) -> None:
        _, interval, currency = role_of(world, first(subscription))
        price = world.prices[f"business-{interval}-{currency}"]
        schedules.schedule(world, subscription, price, end_behavior)

    return step


def pay_debts(world: World, subscription: Obj) -> None:
    """All that is owed is paid at last."""
    invoices = world.state["invoices"]
    for identifier in list(invoices.find("subscription", subscription["id"])):
        invoice = invoices.full(identifier)
        if invoice["status"] in ("open", "uncollectible"):
            attempt(world, invoice, declined=False)


def give_discount(world: World, subscription: Obj) -> None:
    """A running subscription is given a coupon."""
    given = redemptions.redeem(world, subscription, "NONPROFIT", None, None)
    world.state.put(subscription, "customer.subscription.updated")
    for one in given:
        redemptions.told(world, one)


def drop_discount(world: World, subscription: Obj) -> None:
    """Its discounts are taken away again."""
    redemptions.remove(world, subscription, set(subscription["discounts"]))
    world.state.put(subscription, "customer.subscription.updated")


def cards(last4: str | None) -> Step:
    """The customer's card is replaced, or removed."""
    return lambda world, subscription: customers.replace_card(world, subscription["customer"], last4)


def of_latest(step: Callable[[World, Obj], None]) -> Step:
    """A step about the latest invoice."""
    return lambda world, subscription: step(world, world.state.full("invoices", subscription["latest_invoice"]))


STEPS: dict[str, Step] = {
    "upgrade": to_price("team-month-usd", 5),
    "to_pro": to_price("pro-month-usd"),
    "yearly": to_price("pro-year-usd"),
    "more_seats": seats(3),
    "more_seats_later": seats(2),
    "fewer_seats": seats(-2),
    "more_seats_free": seats(4, "none"),
    "more_seats_billed": seats(5, "always_invoice"),
    "add_on": lambda world, subscription: changes.add_item(world, subscription, world.prices["addon-7"], 1),
    "drop_add_on": drop_add_on,
    "fee": fee,
    "cancel_now": lambda world, subscription: endings.end(world, subscription, "cancellation_requested"),
    "cancel_with_credit": cancel_with_credit,
    "cancel_later": lambda world, subscription: endings.schedule_end(world, subscription, "too_expensive", "Too much"),
    "cancel_at": cancel_at(40),
    "keep": endings.keep,
    "pause_draft": pause("keep_as_draft", 35),
    "pause_void": pause("void", 35),
    "pause_uncollectible": pause("mark_uncollectible", None),
    "await_payment": await_payment,
    "pay_pending": waiting.pay_pending,
    "schedule": to_largest("release"),
    "schedule_and_cancel": to_largest("cancel"),
    "fixed_term": lambda world, subscription: schedules.schedule(world, subscription, None, "cancel"),
    "restart_trial": lambda world, subscription: contracts.restart_trial(world, subscription, 14),
    "resume_paused": contracts.resume_paused,
    "pay_debts": pay_debts,
    "give_discount": give_discount,
    "drop_discount": drop_discount,
    "good_card": cards("4242"),
    "bad_card": cards("0341"),
    "no_card": cards(None),
    "rename": lambda world, subscription: customers.rename(world, subscription["customer"]),
    "new_email": lambda world, subscription: customers.new_email(world, subscription["customer"]),
    "debit_balance": lambda world, subscription: customers.move_balance(world, subscription["customer"], 700),
    "credit_lines": of_latest(lambda world, invoice: crediting.credit_note(world, invoice, "balance", lines=12)),
    "credit_balance": of_latest(lambda world, invoice: crediting.credit_note(world, invoice, "balance")),
    "credit_refund": of_latest(lambda world, invoice: crediting.credit_note(world, invoice, "refund")),
    "credit_out_of_band": of_latest(lambda world, invoice: crediting.credit_note(world, invoice, "out_of_band")),
    "credit_open": of_latest(lambda world, invoice: crediting.credit_note(world, invoice, "open")),
    "void_credit": of_latest(crediting.void_last),
    "refund_part": of_latest(lambda world, invoice: aftermath.refund_invoice(world, invoice, 3)),
    "refund_fraudulent": of_latest(lambda world, invoice: aftermath.refund_invoice(world, invoice, 1, "fraudulent")),
    "refund_fails": of_latest(lambda world, invoice: aftermath.refund_invoice(world, invoice, 1, fails=True)),
    "dispute_lost": of_latest(lambda world, invoice: aftermath.dispute_invoice(world, invoice, "lost")),
    "dispute_won": of_latest(lambda world, invoice: aftermath.dispute_invoice(world, invoice, "won")),
}
