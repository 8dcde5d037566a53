"""Connections that a library makes by itself: looked at in the moment in which they begin, by the address that they
lead to.

What was resolved beforehand says nothing of that: the library asks again, and a name may lead elsewhere by then.
"""

import errno
import sys
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any, NamedTuple, cast

from tidegate.delivery import addresses
from tidegate.errors import AddressRefused

_EVENTS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_guard: ContextVar["_Guard | None"] = ContextVar("guard", default=None)


@contextmanager
def public_only(host: str) -> Generator[list[AddressRefused]]:
    """Whatever is connected or sent to within, in this thread and in others that were given its context, has a public
    address; anything else fails as on a network that forbids it, and is in the list that this gives. `host`: what their
    messages call it.
    """
    _install()
    guard = _Guard(host, [])
    before = _guard.set(guard)
    try:
        yield guard.refused
    finally:
        _guard.reset(before)


class _Guard(NamedTuple):
    host: str
    refused: list[AddressRefused]


@cache
def _install() -> None:
    sys.addaudithook(_look)


def _look(event: str, args: tuple[Any, ...]) -> None:
    if event not in _EVENTS:
        return
    guard, place = _guard.get(), args[1]
    if guard is None or place is None:  # None: a datagram of a socket that is connected
        return
    try:
        _require_public(guard.host, place)
    except AddressRefused as error:
        guard.refused.append(error)
        raise PermissionError(errno.EACCES, "its address is private") from error


def _require_public(host: str, place: Any) -> None:
    """Raises AddressRefused; and OSError for a name that is none: a datagram alone may go to a name still."""
    if not isinstance(place, tuple):
        raise AddressRefused(host=host, address=str(place))  # a socket in the file system
    address = str(cast("tuple[Any, ...]", place)[0])
    try:
        public = addresses.is_public(address)
    except ValueError:
        addresses.checked(address, 0)
        return
    if not public:
        raise AddressRefused(host=host, address=address)
