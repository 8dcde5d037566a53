"""A copy of the company to try a change in: what it reads is borrowed, object by object, and nothing stays of it."""

from array import array
from copy import copy

from tidegate.sandbox.clock import Clock
from tidegate.sandbox.collection import SEQUENCE_BITS, Collection
from tidegate.sandbox.ids import Ids
from tidegate.sandbox.resources import Obj
from tidegate.sandbox.state import State, split
from tidegate.sandbox.world import World

NEVER = 1 << 62
"""An instant that does not come: until then nothing that is tried makes an event."""


class Borrowed(Collection):
    """A collection that takes from another what it is asked for, at the first time, and leaves that as it is."""

    def __init__(self, lender: Collection, *, livemode: bool) -> None:
        super().__init__(lender.resource)
        self._lender, self._livemode = lender, livemode
        self._met: set[str] = set()

    def __contains__(self, identifier: str) -> bool:
        self._borrow(identifier)
        return super().__contains__(identifier)

    def body(self, identifier: str) -> bytes:
        self._borrow(identifier)
        return super().body(identifier)

    def full(self, identifier: str) -> Obj:
        self._borrow(identifier)
        return super().full(identifier)

    def children(self, identifier: str) -> list[bytes]:
        self._borrow(identifier)
        return super().children(identifier)

    def matching(self, name: str, value: str) -> "array[int]":
        for identifier in list(self._lender.find(name, value)):
            self._borrow(identifier)
        return super().matching(name, value)

    def _borrow(self, identifier: str) -> None:
        if identifier in self._met:
            return
        self._met.add(identifier)
        if identifier in self._lender:
            obj = self._lender.full(identifier)
            body, hidden, overflow = split(self.resource, obj, livemode=self._livemode)
            self.put(obj, self._lender.key_of[identifier] >> SEQUENCE_BITS, body, hidden, overflow)


def rehearsal(world: World) -> World:
    """The same world at the same time, to try something in: no agenda, no chance, no events, and nothing stays."""
    tried = copy(world)
    tried.clock = Clock(world.clock.now)
    tried.ids = Ids("rehearsal")
    state = tried.state = State(tried.clock, tried.ids)
    state.livemode = world.state.livemode
    for name, lender in world.state.collections.items():
        state.collections[name] = Borrowed(lender, livemode=state.livemode)
    state.clock_of = dict(world.state.clock_of)
    state.events_from = NEVER
    tried.coupons = {identifier: dict(coupon) for identifier, coupon in world.coupons.items()}
    tried.agenda, tried.frozen, tried.by_chance = [], {}, False
    tried.forget_chances()
    return tried
