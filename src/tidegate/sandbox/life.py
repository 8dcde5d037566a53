"""What happens as the clock advances: everything on the agenda, in order, each at its own instant."""

from collections.abc import Callable

from tidegate.sandbox.world import Due, World

Happening = Callable[[World, Due], None]


def advance_to(world: World, until: int) -> int:
    """Moves the clock to `until` (UTC epoch seconds), everything due on the way happening at its own time.

    Returns the new time.
    """
    while due := world.next_due(until):
        world.clock.now = max(world.clock.now, due.at)
        HAPPENINGS[due.what](world, due)
    world.clock.now = max(world.clock.now, until)
    return world.clock.now


HAPPENINGS: dict[str, Happening] = {}
