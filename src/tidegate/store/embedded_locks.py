"""File locks of the kernel (`flock`): they end with their holder however it dies, and a forked child gets its own."""

import os
import threading
import weakref
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path


def open_lock(path: Path) -> int:
    """A descriptor of the lock file, made when missing, or of a directory, which can be locked as well; it is closed
    in programs this process runs.
    """
    return os.open(path, os.O_RDONLY) if path.is_dir() else os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def try_exclusive(descriptor: int) -> bool:
    """Take the lock for this descriptor alone, without waiting; a shared lock it held may be lost when that fails."""
    import fcntl  # not at the top: Windows has none, and must be able to import this far to say so

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def share(path: Path) -> int:
    """A new descriptor that holds the file's shared lock; waits while somebody holds it exclusively."""
    import fcntl

    descriptor = open_lock(path)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def release(descriptor: int) -> None:
    """Unlock and close. Closing alone would leave the lock to a child that was forked and has not run its program."""
    import fcntl

    fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


@contextmanager
def exclusive(path: Path) -> Generator[None, None, None]:
    """Hold the lock of the file or directory exclusively; waits for its turn."""
    import fcntl

    descriptor = open_lock(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        release(descriptor)


class UserLock:
    """This process's shared lock on a file, held from `join` to `leave`.

    A lock belongs to the open file, which a forked child shares with its parent: either could turn it exclusive or drop
    it for both. So a child gets a shared lock of its own before it runs, and the parent's is closed in it. `mutex` is
    held during a fork, so that no child inherits a lock half way through a start or stop.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.mutex = threading.RLock()
        self._held: int | None = None
        self._for_child: int | None = None
        _user_locks.add(self)

    @property
    def joined(self) -> bool:
        """Whether this process holds the lock."""
        return self._held is not None

    def join(self) -> None:
        """Take the shared lock; it must not be held yet."""
        self._held = share(self.path)

    def turn_exclusive(self) -> bool:
        """Whether nobody else holds the lock. After False it may be lost: only `leave` may follow."""
        return self._held is not None and try_exclusive(self._held)

    def leave(self) -> None:
        """Give the lock up."""
        held, self._held = self._held, None
        if held is not None:
            release(held)

    def before_fork(self) -> None:
        self.mutex.acquire()
        if self._held is not None:
            with suppress(FileNotFoundError):  # the folder was removed: nobody comes to its server any more
                self._for_child = share(self.path)

    def after_fork(self, in_child: bool) -> None:
        spare, self._for_child = self._for_child, None
        if in_child and self._held is not None:
            os.close(self._held)  # never unlocked here: that would unlock the parent's
            # Once more, so that the kernel lists it under the child's pid.
            self._held = share(self.path) if spare is not None else None
        if spare is not None:
            os.close(spare)
        self.mutex.release()


_user_locks: weakref.WeakSet[UserLock] = weakref.WeakSet()
_forking: list[UserLock] = []  # those whose mutex the fork in progress holds; one made meanwhile must not be released


def _before_fork() -> None:
    _forking[:] = sorted(_user_locks, key=id)
    for lock in _forking:
        lock.before_fork()


def _after_fork(in_child: bool) -> None:
    for lock in _forking:
        lock.after_fork(in_child)
    _forking.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=lambda: _after_fork(in_child=False),
        after_in_child=lambda: _after_fork(in_child=True),
    )
