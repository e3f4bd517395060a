"""Addresses that a webhook may call, to prevent server-side request forgery.

A URL could otherwise make this machine call services that only it can reach: itself, its network, or a cloud's metadata
service. A host name proves nothing, since its owner can point it anywhere at any time. So every attempt checks the
addresses, and connects to one of the checked ones.
"""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from queue import Empty, SimpleQueue
from typing import Any

from yeban.webhooks.failures import Failure, NotSent

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network


def _networks(*texts: str) -> tuple[IPNetwork, ...]:
    return tuple(ip_network(text) for text in texts)


# From IANA's special-purpose registries; the properties of `ipaddress` differ between versions of Python.
#: Addresses of private networks, called only if the settings allow it.
PRIVATE = _networks(
    "10.0.0.0/8",
    "100.64.0.0/10",  # carrier-grade NAT and VPNs
    "127.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "198.18.0.0/15",  # benchmarking; used by proxies that answer for every name
    "::1/128",
    "64:ff9b:1::/48",
    "fc00::/7",
)
#: Reserved, multicast and metadata addresses: never called.
NEVER = _networks(
    "0.0.0.0/8",
    "100.100.100.200/32",  # metadata, Alibaba Cloud
    "168.63.129.16/32",  # metadata, Azure
    "169.254.0.0/16",  # link-local; metadata of most clouds
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "3fff::/20",
    "fd00:ec2::254/128",  # metadata, AWS
    "fd20:ce::254/128",  # metadata, Google
)
_GLOBAL_IPV6 = ip_network("2000::/3")
_NAT64 = ip_network("64:ff9b::/96")
_LOOK_UP_S = 5.0
# Per process. A hanging name server blocks a thread until libc gives up.
_LOOK_UPS = threading.BoundedSemaphore(8)


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """An address for the socket module."""

    family: socket.AddressFamily
    where: tuple[Any, ...]
    ip: IPAddress


def is_private(address: IPAddress) -> bool:
    """Report whether an address, or the IPv4 address within, is private."""
    address = _inner(address)
    return _is_in(address, PRIVATE) and not _is_in(address, NEVER)


def may_be_called(address: IPAddress, *, private: bool) -> bool:
    """Report whether a webhook may call ``address``; ``private`` allows addresses of private networks."""
    address = _inner(address)
    if _is_in(address, NEVER):
        return False
    if _is_in(address, PRIVATE):
        return private
    return address.version == 4 or address in _GLOBAL_IPV6


def look_up(host: str, port: int, *, private: bool, deadline: float) -> list[Address]:
    """Resolve a host to addresses that may all be called.

    ``deadline`` is a time of the monotonic clock. Raises :class:`~yeban.webhooks.failures.NotSent`, also if only one of
    several addresses is refused: a mixture suggests an attack.
    """
    found = _ask(host, port, deadline)
    addresses = [
        Address(family=family, where=where, ip=ip_address(str(where[0]).partition("%")[0]))
        for family, _kind, _protocol, _name, where in found
        if family in {socket.AF_INET, socket.AF_INET6}
    ]
    if not addresses:
        raise NotSent(Failure.NAME_NOT_FOUND)
    if not all(may_be_called(address.ip, private=private) for address in addresses):
        raise NotSent(Failure.ADDRESS_REFUSED)
    return addresses


def _ask(host: str, port: int, deadline: float) -> list[Any]:
    """Resolve in a thread that is abandoned at the deadline: libc has no timeout."""
    deadline = min(deadline, time.monotonic() + _LOOK_UP_S)
    if not _LOOK_UPS.acquire(timeout=max(0.0, deadline - time.monotonic())):
        raise NotSent(Failure.TIMED_OUT)
    answers: SimpleQueue[list[Any] | None] = SimpleQueue()

    def ask() -> None:
        try:
            answers.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError):
            answers.put(None)
        finally:
            _LOOK_UPS.release()

    threading.Thread(target=ask, name="look-up", daemon=True).start()
    try:
        found = answers.get(timeout=max(0.0, deadline - time.monotonic()))
    except Empty:
        raise NotSent(Failure.TIMED_OUT) from None
    if found is None:
        raise NotSent(Failure.NAME_NOT_FOUND)
    return found


def _inner(address: IPAddress) -> IPAddress:
    """Unwrap an IPv4 address embedded in an IPv6 address."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _is_in(address: IPAddress, networks: tuple[IPNetwork, ...]) -> bool:
    return any(address in network for network in networks)
