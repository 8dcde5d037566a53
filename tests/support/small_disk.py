"""A file system that is soon full: a tmpfs of some megabytes, which only the process that asked and its children see.

Root makes it in a mount namespace of its own, anybody else in a user namespace; nothing outside changes, and it goes
with the last of these processes.
"""

import ctypes
import os
from pathlib import Path

NEW_MOUNTS, NEW_USER = 0x00020000, 0x10000000  # linux/sched.h: CLONE_NEWNS, CLONE_NEWUSER
PRIVATE, RECURSIVE = 1 << 18, 1 << 14  # linux/mount.h: MS_PRIVATE, MS_REC

libc = ctypes.CDLL(None, use_errno=True)


def mount(folder: Path, size: int) -> None:
    """Mounts one of `size` bytes on the folder, for this process, which must have one thread only, and its children.

    Raises PermissionError where the system lets this account do neither (as in most containers).
    """
    uid, gid = os.getuid(), os.getgid()
    _call(libc.unshare(NEW_MOUNTS if uid == 0 else NEW_MOUNTS | NEW_USER), "unshare")
    if uid:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    _call(libc.mount(None, b"/", None, PRIVATE | RECURSIVE, None), "mount --make-rprivate /")
    options = f"size={size},mode=755".encode()
    _call(libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, options), f"mount -t tmpfs {folder}")


def possible(folder: Path) -> str:
    """Why `mount` would fail here; empty when it would not. Tried in a child, which leaves nothing behind."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        try:
            mount(folder, 1 << 20)
        except OSError as refused:
            os.write(writing, str(refused).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said


def fill(folder: Path, left: int) -> Path:
    """Fills the file system but for so many bytes; returns the file that does so."""
    filler = folder / "filler"
    with filler.open("wb") as file:
        free = os.statvfs(folder)
        os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize - left)
    return filler


def _call(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
