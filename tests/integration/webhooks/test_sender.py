"""One try against a real receiver, whatever that does."""

import socket
import ssl

import pytest

from tests.fixtures.ports import refusing_port
from tests.fixtures.receiver import answer
from yeban.webhooks import addresses, sender
from yeban.webhooks.failures import Failure
from yeban.webhooks.sender import send
from yeban.webhooks.targets import parse


def post(url, *, private=True, limit_s=60.0, body=b"{}"):
    return send(parse(url), {"webhook-id": "msg"}, body, private=private, limit_s=limit_s)


def test_a_message_is_posted(receiver):
    found = post(receiver.url("/hook?key=1"), body=b'{"a": 1}')
    assert (found.status, found.failure) == (200, None)
    (got,) = receiver.received
    assert (got.path, got.body, got.headers["host"]) == ("/hook?key=1", b'{"a": 1}', f"127.0.0.1:{receiver.port}")
    assert got.headers["content-type"] == "application/json"
    assert got.headers["user-agent"].startswith("Yeban/")
    assert got.headers["webhook-id"] == "msg"


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_an_arrival(receiver, status):
    receiver.behave = status
    assert post(receiver.url()).failure is None


@pytest.mark.parametrize(
    ("status", "failure"),
    [(300, Failure.NOT_ACCEPTED), (400, Failure.NOT_ACCEPTED), (410, Failure.GONE), (500, Failure.NOT_ACCEPTED)],
)
def test_any_other_status_is_none(receiver, status, failure):
    receiver.behave = status
    found = post(receiver.url())
    assert (found.status, found.failure) == (status, failure)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(receiver, start_receiver, status):
    other = start_receiver()
    receiver.behave = lambda handler: answer(handler, status, Location=other.url())
    found = post(receiver.url())
    assert (found.status, found.failure) == (status, Failure.NOT_ACCEPTED)
    assert other.received == []


def test_proxies_of_the_environment_are_ignored(receiver, start_receiver, monkeypatch):
    proxy = start_receiver()
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, proxy.url(""))
    assert post(receiver.url()).failure is None
    assert (len(receiver.received), proxy.received) == (1, [])


def test_a_receiver_that_says_nothing_is_given_up_in_time(receiver):
    receiver.behave = lambda _: receiver.leave.wait(120)
    found = post(receiver.url(), limit_s=0.3)
    assert (found.status, found.failure) == (None, Failure.TIMED_OUT)
    assert 0.25 < found.seconds < 30


def test_a_receiver_that_says_a_byte_now_and_then_is_given_up_in_time(receiver):
    def dribble(handler):
        for byte in b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000:
            handler.wfile.write(bytes([byte]))
            if receiver.leave.wait(0.05):
                return

    receiver.behave = dribble
    found = post(receiver.url(), limit_s=0.5)
    assert (found.status, found.failure) == (None, Failure.TIMED_OUT)
    assert found.seconds < 30


def test_a_body_is_not_waited_for(receiver, monkeypatch):
    monkeypatch.setattr(sender, "_BODY_S", 0.2)

    def dribble(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "1000000")
        handler.end_headers()
        while not receiver.leave.wait(0.05):
            handler.wfile.write(b"x")

    receiver.behave = dribble
    found = post(receiver.url())
    assert (found.status, found.failure) == (200, None)
    assert found.seconds < 30


def test_of_a_huge_body_only_the_beginning_is_read(receiver):
    sent = []

    def flood(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(2**31))
        handler.end_headers()
        while not receiver.leave.is_set():
            sent.append(handler.wfile.write(b"x" * 2**16))

    receiver.behave = flood
    assert post(receiver.url()).failure is None
    assert sum(sent) < 2**25  # what the buffers of two sockets hold


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X-" + b"y" * 500 + b": z\r\n"),
        (b"HTTP/1.1 200 OK\r\n", b"y" * 1000),
        (b"", b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n" * 100),
    ],
)
def test_an_answer_without_an_end_ends_the_try(receiver, first, again):
    def flood(handler):
        handler.wfile.write(first)
        while not receiver.leave.is_set():
            handler.wfile.write(again)

    receiver.behave = flood
    found = post(receiver.url())
    assert (found.status, found.failure) == (None, Failure.NO_HTTP_ANSWER)
    assert found.seconds < 30


def test_only_the_last_of_several_answers_counts(receiver):
    receiver.behave = lambda handler: handler.wfile.write(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"
    )
    assert post(receiver.url()).status == 204


@pytest.mark.parametrize("said", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 abc\r\n\r\n", b"\x15\x03\x01\x00\x02\x02\x16"])
def test_what_is_no_http_is_told(receiver, said):
    receiver.behave = lambda handler: handler.wfile.write(said)
    assert post(receiver.url()).failure is Failure.NO_HTTP_ANSWER


def test_a_port_where_nothing_listens():
    with refusing_port() as port:
        assert post(f"http://127.0.0.1:{port}/").failure is Failure.NOT_REACHED


def test_a_port_that_takes_connections_and_does_nothing():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(1)
        for scheme in ("http", "https"):
            found = post(f"{scheme}://127.0.0.1:{listening.getsockname()[1]}/", limit_s=0.3)
            assert (found.status, found.failure) == (None, Failure.TIMED_OUT)
            assert found.seconds < 30


def test_loopback_is_not_called_unless_that_is_allowed(receiver):
    for host in ("127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]"):
        found = post(receiver.url(host=host), private=False)
        assert (found.status, found.failure) == (None, Failure.ADDRESS_REFUSED)
    assert receiver.received == []


def test_the_address_that_was_checked_is_the_one_called(receiver, monkeypatch):
    """A name that leads elsewhere when it is looked up again: DNS rebinding."""
    asked = []

    def rebinding(host, port, **_):
        asked.append(host)
        address = "127.0.0.1" if len(asked) == 1 else "127.0.0.2"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(addresses.socket, "getaddrinfo", rebinding)
    assert post(receiver.url(host="rebind.example")).failure is None
    assert asked == ["rebind.example"]
    assert receiver.received[0].headers["host"] == f"rebind.example:{receiver.port}"


def test_another_address_is_tried_where_one_is_not_reached(receiver, monkeypatch):
    def two(_host, port, **_):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, port)) for text in ("127.7.7.7", "127.0.0.1")]

    monkeypatch.setattr(addresses.socket, "getaddrinfo", two)
    assert post(receiver.url(host="two.example")).failure is None


def test_http_leads_nowhere_outside(monkeypatch):
    called = []
    monkeypatch.setattr(sender, "_connect", lambda *_: called.append(1))
    assert post("http://8.8.8.8/").failure is Failure.HTTPS_REQUIRED
    assert called == []


@pytest.fixture
def tls_receiver(certificates, start_receiver, monkeypatch):
    """Start a receiver with one of the certificates; only ``ca`` is trusted."""
    monkeypatch.setattr(sender, "tls_context", lambda: ssl.create_default_context(cafile=str(certificates.ca)))

    def start(name):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        pair = getattr(certificates, name)
        context.load_cert_chain(pair.certificate, pair.key)
        return start_receiver(tls=context)

    return start


def test_tls_is_spoken_to_the_name_that_was_asked_for(tls_receiver):
    receiver = tls_receiver("good")
    for host in ("localhost", "127.0.0.1"):
        assert post(receiver.url(host=host)).failure is None
    assert len(receiver.received) == 2


def test_it_is_the_name_and_not_the_address_that_a_certificate_is_for(tls_receiver, monkeypatch):
    receiver = tls_receiver("elsewhere")

    def here(_host, port, **_):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(addresses.socket, "getaddrinfo", here)
    assert post(receiver.url(host="elsewhere.example")).failure is None
    assert post(receiver.url(host="another.example")).failure is Failure.CERTIFICATE_NOT_TRUSTED


@pytest.mark.parametrize("certificate", ["elsewhere", "expired"])
def test_a_receiver_that_cannot_show_who_it_is_gets_nothing(tls_receiver, certificate):
    receiver = tls_receiver(certificate)
    found = post(receiver.url(host="localhost"))
    assert (found.status, found.failure) == (None, Failure.CERTIFICATE_NOT_TRUSTED)
    assert receiver.received == []


def test_https_to_what_speaks_none(receiver):
    assert post(receiver.url().replace("http", "https")).failure is Failure.TLS_FAILED


def test_the_default_context_asks_for_a_certificate():
    context = sender.tls_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
