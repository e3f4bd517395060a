"""Listen address, Host header, origin and security headers."""

from __future__ import annotations

import pytest

from web.http.hosts_and_headers import check_listen_address
from yeban.errors import ConfigurationError


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_addresses_need_no_accounts(settings, host):
    check_listen_address(settings.model_copy(update={"host": host}))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "tickets.example", "127.0.0.1.example"])  # noqa: S104
def test_other_addresses_need_accounts(settings, host):
    with pytest.raises(ConfigurationError, match="YEBAN_ACCOUNTS"):
        check_listen_address(settings.model_copy(update={"host": host}))
    check_listen_address(settings.model_copy(update={"host": host, "accounts": True}))


@pytest.mark.parametrize("host", ["localhost", "localhost:8400", "127.0.0.1:1", "[::1]:8400", "LocalHost"])
def test_loopback_names_are_answered(client, host):
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "10.0.0.1", "[::2]", "127.0.0.1.evil.example:8400"]
)
@pytest.mark.parametrize("path", ["/healthz", "/api/v1/jobs", "/", "/static/css/base.css"])
def test_other_names_are_refused(client, host, path):
    response = client.get(path, headers={"Host": host})
    assert response.status_code == 421


@pytest.mark.parametrize("host", ["", "a b", "[", "]:", "x" * 5000, "a@b", "\xff"])
def test_a_malformed_host_does_no_harm(client, host):
    assert client.get("/healthz", headers={"Host": host}).status_code in {400, 421}


def test_further_names_can_be_allowed(make_app):
    client = make_app(allowed_hosts="tickets.example, other.example").test_client()
    assert client.get("/healthz", headers={"Host": "other.example:80"}).status_code == 200
    assert client.get("/healthz", headers={"Host": "evil.example"}).status_code == 421


def test_with_accounts_addresses_are_answered_and_unknown_names_are_not(make_app):
    client = make_app(accounts=True, host="0.0.0.0").test_client()  # noqa: S104
    assert client.get("/healthz", headers={"Host": "192.168.1.5:8400"}).status_code == 200
    assert client.get("/healthz", headers={"Host": "evil.example"}).status_code == 421


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"},
    ],
)
def test_posts_from_other_sites_are_refused_and_change_nothing(client, job_id, headers):
    for path in (f"/api/v1/jobs/{job_id}/cancel", f"/jobs/{job_id}/cancel"):
        assert client.post(path, headers=headers).status_code == 403
    assert client.get(f"/api/v1/jobs/{job_id}").json["state"] == "queued"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://localhost"},
        {"Origin": "https://localhost"},
    ],
)
def test_own_pages_and_programs_may_post(client, job_id, headers):
    assert client.post(f"/api/v1/jobs/{job_id}/cancel", headers=headers).status_code == 200


def test_other_sites_may_not_read_answers(client):
    response = client.get("/api/v1/jobs", headers={"Origin": "https://evil.example"})
    assert not [name for name, _ in response.headers if name.startswith("Access-Control")]
    assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"


@pytest.mark.parametrize("path", ["/", "/upload", "/jobs", "/api/v1/jobs", "/healthz", "/nowhere", "/api/nowhere"])
def test_every_answer_has_security_headers(client, path):
    headers = client.get(path).headers
    assert headers["Content-Security-Policy"].startswith("default-src 'self';")
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Request-ID"]


def test_a_valid_request_id_is_kept(client):
    assert client.get("/healthz", headers={"X-Request-ID": "abc-1"}).headers["X-Request-ID"] == "abc-1"
    assert client.get("/healthz", headers={"X-Request-ID": "a b<>"}).headers["X-Request-ID"].isalnum()


@pytest.mark.parametrize("path", ["/", "/jobs", "/upload", "/nothing"])
def test_no_page_is_cached(client, path):
    assert client.get(path).headers["Cache-Control"] == "no-store"
