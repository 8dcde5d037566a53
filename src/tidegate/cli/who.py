"""Who types a command, for the record of changes."""

import getpass
import os


def person() -> str:
    """`cli:ada`: the user of this machine, by number where that has no name."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):  # a container may run as a user that nobody named
        return f"cli:{os.getuid()}"
