from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from sqlalchemy import make_url

from tests.fixtures.waiting import wait_until
from yeban.messaging.queues import BULK_QUEUE, INTERACTIVE_QUEUE, TaskSender, make_redis
from yeban.messaging.redis_url import parse_redis_url
from yeban.runtime.servers import software
from yeban.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
NAMES = {"admin_password", "database_url", "postgres_password", "redis_url", "secret_key", "valkey_accounts"}


def make(folder: Path, **options: object) -> subprocess.CompletedProcess[str]:
    command = [str(ROOT / "scripts" / "make_secrets"), str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", **options)  # type: ignore[call-overload, no-any-return]


def read(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_the_files_agree_with_one_another_and_are_different_each_time(tmp_path: Path) -> None:
    assert make(tmp_path / "a").returncode == 0
    assert make(tmp_path / "b").returncode == 0

    one, two = read(tmp_path / "a"), read(tmp_path / "b")
    assert one.keys() == NAMES
    assert make_url(one["database_url"]).password == one["postgres_password"]
    assert len(one["postgres_password"]) == 64
    assert parse_redis_url(one["redis_url"]).broker_url.endswith("@valkey:6379/0")
    assert all(one[name] != two[name] for name in NAMES)


def test_what_it_says_has_no_secret(tmp_path: Path) -> None:
    made = make(tmp_path / "s")

    password = (tmp_path / "s" / "postgres_password").read_text()
    assert password not in made.stdout + made.stderr


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    make(tmp_path)
    before = read(tmp_path)

    again = make(tmp_path)

    assert again.returncode == 0
    assert "already" in again.stderr
    assert read(tmp_path) == before


def test_half_a_pair_is_left_for_a_person(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "database_url").unlink()
    before = read(tmp_path)

    again = make(tmp_path)

    assert again.returncode == 1
    assert "only one" in again.stderr
    assert read(tmp_path) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to other accounts")
def test_as_root_each_file_belongs_to_the_account_that_reads_it(tmp_path: Path) -> None:
    make(tmp_path / "s")

    found = {path.name: (stat.S_IMODE(path.stat().st_mode), path.stat().st_uid) for path in (tmp_path / "s").iterdir()}
    assert found == {
        "admin_password": (0o600, 10001),
        "database_url": (0o600, 10001),
        "redis_url": (0o600, 10001),
        "secret_key": (0o600, 10001),
        "postgres_password": (0o600, 999),
        "valkey_accounts": (0o600, 999),
    }


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another account")
def test_for_anyone_else_the_folder_is_closed(
    tmp_path_factory: pytest.TempPathFactory, fast_folder: Path | None
) -> None:
    folder = Path(fast_folder or "/tmp") / f"yeban-secrets-{os.getpid()}"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    try:
        made = make(folder, user=65534, group=65534, extra_groups=[])
        assert made.returncode == 0, made.stderr
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o444}
    finally:
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()


def listens(socket: Path) -> bool:
    """Whether somebody does; the file of a socket is there a moment before."""
    with redis.Redis(unix_socket_path=str(socket)) as client:
        try:
            client.ping()
        except redis.exceptions.AuthenticationError:
            return True
        except redis.exceptions.ConnectionError:
            return False
    return True


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Path]:
    """The bundled Valkey with the accounts that were made; its socket."""
    make(tmp_path)
    found = software.find_valkey()
    socket = tmp_path / "v.sock"
    command = [str(found.executable), "--port", "0", "--unixsocket", str(socket), "--dir", str(tmp_path), "--save", ""]
    command += ["--aclfile", str(tmp_path / "valkey_accounts")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    wait_until(lambda: listens(socket), what="Valkey")
    yield socket
    process.terminate()
    process.wait(120)


def test_the_account_of_the_programs_may_do_what_they_do(valkey: Path, tmp_path: Path) -> None:
    password = (tmp_path / "redis_url").read_text().partition("://:")[2].partition("@")[0]
    url = f"unix://:{password}@{valkey}?db=0"
    sender = TaskSender.connect("test", Settings(), url)

    sender.hint_chunks([1, 2])
    sender.close()

    with make_redis(url) as client:
        assert client.llen(BULK_QUEUE) == 2
        assert client.llen(INTERACTIVE_QUEUE) == 0
        assert client.info("server")
        assert client.eval("return 7", 0) == 7
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.config_get("dir")


def test_nobody_else_may_do_anything_but_probe(valkey: Path) -> None:
    with redis.Redis(unix_socket_path=str(valkey)) as stranger, pytest.raises(redis.exceptions.AuthenticationError):
        stranger.ping()
    with redis.Redis(unix_socket_path=str(valkey), username="probe", password="none") as probe:
        assert probe.ping()
        for forbidden in (lambda: probe.get("x"), probe.client_list, probe.dbsize, probe.info):
            with pytest.raises(redis.exceptions.NoPermissionError):
                forbidden()
