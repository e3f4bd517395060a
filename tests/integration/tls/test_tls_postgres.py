from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from sqlalchemy import text

from tests.fixtures.tls import PASSWORD, Certificate, Certificates, TlsServer
from yeban.database.engine import Database
from yeban.database.migrations import migrate
from yeban.errors import ServiceUnavailable

StartPostgres = Callable[[Certificate], TlsServer]


def who(url: str) -> tuple[str, bool]:
    """The account and whether the connection is encrypted."""
    database = Database(url, pool_size=1)
    try:
        with database.begin() as connection:
            row = connection.execute(
                text("SELECT current_user::text, ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            ).one()
            return row[0], row[1]
    finally:
        database.close()


@pytest.mark.parametrize("options", [{"sslmode": "verify-full"}, {}])
def test_a_server_that_can_be_verified_is_used(
    tls_postgres: StartPostgres, certificates: Certificates, options: dict[str, str]
) -> None:
    url = tls_postgres(certificates.good).database_url(sslrootcert=certificates.ca, **options)

    assert who(url) == ("yeban", True)


@pytest.mark.parametrize("options", [{"sslmode": "verify-full"}, {}])
@pytest.mark.parametrize(
    ("shown", "trusted", "reason"),
    [
        ("good", "stranger", "certificate verify failed"),
        ("elsewhere", "ca", 'does not match host name "localhost"'),
        ("expired", "ca", "certificate verify failed"),
    ],
)
def test_a_server_that_cannot_be_verified_is_refused(
    tls_postgres: StartPostgres,
    certificates: Certificates,
    shown: str,
    trusted: str,
    reason: str,
    options: dict[str, str],
) -> None:
    server = tls_postgres(getattr(certificates, shown))
    url = server.database_url(sslrootcert=getattr(certificates, trusted), **options)

    for act in (who, migrate):
        with pytest.raises(ServiceUnavailable) as caught:
            act(url)
        assert "Cannot make a trusted TLS connection to the database" in caught.value.detail
        assert reason in caught.value.detail
        assert PASSWORD not in caught.value.detail


def test_a_ca_file_that_is_missing_is_named(tls_postgres: StartPostgres, certificates: Certificates) -> None:
    url = tls_postgres(certificates.good).database_url(sslrootcert="/nowhere/ca.pem")

    with pytest.raises(ServiceUnavailable, match=r"/nowhere/ca\.pem"):
        who(url)


@pytest.mark.parametrize(("mode", "what"), [("require", "certificate"), ("verify-ca", "host name")])
def test_less_is_verified_only_when_asked_for_and_the_log_says_so(
    tls_postgres: StartPostgres, certificates: Certificates, caplog: pytest.LogCaptureFixture, mode: str, what: str
) -> None:
    url = tls_postgres(certificates.elsewhere).database_url(
        sslmode=mode, **({} if mode == "require" else {"sslrootcert": certificates.ca})
    )

    with caplog.at_level(logging.WARNING):
        assert who(url) == ("yeban", True)

    assert f"sslmode={mode} does not check its {what}" in caplog.text
    assert PASSWORD not in caplog.text


def test_a_client_logs_in_by_its_certificate(tls_postgres: StartPostgres, certificates: Certificates) -> None:
    server = tls_postgres(certificates.good)
    ours = {"sslcert": certificates.client.certificate, "sslkey": certificates.client.key}

    url = server.database_url(user="yeban_by_certificate", sslrootcert=certificates.ca, **ours)

    assert who(url) == ("yeban_by_certificate", True)
