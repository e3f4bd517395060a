"""Which user the servers run as, and where their files go when that user cannot reach them."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pwd
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy.engine import make_url

from yeban.errors import ConfigurationError
from yeban.runtime.servers import account, open_servers, places, software
from yeban.settings import Settings

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes to another user")
pytestmark = pytest.mark.usefixtures("copied_clusters")


def select_one(url: str) -> Any:
    parts = make_url(url)
    with psycopg.connect(host=str(parts.query["host"]), user=parts.username, dbname=parts.database) as connection:
        return connection.execute("SELECT 1").fetchone()


def owners_of(pids: set[int]) -> set[int]:
    """The users that processes run as."""
    found = set()
    for pid in pids:
        with contextlib.suppress(FileNotFoundError):  # PostgreSQL's come and go
            found.add(Path(f"/proc/{pid}").stat().st_uid)
    return found


def test_servers_never_run_as_root(settings: Settings, processes: Callable[[], set[int]]) -> None:
    with open_servers(settings):
        owners = owners_of(processes())
    assert len(owners) == 1
    assert 0 not in owners
    if os.geteuid() != 0:
        assert owners == {os.geteuid()}


@needs_root
def test_an_ordinary_user_needs_no_other_account(
    data_dir: Path, start_owner: Callable[..., Any], processes: Callable[[], set[int]]
) -> None:
    entry = pwd.getpwnam("nobody")
    reach = account.Account(uid=entry.pw_uid, gid=entry.pw_gid)
    programs = [sys.executable, shutil.which("python3", path=os.defpath)]
    python = next((path for path in programs if path and reach.can_access(os.X_OK, Path(path).resolve())), None)
    if python is None or not reach.can_access(os.X_OK, software.find_postgres().executable):
        pytest.skip("no interpreter, or not the installed packages, can be reached by an ordinary user")
    data_dir.mkdir()
    os.chown(data_dir, entry.pw_uid, entry.pw_gid)
    owner = start_owner(uid=entry.pw_uid, gid=entry.pw_gid, python=python)
    assert select_one(owner.said["database_url"]) == (1,)
    assert owners_of(processes()) == {entry.pw_uid}
    owner.finish()


@needs_root
def test_an_ordinary_user_is_told_when_the_folder_is_not_theirs(
    data_dir: Path, start_owner: Callable[..., Any]
) -> None:
    entry = pwd.getpwnam("nobody")
    data_dir.mkdir()
    owner = start_owner(uid=entry.pw_uid, gid=entry.pw_gid)
    assert owner.said["code"] == "configuration"
    assert "YEBAN_DATA_DIR" in owner.said["error"]
    owner.finish()


@needs_root
def test_a_data_directory_closed_to_the_account_is_linked_to_one_that_is_not(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = settings.data_dir.parent
    closed = parent / "closed"
    closed.mkdir(mode=0o700)
    monkeypatch.setattr(places, "FALLBACK_ROOT", parent / "open")
    settings = settings.model_copy(update={"data_dir": closed / "data"})
    with open_servers(settings) as endpoints:
        assert select_one(endpoints.database_url) == (1,)
    home = (closed / "data" / "servers").resolve()
    assert home.parent == parent / "open"
    assert (home / "postgres" / "data" / "PG_VERSION").exists()
    assert closed.stat().st_mode & 0o777 == 0o700
    with open_servers(settings):
        pass
    assert list((parent / "open").iterdir()) == [home]


@needs_root
def test_data_that_became_unreachable_is_not_replaced_by_an_empty_database(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "FALLBACK_ROOT", settings.data_dir.parent / "open")
    with open_servers(settings):
        pass
    settings.data_dir.chmod(0o700)
    with pytest.raises(ConfigurationError, match="can no longer access it"):
        open_servers(settings).__enter__()


@needs_root
def test_binaries_closed_to_the_account_are_copied_once(
    data_dir_on_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(data_dir=data_dir_on_disk, database_url=None, redis_url=None)
    closed = settings.data_dir.parent / "closed"
    closed.mkdir(mode=0o700)
    for finder in (software.find_postgres, software.find_valkey):
        found = finder()
        for folder in found.folders:
            shutil.copytree(found.root / folder, closed / folder)
        monkeypatch.setattr(software, finder.__name__, lambda found=found: dataclasses.replace(found, root=closed))
    shelf = settings.data_dir / "software"
    with open_servers(settings) as endpoints:
        assert select_one(endpoints.database_url) == (1,)
    copies = {path: path.stat().st_ino for path in shelf.iterdir()}
    assert len(copies) == 2
    with open_servers(settings):
        pass
    assert {path: path.stat().st_ino for path in shelf.iterdir()} == copies
    # An upgrade brings its own copy and removes the old one; a copy cut short is not used.
    (shelf / "postgres-17.0").mkdir()
    newer = dataclasses.replace(software.find_postgres(), version="18.99")
    monkeypatch.setattr(software, "find_postgres", lambda: newer)
    with open_servers(settings):
        pass
    assert {path.name for path in shelf.glob("postgres-*")} == {"postgres-18.99"}
