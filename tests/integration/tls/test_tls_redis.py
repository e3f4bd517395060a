from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kombu import pools

from tests.fixtures.tls import PASSWORD, Certificates, TlsServer
from yeban.errors import ServiceUnavailable
from yeban.messaging.queues import (
    BULK_QUEUE,
    SEND_ERRORS,
    TaskSender,
    check_tls,
    make_celery,
    make_redis,
    redis_problem,
)
from yeban.messaging.tls import tls_failure
from yeban.settings import Settings

StartRedis = Callable[..., TlsServer]


@pytest.fixture(autouse=True)
def _fresh_pools() -> Iterator[None]:
    """kombu shares connections between the apps of one server, whatever they trust; our programs name it once."""
    yield
    pools.reset()


def waiting_after_a_send(url: str) -> int:
    """Messages that our client finds in the queue after kombu sent two."""
    sender = TaskSender.connect("test", Settings(), url)
    with make_redis(url) as client:
        client.flushdb()
        try:
            sender.hint_chunks([1, 2])
        finally:
            sender.close()
        return int(client.llen(BULK_QUEUE))  # type: ignore[arg-type]


def refusal(url: str) -> tuple[str, str]:
    """Why each of the two libraries does not speak to the server."""
    app = make_celery("test", Settings(), url)
    with pytest.raises(ServiceUnavailable) as ours, make_redis(url) as client:
        check_tls(client)
    with pytest.raises(SEND_ERRORS) as kombus, app.connection_for_write() as connection:
        connection.ensure_connection(max_retries=1, interval_start=0.01)
    assert PASSWORD not in ours.value.detail + str(redis_problem(kombus.value))
    return ours.value.detail, str(redis_problem(kombus.value))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_both_libraries_speak_to_a_server_they_can_verify(
    tls_redis: StartRedis, certificates: Certificates, host: str
) -> None:
    url = tls_redis(certificates.good).redis_url(host=host, ssl_ca_certs=certificates.ca)

    assert waiting_after_a_send(url) == 2


@pytest.mark.parametrize(
    ("shown", "trusted", "reason"),
    [
        ("good", "stranger", "self-signed certificate in certificate chain"),
        ("good", None, "self-signed certificate in certificate chain"),
        ("elsewhere", "ca", "Hostname mismatch"),
        ("expired", "ca", "certificate has expired"),
    ],
)
def test_a_server_that_cannot_be_verified_is_refused_by_both(
    tls_redis: StartRedis, certificates: Certificates, shown: str, trusted: str | None, reason: str
) -> None:
    options = {} if trusted is None else {"ssl_ca_certs": getattr(certificates, trusted)}
    url = tls_redis(getattr(certificates, shown)).redis_url(**options)

    for said in refusal(url):
        assert "Cannot make a trusted TLS connection to Redis: its certificate was refused" in said
        assert reason in said


@pytest.mark.parametrize("option", ["ssl_cert_reqs=none", "ssl_cert_reqs=CERT_NONE"])
def test_verification_can_be_switched_off_and_the_log_says_so(
    tls_redis: StartRedis, certificates: Certificates, caplog: pytest.LogCaptureFixture, option: str
) -> None:
    name, _, value = option.partition("=")
    url = tls_redis(certificates.expired).redis_url(**{name: value})

    with caplog.at_level(logging.WARNING):
        assert waiting_after_a_send(url) == 2

    assert "YEBAN_REDIS_URL says not to check its certificate" in caplog.text
    assert PASSWORD not in caplog.text


def test_a_host_name_may_go_unchecked_alone(tls_redis: StartRedis, certificates: Certificates) -> None:
    server = tls_redis(certificates.elsewhere)
    trusting = server.redis_url(ssl_ca_certs=certificates.ca, ssl_check_hostname="false")
    mistrusting = server.redis_url(ssl_ca_certs=certificates.stranger, ssl_check_hostname="false")

    assert waiting_after_a_send(trusting) == 2
    assert all("was refused" in said for said in refusal(mistrusting))


def test_a_client_shows_its_own_certificate(tls_redis: StartRedis, certificates: Certificates) -> None:
    server = tls_redis(certificates.good, client_certificates=True)
    ours = {"ssl_certfile": certificates.client.certificate, "ssl_keyfile": certificates.client.key}

    assert waiting_after_a_send(server.redis_url(ssl_ca_certs=certificates.ca, **ours)) == 2
    with make_redis(server.redis_url(ssl_ca_certs=certificates.ca)) as client, pytest.raises(SEND_ERRORS):
        client.ping()


def test_a_server_that_is_away_is_not_said_to_be_mistrusted(tmp_path: Path) -> None:
    with make_redis(f"unix://{tmp_path}/none.sock") as client, pytest.raises(SEND_ERRORS) as caught:
        client.ping()

    assert tls_failure(caught.value) is None
    assert str(redis_problem(caught.value)).startswith("Redis does not answer")
