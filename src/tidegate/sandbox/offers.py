"""What a new customer subscribes to: as its role says, else by chance."""

from collections.abc import Callable
from typing import Any

from tidegate.sandbox.catalog import inline
from tidegate.sandbox.contracts import Terms
from tidegate.sandbox.resources import Obj
from tidegate.sandbox.world import DAY, World

Offer = Callable[[World], Terms]


def of(*items: tuple[str, int | None], **more: Any) -> Offer:
    """Terms over prices by role, with quantities; `changes` to the subscription and coupons among `more`."""
    changes: dict[str, Any] = more.pop("changes", {})

    def terms(world: World) -> Terms:
        return Terms([(world.prices[role], quantity) for role, quantity in items], changes=dict(changes), **more)

    return terms


def taxed(role: str, currency: str) -> Offer:
    """Seats with a default tax rate."""
    return lambda world: Terms(
        [(world.prices[f"team-month-{currency}"], 7)], changes={"default_tax_rates": [world.tax_rates[role]]}
    )


def with_code(coupon: str) -> Offer:
    """A plan with a coupon that a promotion code gave."""
    return lambda world: Terms([(world.prices["pro-month-usd"], 1)], coupon=coupon, promotion_code=world.codes[coupon])


def backdated(world: World) -> Terms:
    """A plan that counts from before it was entered."""
    return Terms([(world.prices["pro-month-usd"], 1)], changes={"start_date": world.clock.now - 45 * DAY})


def one_off(name: str | None = None) -> Offer:
    """A price made for this customer alone, perhaps of a product made for it, too."""
    return lambda world: Terms([(inline(world, "usd", 12_345, name), 1)])


def mixed(world: World) -> Terms:
    """A yearly plan with a monthly add-on, each with a period of its own."""
    mode = {"flexible": {"proration_discounts": "included"}, "type": "flexible", "updated_at": world.clock.now}
    items: list[tuple[Obj, int | None]] = [(world.prices["pro-year-usd"], 1), (world.prices["addon-4"], 2)]
    return Terms(items, changes={"billing_mode": mode})


def without_card(behavior: str) -> dict[str, Any]:
    """What happens at the end of a trial without a card."""
    return {"trial_settings": {"end_behavior": {"missing_payment_method": behavior}}}


def on_invoice(days: int) -> dict[str, Any]:
    """Invoices that are sent, to be paid within so many days."""
    return {"collection_method": "send_invoice", "days_until_due": days}


def ordinary(world: World) -> Terms:
    """A plan, an interval, a currency, perhaps a trial or a coupon, by chance."""
    chance = world.chance
    currency = chance.choices(("usd", "eur", "jpy"), (70, 22, 8))[0]
    plan = chance.choices(("starter", "team", "pro", "business"), (40, 30, 20, 10))[0]
    interval = chance.choices(("month", "year", "quarter", "week"), (72, 20, 6, 2))[0]
    quantity = chance.randrange(2, 40) if plan == "team" else 1
    items: list[tuple[Obj, int | None]] = [(world.prices[f"{plan}-{interval}-{currency}"], quantity)]
    if interval == "month" and currency == "usd" and world.likely(0.08):
        items.append((world.prices[chance.choice(("calls", "calls-tiered"))], None))
    trial = 14 if world.likely(0.2) else 0
    terms = Terms(items, trial_days=trial)
    if world.likely(0.15):
        terms.coupon = chance.choices(("WELCOME20", "SPRING3", "NONPROFIT", "FIVEOFF", "TENOFF"), (40, 25, 10, 15, 10))[
            0
        ]
        terms.promotion_code = world.codes.get(terms.coupon) if world.likely(0.5) else None
    if currency == "eur" and world.likely(0.5):
        terms.changes["default_tax_rates"] = [world.tax_rates[chance.choice(("vat", "tva"))]]
    if world.likely(0.2):
        terms.changes["metadata"] = {"source": chance.choice(("ads", "referral", "søk"))}
    return terms
