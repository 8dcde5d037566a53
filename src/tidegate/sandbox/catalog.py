"""What the simulated company sells: products, prices of every kind, coupons, tax rates, features."""

from typing import Any

from tidegate.sandbox.objects import catalog as build
from tidegate.sandbox.objects.metering import meter
from tidegate.sandbox.resources import Obj
from tidegate.sandbox.world import Due, World

CURRENCIES = {"usd": 1, "eur": 1, "jpy": 1}
INTERVALS = {"month": ("month", 1), "year": ("year", 1), "quarter": ("month", 3), "week": ("week", 1)}
PER_PERIOD = {"month": 1.0, "year": 10.0, "quarter": 2.9, "week": 0.25}
ADD_ONS = 20
GRID_TIERS = 11


def found_catalog(world: World) -> None:
    """Puts the whole catalog in place, as of now."""
    plans(world)
    tiered(world)
    extras(world)
    early(world)
    discounts_and_taxes(world)
    features(world)


def sold(world: World, name: str, **changes: Any) -> Obj:
    """A new product."""
    goods = build.product(world.ids.new("prod_"), world.clock.now, name, **changes)
    world.state.put(goods, "product.created")
    return goods


def priced(
    world: World, role: str, goods: Obj, currency: str, amount: int | str | None, interval: str | None, **changes: Any
) -> Obj:
    """A new price, remembered under its role; `amount` in minor units."""
    every = INTERVALS[interval] if interval else None
    price = build.price(world.ids.new("price_1", 23), world.clock.now, goods["id"], currency, amount, every, **changes)
    world.state.put(price, "price.created")
    world.prices[role] = price
    world.roles[price["id"]] = role
    return price


def role_of(world: World, item: Obj) -> tuple[str, str, str]:
    """The plan, interval and currency of an item's price, on sale or not; the plan is empty for what is none."""
    role = world.roles.get(item["price"]["id"], "").split("-")
    return (role[0], role[1], role[2]) if len(role) == 3 and role[1] in INTERVALS else ("", item_interval(item), "")


def item_interval(item: Obj) -> str:
    """The interval of an item's price."""
    return item["price"]["recurring"]["interval"]


def local(amount: float, currency: str) -> int:
    """Dollar cents as minor units of a currency that has the same list price or, for yen, a hundred times fewer."""
    return round(amount * 1.5) if currency == "jpy" else round(amount)


def plans(world: World) -> None:
    """Flat and per-seat plans in every interval and currency."""
    for name, cents in (("Starter", 1900), ("Team", 1200), ("Business", 9900), ("Pro", 4900)):
        goods = sold(world, name, unit_label="seat" if name == "Team" else None)
        for currency in CURRENCIES:
            for interval, factor in PER_PERIOD.items():
                role = f"{name.lower()}-{interval}-{currency}"
                key = role if name != "Business" else None
                priced(
                    world,
                    role,
                    goods,
                    currency,
                    local(cents * factor, currency),
                    interval,
                    lookup_key=key,
                    nickname=f"{name} {interval}",
                )
        world.state.put(goods | {"default_price": world.prices[f"{name.lower()}-month-usd"]["id"]}, "product.updated")
    fractional = sold(world, "Storage", unit_label="GB")
    priced(world, "storage", fractional, "usd", "0.75", "month", nickname="Storage per GB")


def tiered(world: World) -> None:
    """Graduated, volume, package and metered prices."""
    scale = sold(world, "Scale", unit_label="seat")
    tiers = [build.tier(10, 1500, 5000), build.tier(50, 1200), build.tier(None, 900)]
    priced(world, "scale", scale, "usd", None, "month", tiers=tiers, tiers_mode="graduated")
    volume = [build.tier(100, 50), build.tier(1000, 40, 1000), build.tier(None, 30, 5000)]
    priced(world, "volume", sold(world, "Monitors"), "eur", None, "month", tiers=volume, tiers_mode="volume")
    steps = [
        build.tier(step * 10 if step < GRID_TIERS else None, 1000 - step * 50, 500) for step in range(1, GRID_TIERS + 1)
    ]
    priced(world, "grid", sold(world, "Grid"), "usd", None, "month", tiers=steps, tiers_mode="graduated")
    packages = {"divide_by": 1000, "round": "up"}
    priced(world, "messages", sold(world, "Messages"), "usd", 500, "month", transform_quantity=packages)
    calls = sold(world, "API calls", unit_label="call")
    metered: dict[str, Any] = {"usage_type": "metered", "meter": metered_by(world, "api_calls", "API calls")}
    priced(world, "calls", calls, "usd", "0.02", "month", **metered)
    usage = [build.tier(10_000, 0, 0), build.tier(None, 1)]
    priced(world, "calls-tiered", calls, "usd", None, "month", tiers=usage, tiers_mode="graduated", **metered)


def metered_by(world: World, event_name: str, name: str) -> str:
    """A new meter; returns its id."""
    made = meter(world.ids.new("mtr_", 24), world.clock.now, event_name, name)
    world.state.put(made, "billing.meter.created")
    return made["id"]


def extras(world: World) -> None:
    """Add-ons, a weekly service, a one-time fee, one price in several currencies and a free plan."""
    for number in range(1, ADD_ONS + 1):
        goods = sold(world, f"Add-on {number}")
        priced(world, f"addon-{number}", goods, "usd", 100 * number, "month")
        priced(world, f"addon-{number}-eur", goods, "eur", 100 * number, "month")
    desk = sold(world, "Support desk")
    for currency in CURRENCIES:
        priced(world, f"support-{currency}", desk, currency, local(2500, currency), "week")
    priced(world, "setup", sold(world, "Onboarding"), "usd", 30_000, None)
    priced(world, "free", sold(world, "Free"), "usd", 0, "month")
    world_wide = sold(world, "Everywhere")
    options: Obj = {
        code: {
            "custom_unit_amount": None,
            "tax_behavior": "unspecified",
            "unit_amount": amount,
            "unit_amount_decimal": str(amount),
        }
        for code, amount in (("usd", 2900), ("eur", 2700), ("gbp", 2300), ("jpy", 4300))
    }
    priced(world, "everywhere", world_wide, "usd", 2900, "month", currency_options=options)


def early(world: World) -> None:
    """A plan that will no longer be sold, and an old price of one that still is: `reprice` archives both later."""
    priced(world, "legacy", sold(world, "Legacy"), "usd", 900, "month")
    starter = world.state.full("products", world.prices["starter-month-usd"]["product"])
    price = priced(world, "early", starter, "usd", 1500, "month", nickname="Starter, early birds")
    world.state.put(price | {"active": False}, "price.updated")


def reprice(world: World, due: Due) -> None:
    """The yearly rise: new prices of the smallest plan, the old ones archived with everybody on them; a plan ends."""
    for currency in CURRENCIES:
        role = f"starter-month-{currency}"
        old = world.prices[role]
        goods = world.state.full("products", old["product"])
        archive(world, old)
        amount = round(old["unit_amount"] * 1.2)
        new = priced(world, role, goods, currency, amount, "month", lookup_key=role, nickname="Starter month")
        if currency == "usd":
            world.state.put(goods | {"default_price": new["id"]}, "product.updated")
    archive(world, world.prices["legacy"])
    legacy = world.state.full("products", world.prices["legacy"]["product"])
    world.state.put(legacy | {"active": False}, "product.updated")


def archive(world: World, price: Obj) -> None:
    """Takes a price off sale; a lookup key goes over to what comes after it."""
    known = world.state.full("prices", price["id"])
    world.state.put(known | {"active": False, "lookup_key": None}, "price.updated")


def retire_coupon(world: World, due: Due) -> None:
    """A coupon is deleted; discounts of it live on."""
    world.state.delete("coupons", due.about, "coupon.deleted")


def inline(world: World, currency: str, amount: int, name: str | None = None) -> Obj:
    """A price made for one subscription, as `price_data` does, perhaps with a product of its own; minor units."""
    product = world.prices["business-month-usd"]["product"]
    if name:
        product = sold(world, name, active=False)["id"]
    price = build.price(
        world.ids.new("price_1", 23), world.clock.now, product, currency, amount, ("month", 1), active=False
    )
    world.state.put(price | {"_inline": True}, "price.created")
    return price


def discounts_and_taxes(world: World) -> None:
    """Coupons of each kind and duration, their codes, and tax rates of both kinds."""
    now = world.clock.now
    team = [world.prices["team-month-usd"]["product"]]
    coupons = [
        build.coupon("WELCOME20", now, "20% off the first invoice", "once", percent_off=20.0),
        build.coupon("SPRING3", now, "25.5% off for three months", "repeating", percent_off=25.5, duration_in_months=3),
        build.coupon("NONPROFIT", now, "Non-profits, half price", "forever", percent_off=50.0),
        build.coupon(
            "FIVEOFF", now, "$5 off for half a year", "repeating", amount_off=500, currency="usd", duration_in_months=6
        ),
        build.coupon("TENOFF", now, "$10 off", "forever", amount_off=1000, currency="usd"),
        build.coupon("TEAMONLY", now, "15% off Team", "forever", percent_off=15.0, applies_to=team),
        build.coupon("LASTCALL", now, "30% off while it lasts", "forever", percent_off=30.0),
        build.coupon("FRIENDS", now, "Free for friends", "forever", percent_off=100.0),
        build.coupon(
            "OLDPROMO", now, "No longer given", "once", percent_off=10.0, valid=False, redeem_by=now + 30 * 86_400
        ),
    ]
    for coupon in coupons:
        world.coupons[coupon["id"]] = coupon
        world.state.put(dict(coupon), "coupon.created")
    for code, coupon_id in (("HELLO", "WELCOME20"), ("SPRING", "SPRING3"), ("GOODCAUSE", "NONPROFIT")):
        world.codes[coupon_id] = world.ids.new("promo_1", 23)
        world.state.put(build.promotion_code(world.codes[coupon_id], now, code, coupon_id), "promotion_code.created")
    expired = {"active": False, "expires_at": now + 20 * 86_400}
    world.state.put(
        build.promotion_code(world.ids.new("promo_1", 23), now, "BYGONE", "OLDPROMO", **expired),
        "promotion_code.created",
    )
    for key, name, country, percent, inclusive in (
        ("vat", "VAT", "DE", 19.0, False),
        ("tva", "TVA", "FR", 20.0, True),
        ("jct", "Consumption tax", "JP", 10.0, False),
    ):
        rate = build.tax_rate(world.ids.new("txr_1", 23), now, name, country, percent, inclusive=inclusive)
        world.tax_rates[key] = rate
        world.state.put(rate, "tax_rate.created")


def features(world: World) -> None:
    """Entitlement features and the products that give them."""
    now = world.clock.now
    granted = [("sso", "Single sign-on", "business"), ("export", "Data export", "pro"), ("seats", "Seats", "team")]
    for key, name, plan in [*granted, ("audit-log", "Audit log", "business"), ("beta", "Beta programme", None)]:
        feature = build.feature(world.ids.new("feat_", 24), now, key, name)
        world.state.put(feature)
        if plan:
            product = world.prices[f"{plan}-month-usd"]["product"]
            world.state.put(build.product_feature(world.ids.new("prodft_", 24), now, product, feature))
