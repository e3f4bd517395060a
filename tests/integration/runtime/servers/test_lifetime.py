"""Servers live as long as their owner: no longer, however it ends, and no shorter, whatever kills them."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from sqlalchemy.engine import make_url

from tests.fixtures.waiting import wait_until
from yeban.errors import ConfigurationError
from yeban.runtime import supervisor
from yeban.runtime.servers import Endpoints, open_servers, running_endpoints
from yeban.settings import Settings

pytestmark = pytest.mark.usefixtures("copied_clusters")


def connect(url: str) -> psycopg.Connection[Any]:
    parts = make_url(url)
    return psycopg.connect(host=str(parts.query["host"]), user=parts.username, dbname=parts.database, autocommit=True)


def answers(endpoints: Endpoints) -> bool:
    try:
        with connect(endpoints.database_url) as connection, redis.Redis.from_url(endpoints.redis_url) as client:
            return bool(connection.execute("SELECT 1").fetchone() and client.ping())
    except (psycopg.OperationalError, redis.exceptions.RedisError, OSError):
        return False


def postgres_pid(data_dir: Path) -> int:
    return int((data_dir / "postgres" / "data" / "postmaster.pid").read_text().split("\n", 1)[0])


def valkey_pid(endpoints: Endpoints) -> int:
    with redis.Redis.from_url(endpoints.redis_url) as client:
        return int(client.info("server")["process_id"])


@pytest.mark.parametrize("watch", [False, True], ids=["death signal", "pipe watchdog"])
def test_killing_the_owner_leaves_no_server_and_loses_no_commit(
    watch: bool,
    settings: Settings,
    start_owner: Callable[..., Any],
    processes: Callable[[], set[int]],
) -> None:
    owner = start_owner(watch=watch)
    with connect(owner.said["database_url"]) as connection:
        connection.execute("CREATE TABLE kept AS SELECT n FROM generate_series(1, 50000) AS n")
        left_open = connect(owner.said["database_url"])
        left_open.execute("BEGIN")
        left_open.execute("INSERT INTO kept VALUES (-1)")
        assert processes()
        owner.kill()
    wait_until(lambda: not processes())
    left_open.close()
    assert running_endpoints(settings) is None
    with open_servers(settings) as endpoints, connect(endpoints.database_url) as connection:
        assert connection.execute("SELECT count(*), min(n) FROM kept").fetchone() == (50_000, 1)


def test_a_start_right_after_a_kill_waits_for_the_old_servers(
    settings: Settings, start_owner: Callable[..., Any]
) -> None:
    owner = start_owner()
    with connect(owner.said["database_url"]) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS n")
    owner.kill()
    with open_servers(settings) as endpoints, connect(endpoints.database_url) as connection:
        assert connection.execute("SELECT n FROM kept").fetchone() == (1,)


@pytest.mark.parametrize("watch", [False, True], ids=["death signal", "pipe watchdog"])
def test_ctrl_c_in_the_terminal_stops_the_servers_in_order(
    watch: bool, data_dir: Path, start_owner: Callable[..., Any], processes: Callable[[], set[int]]
) -> None:
    owner = start_owner(watch=watch)
    owner.interrupt_group()
    assert not processes()
    said = (data_dir / "logs" / "postgres.log").read_text()
    assert "received fast shutdown request" in said
    assert "immediate shutdown" not in said
    assert "ready to exit" in (data_dir / "logs" / "valkey.log").read_text()


def test_a_second_owner_is_refused_and_told_who_the_first_is(
    settings: Settings, start_owner: Callable[..., Any]
) -> None:
    owner = start_owner()
    with pytest.raises(ConfigurationError, match=f"Process {owner.process.pid}") as refusal:
        open_servers(settings).__enter__()
    assert refusal.value.context["pid"] == owner.process.pid
    found = running_endpoints(settings)
    assert found is not None
    assert found.database_url == owner.said["database_url"]
    assert found.redis_url == owner.said["redis_url"]
    owner.finish()
    with open_servers(settings):
        pass


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_child_does_not_keep_the_data_directory(settings: Settings) -> None:
    settings = settings.model_copy(update={"database_url": "postgresql+psycopg://elsewhere/db"})
    reader, writer = os.pipe()
    with open_servers(settings):
        child = os.fork()
        if child == 0:
            os.close(writer)
            os.read(reader, 1)
            os._exit(0)
    try:
        with open_servers(settings) as endpoints:
            assert valkey_pid(endpoints)
    finally:
        os.close(writer)
        os.close(reader)
        os.waitpid(child, 0)


def test_a_killed_valkey_comes_back_with_its_data(settings: Settings) -> None:
    with open_servers(settings) as endpoints:
        with redis.Redis.from_url(endpoints.redis_url) as client:
            client.set("kept", "42")
            first = valkey_pid(endpoints)
            os.kill(first, signal.SIGKILL)
        wait_until(lambda: answers(endpoints))
        assert valkey_pid(endpoints) != first
        with redis.Redis.from_url(endpoints.redis_url) as client:
            assert client.get("kept") == b"42"


def test_a_killed_postgres_comes_back_with_its_data(settings: Settings) -> None:
    with open_servers(settings) as endpoints:
        with connect(endpoints.database_url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS n")
        first = postgres_pid(settings.data_dir)
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: answers(endpoints) and postgres_pid(settings.data_dir) != first)
        with connect(endpoints.database_url) as connection:
            assert connection.execute("SELECT n FROM kept").fetchone() == (42,)


def test_postgres_begins_anew_when_one_of_its_processes_was_killed(settings: Settings) -> None:
    """It is started again as a whole; on its own it could stay without a startup process, refusing everybody."""
    with open_servers(settings) as endpoints:
        first = postgres_pid(settings.data_dir)
        with connect(endpoints.database_url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS n")
            os.kill(connection.info.backend_pid, signal.SIGKILL)
        wait_until(lambda: answers(endpoints) and postgres_pid(settings.data_dir) != first)
        with connect(endpoints.database_url) as connection:
            assert connection.execute("SELECT n FROM kept").fetchone() == (42,)


def test_a_server_that_keeps_dying_is_told_of_loudly_and_comes_back(
    settings: Settings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_WINDOW_S", 3600.0)  # however long the machine takes to start it so often

    def told() -> bool:
        return any(record.levelno == logging.CRITICAL for record in caplog.records)

    settings = settings.model_copy(update={"database_url": "postgresql+psycopg://elsewhere/db"})
    with open_servers(settings) as endpoints:
        killed: set[int] = set()

        def kill_a_new_one() -> bool:
            # Asked before: once it was told, the next may be there already, and it is to live.
            if told():
                return True
            with contextlib.suppress(redis.exceptions.RedisError, OSError):
                pid = valkey_pid(endpoints)
                if pid not in killed:
                    killed.add(pid)
                    os.kill(pid, signal.SIGKILL)
            return False

        def answers_again() -> bool:
            try:
                return valkey_pid(endpoints) not in killed
            except (redis.exceptions.RedisError, OSError):
                return False

        wait_until(kill_a_new_one)
        assert len(killed) == 6
        wait_until(answers_again)
    assert "valkey.log" in caplog.text
