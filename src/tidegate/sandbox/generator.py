"""Makes the account that a sandbox serves, from its configuration alone."""

from tidegate.sandbox import bulk
from tidegate.sandbox.clock import add_interval
from tidegate.sandbox.config import SandboxConfig
from tidegate.sandbox.resources import Obj
from tidegate.sandbox.state import EVENT_DAYS
from tidegate.sandbox.world import World

PACK_ABOVE = 3000
"""Companies with more customers than this are kept compressed."""

NOT_ACTIVATED: Obj = {"charges_enabled": False, "payouts_enabled": False, "details_submitted": False}


def make_world(config: SandboxConfig) -> World:
    """The account as it stands when its clock starts, history and the last 30 days of events included."""
    world = World(config, add_interval(config.as_of, "month", -max(1, config.months)))
    world.state.livemode, world.state.events_version = config.livemode, config.events_version
    world.state.events_from = config.starts - EVENT_DAYS * 86_400
    for collection in world.state.collections.values():
        collection.pack = config.customers > PACK_ABOVE
    if config.profile == "bulk":
        world.state.events_from = config.as_of
        bulk.fill(world)
        world.clock.now = config.as_of
    else:
        from tidegate.sandbox import clocks, company

        company.found(world)
        if not config.ahead:
            clocks.found(world)
    if not config.activated:
        for identifier in list(world.state["accounts"].ids):
            world.state.put(world.state.full("accounts", identifier) | NOT_ACTIVATED)
    return world
