"""The proxy forwards in fair weather, and in foul does just what it says."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from tests.faults.proxy import Proxy, Weather
from tests.fixtures.waiting import wait_until


@pytest.fixture
def proxy(tmp_path) -> Iterator[Proxy]:
    """In front of a server that says everything back."""
    path = tmp_path / "echo.sock"
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()

    def echo(connection: socket.socket) -> None:
        with connection:
            while block := connection.recv(4096):
                connection.sendall(block)

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=echo, args=[connection], daemon=True).start()

    serving = threading.Thread(target=serve, daemon=True)
    serving.start()
    opened = Proxy(path)
    yield opened
    opened.close()
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    serving.join(60)


@pytest.fixture
def client(proxy) -> Iterator[socket.socket]:
    with connect(proxy) as connected:
        assert says_back(connected, b"before")
        yield connected


def connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=60)


def says_back(client: socket.socket, said: bytes) -> bool:
    client.sendall(said)
    return client.recv(4096) == said


def test_refusing_closes_what_is_open_and_refuses_what_is_new(proxy, client):
    proxy.set(Weather.REFUSE)
    assert client.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)


def test_a_black_hole_keeps_what_is_said_and_lets_it_through_later(proxy, client):
    proxy.set(Weather.BLACK_HOLE)
    client.sendall(b"held")
    with connect(proxy) as newcomer:
        newcomer.sendall(b"held too")
        for waiting in (client, newcomer):
            waiting.settimeout(0.3)
            with pytest.raises(TimeoutError):
                waiting.recv(1)
            waiting.settimeout(60)
        proxy.set(Weather.FAIR)
        assert (client.recv(4096), newcomer.recv(4096)) == (b"held", b"held too")


def test_resetting_breaks_what_is_open_and_what_is_new(proxy, client):
    proxy.set(Weather.RESET)
    with pytest.raises(ConnectionResetError):
        client.recv(1)

    def is_reset() -> bool:
        try:
            with connect(proxy) as newcomer:
                return newcomer.recv(1) == b"?"
        except ConnectionResetError:
            return True

    assert is_reset()


@pytest.mark.parametrize("weather", [Weather.REFUSE, Weather.BLACK_HOLE, Weather.RESET])
def test_the_weather_clears_up(proxy, weather):
    proxy.set(weather)
    proxy.set(Weather.FAIR)

    def works() -> bool:
        with connect(proxy) as client:
            return says_back(client, b"again")

    wait_until(works, what="a proxy that forwards again")
