"""Where a destination is: its name resolved, and each address looked at before anybody connects to it.

Who may name a destination could otherwise let the hub speak to machines that only the hub can reach. The address that
was looked at is the one that is connected to, so that a name which leads elsewhere a moment later gains nothing.
"""

import ipaddress
import socket

from tidegate.errors import AddressRefused

Address = tuple[int, str, int]
"""Family, IP address, port."""


def checked(host: str, port: int, *, allow_private: bool = False) -> list[Address]:
    """The addresses of a host. Raises AddressRefused where one of them is private, of this machine, or reserved, unless
    those are allowed; and OSError where there is none.
    """
    found: list[Address] = []
    for family, _, _, _, place in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        address = str(place[0])
        if not allow_private and not is_public(address):
            raise AddressRefused(host=host, address=address)
        found.append((family, address, port))
    return found


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the Internet; one of IPv4 in the clothes of IPv6 is taken for what it is."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None) or _nat64(ip)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast


def _nat64(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    inside = ip in ipaddress.ip_network("64:ff9b::/96")
    return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if inside else None
