"""Ports of 127.0.0.1 for servers that are told one before they listen."""

import socket


def free_port() -> int:
    """One that nobody listens on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
