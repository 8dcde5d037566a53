"""What was answered lately, and what to say while the hub cannot be reached; no request is made here."""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from tidegate_client.answers import UNREACHABLE, Check, anew

MOST = 10_000
"""Answers that are kept; the one that was asked for longest ago goes first."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds without asking after the hub could not be reached; doubled each time, so that your product never waits for a
hub that is down.
"""


@dataclass(frozen=True, slots=True)
class Settings:
    """How answers are kept.

    `fresh`: seconds in which an answer is used without asking. `keep`: seconds for which it may stand in while the hub
    cannot be reached. `fallback`: whether a feature is granted, or the value that it has, when nothing else is known.
    """

    fresh: float = 10.0
    keep: float = 86_400.0
    fallback: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class _Kept:
    check: Check
    tag: str
    at: float


class Memory:
    """Answers by contact and feature. Safe to use from many threads. Times are those of a monotonic clock."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._kept: OrderedDict[tuple[str, str], _Kept] = OrderedDict()
        self._lock = threading.Lock()
        self._ask_again = 0.0
        self._pause = 0.0

    def fresh(self, contact: str, feature: str, now: float) -> Check | None:
        """The answer, when it is new enough not to ask."""
        kept = self._find(contact, feature)
        new = kept is not None and now - kept.at < self._settings.fresh and not _over(kept.check)
        return kept.check if kept is not None and new else None

    def tag(self, contact: str, feature: str) -> str | None:
        """The entity tag of what is kept, to ask whether it still holds."""
        kept = self._find(contact, feature)
        return kept.tag or None if kept is not None else None

    def put(self, check: Check, tag: str, now: float) -> Check:
        """Keeps an answer."""
        with self._lock:
            self._kept[check.contact, check.feature] = _Kept(check, tag, now)
            self._kept.move_to_end((check.contact, check.feature))
            while len(self._kept) > MOST:
                self._kept.popitem(last=False)
        return check

    def holds(self, contact: str, feature: str, now: float) -> Check | None:
        """The kept answer, which the hub said still holds; None when it is gone meanwhile."""
        kept = self._find(contact, feature)
        return self.put(kept.check, kept.tag, now) if kept is not None else None

    def forget(self, contact: str, feature: str | None = None) -> None:
        """Asks anew the next time; for all features of the contact without one."""
        with self._lock:
            for key in [one for one in self._kept if one[0] == contact and feature in (None, one[1])]:
                del self._kept[key]

    def age(self, contact: str, feature: str, now: float) -> None:
        """Asks the next time whether the answer still holds; until then it may stand in."""
        with self._lock:
            if kept := self._kept.get((contact, feature)):
                self._kept[contact, feature] = replace(kept, at=min(kept.at, now - self._settings.fresh))

    def stands(self, check: Check, now: float) -> None:
        """Keeps how usage stands after a debit, to stand in; the next check asks all the same."""
        kept = self._find(check.contact, check.feature)
        if kept is not None:
            raw = {**kept.check.raw, **check.raw}
            check = replace(check, value=kept.check.value, until=kept.check.until, raw=raw)
        self.put(check, "", now - self._settings.fresh)

    def stand_in(self, contact: str, feature: str, now: float) -> Check:
        """What to go by while the hub cannot be reached: its last answer, unless that is old or said itself that it
        would be over by now; else the fallback.
        """
        kept = self._find(contact, feature)
        if kept is not None and now - kept.at < self._settings.keep and not _over(kept.check):
            return replace(anew(kept.check, datetime.now(UTC)), stale=True)
        said = (self._settings.fallback or {}).get(feature, False)
        value = None if isinstance(said, bool) else said
        return Check(contact, feature, said is not False, UNREACHABLE, value, stale=True)

    def may_ask(self, now: float) -> bool:
        """False for a while after the hub could not be reached."""
        return now >= self._ask_again

    def unreachable(self, now: float) -> None:
        """Notes that the hub did not answer."""
        with self._lock:
            self._pause = min(LONGEST_PAUSE, max(FIRST_PAUSE, 2 * self._pause))
            self._ask_again = now + self._pause

    def reached(self) -> None:
        """Notes that it did."""
        self._pause = self._ask_again = 0.0

    def _find(self, contact: str, feature: str) -> _Kept | None:
        with self._lock:
            return self._kept.get((contact, feature))


def _over(check: Check) -> bool:
    """Whether the answer itself said that something would change by now."""
    return check.until is not None and check.until <= datetime.now(UTC)
