"""URLs of servers on this machine."""

from __future__ import annotations

import ipaddress


def local_url(host: str, port: int) -> str:
    """The URL of a server on this machine that listens on ``host``."""
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return f"http://{host}:{port}"
    if address.is_unspecified:
        address = ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")
    return f"http://[{address}]:{port}" if address.version == 6 else f"http://{address}:{port}"
