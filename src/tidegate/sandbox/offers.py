"""What a new customer subscribes to: by the role it plays, else by chance."""

from collections.abc import Callable
from typing import Any

from tidegate.sandbox.catalog import inline
from tidegate.sandbox.contracts import Terms
from tidegate.sandbox.resources import Obj
from tidegate.sandbox.world import DAY, World

PLAIN = (
    "incomplete",
    "incomplete_expired",
    "past_due",
    "unpaid",
    "dunned",
    "late_card",
    "churned",
    "canceling",
    "pending",
    "paused_collection",
    "scheduled",
    "credited",
    "fee",
)
"""Roles about what happens later, not about what is bought: they all take the same monthly plan."""


def of(*items: tuple[str, int | None], **more: Any) -> Callable[[World], Terms]:
    """Terms over prices by role, with quantities; `changes` to the subscription and coupons among `more`."""
    return lambda world: Terms([(world.prices[role], quantity) for role, quantity in items], **more)


def taxed(role: str, currency: str) -> Callable[[World], Terms]:
    """Seats with a default tax rate."""
    return lambda world: Terms(
        [(world.prices[f"team-month-{currency}"], 7)], changes={"default_tax_rates": [world.tax_rates[role]]}
    )


def backdated(world: World) -> Terms:
    """A plan that counts from before it was entered."""
    return Terms([(world.prices["pro-month-usd"], 1)], changes={"start_date": world.clock.now - 45 * DAY})


def one_off(world: World) -> Terms:
    """A price made for this customer alone."""
    return Terms([(inline(world, "usd", 12_345), 1)])


ON_INVOICE = {"collection_method": "send_invoice", "days_until_due": 30}
PAUSE_WITHOUT_CARD = {"trial_settings": {"end_behavior": {"missing_payment_method": "pause"}}}
OFFERS: dict[str, Callable[[World], Terms]] = {
    "twenty_items": of(*((f"addon-{number}", 1 + number % 3) for number in range(1, 21))),
    "grid": of(("grid", 140), ("starter-month-usd", 1)),
    "scale": of(("scale", 64)),
    "volume": of(("volume", 240)),
    "packages": of(("messages", 4300), ("pro-month-usd", 1)),
    "metered": of(("starter-month-usd", 1), ("calls", None), ("calls-tiered", None)),
    "legacy": of(("legacy", 1)),
    "inline": one_off,
    "free": of(("free", 1)),
    "storage": of(("storage", 333)),
    "item_discount": of(("team-month-usd", 8), ("addon-3", 1), coupon="TENOFF", item_coupon="TEAMONLY"),
    "friend": of(("pro-month-usd", 1), coupon="FRIENDS"),
    "vat": taxed("vat", "eur"),
    "tva": taxed("tva", "eur"),
    "jct": taxed("jct", "jpy"),
    "send_invoice": of(("business-year-usd", 3), changes=ON_INVOICE),
    "trial_no_card": of(("pro-month-usd", 1), trial_days=14, changes=PAUSE_WITHOUT_CARD),
    "trialing": of(("team-month-usd", 4), trial_days=14),
    "backdated": backdated,
    "growing": of(("team-month-usd", 6)),
    "growing_yearly": of(("team-year-eur", 12)),
    "upgrading": of(("starter-month-usd", 1)),
} | dict.fromkeys(PLAIN, of(("pro-month-usd", 1)))


def terms_for(world: World, role: str) -> Terms:
    """What a customer of this role subscribes to; by chance for the ordinary ones."""
    return OFFERS.get(role, ordinary)(world)


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
