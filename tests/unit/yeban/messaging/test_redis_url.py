from __future__ import annotations

import ssl
import traceback
from pathlib import Path

import pytest
from kombu.utils.url import parse_url as kombu_reads
from redis.connection import parse_url as redis_py_reads

from yeban.errors import ConfigurationError
from yeban.messaging.redis_url import parse_redis_url


@pytest.mark.parametrize(
    ("url", "database"),
    [
        ("redis://h:1", 0),
        ("redis://h:1/4", 4),
        ("redis://h:1?db=4", 4),
        ("redis://h:1/2?db=4", 4),
        ("rediss://h:1/4", 4),
    ],
)
def test_both_libraries_go_to_the_same_place(url: str, database: int) -> None:
    address = parse_redis_url(url)

    ours, kombus = redis_py_reads(address.client_url), kombu_reads(address.broker_url)

    assert ours.get("db", 0) == int(kombus["virtual_host"]) == database
    assert (ours["host"], ours["port"]) == (kombus["hostname"], kombus["port"]) == ("h", 1)


@pytest.mark.parametrize(
    ("url", "broker"),
    [
        ("unix:///run/v.sock", "redis+socket:///run/v.sock?virtual_host=0"),
        ("unix://:p%40w@/run/v.sock?db=4", "redis+socket://:p%40w@/run/v.sock?virtual_host=4"),
        ("unix:///run/v.sock?db=4&password=p%40w", "redis+socket://:p%40w@/run/v.sock?virtual_host=4"),
    ],
)
def test_a_unix_socket_is_spelled_as_kombu_wants_it(url: str, broker: str) -> None:
    address = parse_redis_url(url)

    assert address.broker_url == broker
    assert redis_py_reads(address.client_url)["path"] == "/run/v.sock"


@pytest.mark.parametrize(
    "url",
    [
        "redis://me:p%2F%40%23w@h:1/4",
        "redis://h:1/4?username=me&password=p%2F%40%23w",
        "redis://me:p%2F%40%23w@[::1]:1",
    ],
)
def test_both_libraries_log_in_alike(url: str) -> None:
    address = parse_redis_url(url)

    ours, kombus = redis_py_reads(address.client_url), kombu_reads(address.broker_url)

    assert (ours["username"], ours["password"]) == (kombus["userid"], kombus["password"]) == ("me", "p/@#w")


def test_a_certificate_is_verified_unless_the_url_says_otherwise() -> None:
    address = parse_redis_url("rediss://h:1/0")

    assert address.broker_tls == {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True}
    assert redis_py_reads(address.client_url)["ssl_cert_reqs"] == "required"
    assert redis_py_reads(address.client_url)["ssl_check_hostname"] is True
    assert address.unverified is None


@pytest.mark.parametrize(
    ("option", "unverified"),
    [
        ("ssl_cert_reqs=none", "certificate"),
        ("ssl_cert_reqs=CERT_NONE", "certificate"),
        ("ssl_cert_reqs=CERT_REQUIRED", None),
        ("ssl_check_hostname=false", "host name"),
        ("ssl_check_hostname=true", None),
    ],
)
def test_less_is_verified_only_when_asked_for(option: str, unverified: str | None) -> None:
    address = parse_redis_url(f"rediss://h:1/0?{option}")

    assert address.unverified == unverified
    assert address.broker_tls is not None
    ours = redis_py_reads(address.client_url)
    assert ours["ssl_check_hostname"] is address.broker_tls["ssl_check_hostname"]
    assert (ours["ssl_cert_reqs"] == "none") is (address.broker_tls["ssl_cert_reqs"] is ssl.CERT_NONE)


def test_files_go_to_both_libraries(tmp_path: Path) -> None:
    paths = {name: tmp_path / f"{name} &.pem" for name in ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")}
    for path in paths.values():
        path.write_text("PEM")
    query = "&".join(f"{name}={str(path).replace('&', '%26')}" for name, path in paths.items())

    address = parse_redis_url(f"rediss://h:1/0?{query}&ssl_password=p%26w")

    wanted = {**{name: str(path) for name, path in paths.items()}, "ssl_password": "p&w"}
    assert address.broker_tls is not None
    assert wanted.items() <= address.broker_tls.items()
    assert wanted.items() <= redis_py_reads(address.client_url).items()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("geheim", "is not a Redis URL"),
        ("http://:geheim@h", "is not a Redis URL"),
        ("redis://:geh/eim@h:1", "%2F"),
        ("redis://:geh#eim@h:1", "%23"),
        ("redis://:geh?eim@h:1", "%3F"),
        ("redis://:geh[eim@h:1", "%5B"),
        ("redis://:geheim@h:port", "host or port"),
        ("redis://:geheim@h:1/geheim", "the database must be a number"),
        ("redis://:geheim@h:1/0?timeout=3", "unknown options: timeout"),
        ("redis://:geheim@h:1/0?ssl_cert_reqs=required", "Use rediss://"),
        ("rediss://:geheim@h:1/0?ssl_cert_reqs=geheim", "ssl_cert_reqs must be one of required, none"),
        ("rediss://:geheim@h:1/0?ssl_check_hostname=maybe", "ssl_check_hostname must be one of"),
        ("rediss://:geheim@h:1/0?ssl_ca_certs=/nowhere/ca.pem", "/nowhere/ca.pem: No such file"),
        ("rediss://:geheim@h:1/0?ssl_keyfile=/dev/null", "without ssl_certfile"),
    ],
)
def test_a_bad_url_is_told_of_without_its_password(url: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_redis_url(url)

    shown = "".join(traceback.format_exception(caught.value))
    assert said in caught.value.detail
    assert not any(part in shown.replace(__file__, "") for part in ("geheim", "'geh", "eim@"))
