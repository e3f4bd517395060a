"""Whatever goes wrong with a server, what is said and logged about it has no password."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from celery.apps.worker import Worker
from kombu import pools
from sqlalchemy import make_url

from tests.fixtures.ports import refusing_port
from worker.app import bulk_app
from yeban.cli import doctor
from yeban.database.engine import Database
from yeban.database.migrations import migrate
from yeban.messaging.queues import SEND_ERRORS, TaskSender, make_redis, redis_problem
from yeban.settings import Settings, load_settings

SECRET = "Gehe1m-7Zq"


@pytest.fixture(autouse=True)
def _nothing_shown(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Everything that is logged at any level, or printed, while a test runs."""
    caplog.set_level(logging.DEBUG)
    yield
    pools.reset()
    printed = capfd.readouterr()
    logged = [logging.Formatter().format(record) for record in caplog.get_records("call")]
    assert SECRET not in "\n".join(logged) + printed.out + printed.err


@pytest.fixture
def dead_port() -> Iterator[int]:
    """A port of this machine on which nothing listens."""
    with refusing_port() as port:
        yield port


def shown(error: BaseException) -> str:
    """All that a log would have of an error: with its causes, and as it is written in other messages."""
    return "".join(traceback.format_exception(error)) + repr(error) + str(error)


def fails(act: Callable[[], object], *kinds: type[Exception]) -> None:
    with pytest.raises(kinds or Exception) as caught:
        act()
    assert SECRET not in shown(caught.value)


@pytest.mark.parametrize(
    "place", ["127.0.0.1:{port}", "no-such-host.invalid:5432", "127.0.0.1:{port}/d?connect_timeout=1&x="]
)
def test_a_database_that_cannot_be_reached(dead_port: int, place: str) -> None:
    url = f"postgresql://u:{SECRET}@{place.format(port=dead_port)}" + ("" if "?" in place else "/d")

    fails(lambda: Database(url).ping())
    fails(lambda: migrate(url))


def test_a_database_that_does_not_exist(servers: object, database_url: str) -> None:
    url = make_url(database_url).set(password=SECRET, database="missing").render_as_string(hide_password=False)

    fails(lambda: Database(url).ping())
    assert SECRET not in repr(Database(url).engine) + repr(Database(url).engine.url)


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
@pytest.mark.parametrize("login", ["", "somebody"])
def test_a_redis_that_cannot_be_reached(dead_port: int, scheme: str, login: str) -> None:
    url = f"{scheme}://{login}:{SECRET}@127.0.0.1:{dead_port}/0"

    with make_redis(url) as client:
        with pytest.raises(SEND_ERRORS) as caught:
            client.ping()
        assert SECRET not in shown(caught.value) + str(redis_problem(caught.value)) + repr(make_celery_of(url))


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_a_broker_that_cannot_be_reached(dead_port: int, scheme: str) -> None:
    app = make_celery_of(f"{scheme}://:{SECRET}@127.0.0.1:{dead_port}/0")

    with app.connection_for_write() as connection:
        fails(lambda: connection.ensure_connection(max_retries=1), *SEND_ERRORS)
        assert SECRET not in repr(connection) + connection.as_uri()


def test_a_redis_that_refuses_the_password(redis_url: str) -> None:
    path = redis_url.partition("://")[2].partition("?")[0]
    url = f"unix://somebody:{SECRET}@{path}?db=0"

    with make_redis(url) as client:
        fails(client.ping, *SEND_ERRORS)
    fails(lambda: make_celery_of(url).connection_for_write().ensure_connection(max_retries=1), *SEND_ERRORS)
    assert SECRET not in repr(TaskSender.connect("test", Settings(), url))


@pytest.mark.filterwarnings("ignore::celery.exceptions.SecurityWarning")  # of running as root
def test_the_start_of_a_worker(redis_url: str) -> None:
    """Celery would print a banner with the broker's address; ours is asked for it in full here."""
    path = redis_url.partition("://")[2].partition("?")[0]
    app = make_celery_of(f"unix://default:{SECRET}@{path}?db=0")

    started = Worker(app=app, hostname="test@here", loglevel="DEBUG")

    assert SECRET not in started.startup_info(artlines=True)
    assert SECRET not in app.bugreport()


def test_doctor(dead_port: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("YEBAN_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("YEBAN_DATABASE_URL", f"postgresql://u:{SECRET}@127.0.0.1:{dead_port}/d")
    monkeypatch.setenv("YEBAN_REDIS_URL", f"redis://:{SECRET}@127.0.0.1:{dead_port}/0")

    findings = doctor._servers(load_settings())

    assert {finding.what: finding.state for finding in findings} == {
        "PostgreSQL": "problem",
        "Redis": "problem",
        "web": "note",
    }
    assert SECRET not in repr(findings)


def make_celery_of(url: str):  # type: ignore[no-untyped-def]  # celery has no types
    return bulk_app(Settings(), url, classify=lambda _hints: None, finish_job=lambda _job: None)
