"""Founds the simulated company and lets it live to the present."""

from tidegate.sandbox.cast import ROLES
from tidegate.sandbox.catalog import found_catalog
from tidegate.sandbox.ids import base62
from tidegate.sandbox.life import advance_to
from tidegate.sandbox.objects import people
from tidegate.sandbox.world import DAY, World

ONE_OF_EACH_PER = 300
REPRICED, COUPON_GONE = 75, 20
"""How many days before the present the prices of the smallest plan rise, and a coupon is deleted."""


def found(world: World) -> None:
    """Makes the catalog, plans every arrival and lives through the months up to where the clock is to start."""
    config, start = world.config, world.clock.now
    world.state.put(people.account(f"acct_1{base62(config.seed, 15)}", start))
    found_catalog(world)
    world.plan(max(config.as_of - REPRICED * DAY, start + DAY), "reprice", "")
    world.plan(max(config.as_of - COUPON_GONE * DAY, start + DAY), "retire_coupon", "LASTCALL")
    span = config.as_of - start
    rest = config.customers - plan_cast(world, start)
    for number in range(1, rest + 1):
        at = start + int(span * world.chance_of(str(number)).random() ** 0.7)
        world.plan(at, "arrive", "", who=str(number))
    if config.customers:
        pace = max(60, span // config.customers)
        world.plan(config.as_of + pace, "arrive", "", pace, who=str(rest + 1))
    advance_to(world, config.starts)


def plan_cast(world: World, start: int) -> int:
    """Plans the customers who each show one thing, one of each per 300; returns how many."""
    config = world.config
    rounds = max(1, config.customers // ONE_OF_EACH_PER)
    cast = [(role, turn) for turn in range(rounds) for role in ROLES][: config.customers]
    for role, turn in cast:
        at = config.as_of - int((ROLES[role].days + turn % 3 / 8) * DAY)
        world.plan(max(at, start + 60), "arrive", role, who=f"{role}.{turn}")
    return len(cast)
