"""Which of two versions of a Stripe object is current: pure, so that every rule can be read and tested alone."""

from enum import Enum, IntEnum, auto
from typing import NamedTuple


class Certainty(IntEnum):
    """How a version came to be known; decides on the same second."""

    TOLD = 0  # by an event
    READ = 1  # by listing or retrieving
    SETTLED = 2  # retrieved after a doubt arose, so it includes whatever was in doubt


class Verdict(Enum):
    """What becomes of an incoming version."""

    WINS = auto()  # it is current from now on
    CONFIRMS = auto()  # the same content, known to hold at a later time
    LOSES = auto()  # something newer is stored
    DOUBT = auto()  # only another look at Stripe can tell; what is stored stays until then
    PARTIAL = auto()  # newer, but it lacks what a look at Stripe shows; what is stored stays until then


class Stored(NamedTuple):
    """The current version: times in epoch seconds, as Stripe told them.

    `created` is None, here as in `Incoming`, unless the id can be used again (`Resource.reusable_id`): it decides
    nothing else, and what is on a test clock was created in that clock's time, which may be years ahead of every event.
    """

    at: int
    certainty: Certainty
    created: int | None
    deleted_at: int | None


class Incoming(NamedTuple):
    """A version that came in: times in epoch seconds; `same` says that its content equals the stored one's.

    `whole` is False when the body is known to lack something (a nested list cut off, fields that only lists expand).
    """

    at: int
    certainty: Certainty
    created: int | None
    deleted: bool = False
    same: bool = False
    whole: bool = True


def decide(stored: Stored, incoming: Incoming) -> Verdict:
    """What becomes of `incoming`. The outcome of a set of versions does not depend on the order in which they come."""
    if stored.deleted_at is not None:
        return _against_tombstone(stored, stored.deleted_at, incoming)
    if incoming.deleted:
        return _deletion(stored, incoming)
    if incoming.same and incoming.at >= stored.at:
        return Verdict.CONFIRMS
    if incoming.at < stored.at:
        return Verdict.LOSES
    if not incoming.whole:
        return Verdict.PARTIAL
    if incoming.at > stored.at or incoming.certainty is Certainty.SETTLED:
        return Verdict.WINS
    return Verdict.DOUBT


def _against_tombstone(stored: Stored, deleted_at: int, incoming: Incoming) -> Verdict:
    """A late update never resurrects; an object created after the deletion is another one under the same id, where the
    id can be used again.
    """
    if incoming.deleted and (stored.created is not None or incoming.created is not None):
        # A later deletion moves the tombstone: the id may have been used again in between.
        return Verdict.WINS if incoming.at > deleted_at else Verdict.LOSES
    if incoming.deleted:
        # What is gone once is gone: by what an event said of it first, else by who looked first.
        said, stands = (incoming.certainty is not Certainty.TOLD), (stored.certainty is not Certainty.TOLD)
        return Verdict.WINS if (said, incoming.at) < (stands, deleted_at) else Verdict.LOSES
    created_again = incoming.created is not None and incoming.created > deleted_at
    created_that_second = incoming.created == deleted_at
    if created_again:
        return Verdict.WINS if incoming.whole else Verdict.PARTIAL
    if incoming.certainty is Certainty.SETTLED and (incoming.at > deleted_at or created_that_second):
        return Verdict.WINS
    return Verdict.DOUBT if created_that_second else Verdict.LOSES


def _deletion(stored: Stored, incoming: Incoming) -> Verdict:
    """A deletion holds however late it comes, except over an object created after it, or seen alive after it to
    settle.
    """
    if stored.created is not None and stored.created > incoming.at:
        return Verdict.LOSES
    if stored.certainty is Certainty.SETTLED and stored.at > incoming.at:
        return Verdict.LOSES
    if stored.created == incoming.at and incoming.certainty is not Certainty.SETTLED:
        return Verdict.DOUBT
    return Verdict.WINS


def without_a_look(stored: Stored, incoming: Incoming, *, first: bool, followed: bool) -> Verdict:
    """What becomes of a version in doubt when Stripe cannot be asked (a discount has no endpoint of its own).

    An event outdoes what was read in its second: had the reading been the later one, it would show the same. Of two
    events the later in the object's life wins: `first` says that the incoming one told of its creation, `followed`
    that a known event of that second changed just what it tells. Else what was told last holds.
    """
    if incoming.certainty is not stored.certainty:
        return Verdict.WINS if incoming.certainty is Certainty.TOLD else Verdict.LOSES
    return Verdict.LOSES if first or followed else Verdict.WINS
