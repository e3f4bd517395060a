import socket
import threading
import time
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fixtures.properties import examples
from tests.fixtures.waiting import wait_until
from yeban.webhooks import addresses
from yeban.webhooks.addresses import is_private, look_up, may_be_called
from yeban.webhooks.failures import Failure, NotSent

PUBLIC = ["8.8.8.8", "93.184.215.14", "2600::1", "2400:3200::1", "64:ff9b::8.8.8.8", "::ffff:8.8.8.8"]
PRIVATE = [
    "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "127.0.0.1", "127.8.8.8", "198.18.0.5",
    "::1", "fd12::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b:1::1",
]  # fmt: skip
NEVER = [
    "0.0.0.0", "0.1.2.3", "169.254.169.254", "169.254.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.192",  # noqa: S104
    "192.0.2.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "203.0.113.9",
    "::", "fe80::1", "fec0::1", "ff02::1", "fd00:ec2::254", "2001:db8::1", "2001::1", "2002:7f00:1::", "100::1",
    "::ffff:169.254.169.254", "64:ff9b::169.254.169.254", "::127.0.0.1", "4000::1",
]  # fmt: skip


def soon(seconds=120.0):
    return time.monotonic() + seconds


@pytest.mark.parametrize(
    ("text", "by_default", "allowed"),
    [
        *((text, True, True) for text in PUBLIC),
        *((text, False, True) for text in PRIVATE),
        *((text, False, False) for text in NEVER),
    ],
)
def test_which_addresses_may_be_called(text, by_default, allowed):
    address = ip_address(text)
    assert may_be_called(address, private=False) is by_default
    assert may_be_called(address, private=True) is allowed
    assert is_private(address) is (allowed and not by_default)


@given(
    st.one_of(
        st.ip_addresses(v=4), st.ip_addresses(v=6), st.integers(0, 2**32 - 1).map(lambda n: n << 96).map(IPv6Address)
    )
)
@examples(500)
def test_whatever_is_called_by_default_is_public_to_python_too(address):
    if may_be_called(address, private=False):
        inner = IPv4Address(int(address) & 0xFFFFFFFF) if str(address).startswith("64:ff9b::") else address
        assert inner.is_global
        assert not inner.is_multicast


@pytest.fixture
def names(monkeypatch):
    """What the system's name service says."""
    known: dict[str, list[str]] = {}

    def look_up(host, port, **_):
        if host not in known:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        families = {4: socket.AF_INET, 6: socket.AF_INET6}
        return [(families[ip_address(text).version], socket.SOCK_STREAM, 6, "", (text, port)) for text in known[host]]

    monkeypatch.setattr(addresses.socket, "getaddrinfo", look_up)
    return known


@pytest.mark.parametrize("text", [*PRIVATE, *NEVER])
def test_a_name_that_leads_inside_is_refused(names, text):
    names["innocent.example"] = [text]
    with pytest.raises(NotSent) as caught:
        look_up("innocent.example", 443, private=False, deadline=soon())
    assert caught.value.failure is Failure.ADDRESS_REFUSED


def test_a_name_of_which_one_address_leads_inside_is_refused(names):
    names["mixed.example"] = ["8.8.8.8", "10.0.0.1"]
    with pytest.raises(NotSent) as caught:
        look_up("mixed.example", 443, private=False, deadline=soon())
    assert caught.value.failure is Failure.ADDRESS_REFUSED


def test_the_addresses_that_were_checked_are_those_to_connect_to(names):
    names["good.example"] = ["8.8.8.8", "2600::1"]
    found = look_up("good.example", 8443, private=False, deadline=soon())
    assert [(str(address.ip), address.where[1]) for address in found] == [("8.8.8.8", 8443), ("2600::1", 8443)]


def test_a_name_that_there_is_not(names):
    with pytest.raises(NotSent) as caught:
        look_up("none.example", 443, private=False, deadline=soon())
    assert caught.value.failure is Failure.NAME_NOT_FOUND


@pytest.mark.parametrize("text", ["2130706433", "0x7f.1", "0177.0.0.1", "127.1"])
def test_numbers_that_libc_takes_for_addresses_are_judged_as_such(text):
    with pytest.raises(NotSent) as caught:
        look_up(text, 80, private=False, deadline=soon())
    assert caught.value.failure in {Failure.ADDRESS_REFUSED, Failure.NAME_NOT_FOUND}


def test_a_name_service_that_hangs_costs_no_more_than_the_deadline(monkeypatch):
    leave = threading.Event()
    monkeypatch.setattr(addresses, "_LOOK_UPS", places := threading.BoundedSemaphore(2))
    monkeypatch.setattr(addresses.socket, "getaddrinfo", lambda *_, **__: leave.wait(120) or [])
    started = time.monotonic()
    for _ in range(4):  # two of which find no place
        with pytest.raises(NotSent) as caught:
            look_up("slow.example", 443, private=False, deadline=soon(0.05))
        assert caught.value.failure is Failure.TIMED_OUT
    assert time.monotonic() - started < 30  # two minutes for each that found a place, where they are waited for
    leave.set()
    wait_until(lambda: places.acquire(blocking=False), what="a place given back")
