"""Founds the simulated company and lets it live to the present."""

from tidegate.sandbox.catalog import found_catalog
from tidegate.sandbox.ids import base62
from tidegate.sandbox.life import advance_to
from tidegate.sandbox.objects import people
from tidegate.sandbox.world import DAY, World

CAST: tuple[tuple[str, float], ...] = (
    # role, and when it arrives in days before the present
    ("twenty_items", 70),
    ("grid", 65),
    ("scale", 100),
    ("volume", 95),
    ("packages", 62),
    ("metered", 80),
    ("legacy", 300),
    ("inline", 50),
    ("storage", 61),
    ("item_discount", 64),
    ("friend", 90),
    ("vat", 92),
    ("tva", 93),
    ("jct", 94),
    ("send_invoice", 40),
    ("trial_no_card", 25),
    ("trialing", 5),
    ("past_due", 33),
    ("unpaid", 80),
    ("incomplete", 0.4),
    ("incomplete_expired", 9),
    ("dunned", 85),
    ("late_card", 66),
    ("churned", 45),
    ("canceling", 12),
    ("pending", 0.3),
    ("backdated", 42),
    ("paused_collection", 41),
    ("deleted", 55),
    ("scheduled", 8),
    ("credited", 35),
    ("upgrading", 38),
    ("growing", 39),
    ("growing_yearly", 102),
    ("fee", 36),
    ("customer_discount", 63),
    ("credit", 60),
    ("several", 96),
    ("no_email", 97),
    ("duplicate", 98),
    ("duplicate", 99),
    ("no_name", 101),
    ("prospect", 30),
    ("quoted", 28),
    ("quoted", 3),
    ("free", 57),
)


def found(world: World) -> None:
    """Makes the catalog, plans every arrival and lives through the months up to the configured present."""
    config, start = world.config, world.clock.now
    world.state.put(people.account(f"acct_1{base62(config.seed, 15)}", start))
    found_catalog(world)
    span = config.as_of - start
    arrivals = plan_cast(world, start)
    rest = config.customers - arrivals
    for at in sorted(start + int(span * world.chance.random() ** 0.7) for _ in range(rest)):
        world.plan(at, "arrive", "")
    if config.customers:
        pace = max(60, span // config.customers)
        world.plan(config.as_of + pace, "arrive", "", pace)
    advance_to(world, config.as_of)


def plan_cast(world: World, start: int) -> int:
    """Plans the customers who each show one thing, one of each per 150; returns how many."""
    config = world.config
    rounds = max(1, config.customers // 150)
    cast = [(role, days + turn % 3 / 8) for turn in range(rounds) for role, days in CAST][: config.customers]
    for role, days in cast:
        at = config.as_of - int(days * DAY)
        world.plan(max(at, start + 60), "arrive", role)
    return len(cast)
