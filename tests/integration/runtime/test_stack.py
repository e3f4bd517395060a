"""The programs of one machine, on servers that are configured."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fixtures.ports import free_port, refusing_port
from tests.fixtures.waiting import wait_until
from yeban.errors import ConfigurationError, ServiceUnavailable
from yeban.runtime import stack
from yeban.runtime.servers import Endpoints
from yeban.runtime.stack import run_stack, running_url
from yeban.runtime.supervisor import Supervisor
from yeban.settings import Settings, load_settings


@pytest.fixture
def make_settings(
    database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Settings]:
    """Settings on the test's own servers; what is changed reaches the programs through the environment too."""

    def make(**changes: str) -> Settings:
        for name, value in changes.items():
            monkeypatch.setenv(f"YEBAN_{name.upper()}", value)
        monkeypatch.setenv("YEBAN_DATA_DIR", changes.get("data_dir", str(tmp_path)))
        return load_settings(database_url=database_url, redis_url=redis_url)

    return make


@pytest.fixture
def model(model_dir: Path, tmp_path: Path) -> None:
    """The model is built: what stops a worker does not have to wait for that."""
    (tmp_path / "models").symlink_to(model_dir)


@pytest.mark.usefixtures("model")
def test_a_program_whose_settings_are_wrong_is_not_started_again(
    make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    settings = make_settings(host="0.0.0.0")  # noqa: S104 - that is the mistake

    with pytest.raises(ConfigurationError, match="The web process cannot start") as caught, run_stack(settings, port=0):
        pass
    assert "YEBAN_ACCOUNTS" in caught.value.detail
    assert (tmp_path / "logs/web.log").read_text(encoding="utf-8").count("YEBAN_ACCOUNTS") == 1
    assert programs_of(tmp_path) == []


def test_a_port_that_is_taken_is_told_before_anything_starts(
    make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ServiceUnavailable, match=f"port {port} of 127"), run_stack(make_settings(), port=port):
            pass
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize(("drain_s", "naps", "ended"), [("0.1", 6_000, False), ("60", 3, True)])
def test_a_worker_has_as_long_to_stop_as_it_may_drain(
    make_settings: Callable[..., Settings],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    drain_s: str,
    naps: int,
    ended: bool,
) -> None:
    begun, at_end = tmp_path / "begun", tmp_path / "at end"
    # In naps, so that the last one does not outlive it for long.
    drain = f'n=0; while [ $n -lt {naps} ]; do sleep 0.1; n=$((n + 1)); done; touch "{at_end}"; exit'
    draining = f"trap '{drain}' TERM; touch {begun}; while :; do sleep 0.05; done"
    monkeypatch.setattr(stack, "_MIN_STOP_S", 0.2)
    monkeypatch.setattr(stack, "_AFTER_DRAIN_S", 0.1)
    endpoints = Endpoints(database_url="postgresql://h/d", redis_url="redis://h")
    monkeypatch.setattr(stack, "python_command", lambda *_: ["/bin/sh", "-c", draining])
    worker = stack._programs(make_settings(drain_s=drain_s), endpoints, 0, tmp_path)[-1]
    supervisor = Supervisor([worker])
    supervisor.start()
    wait_until(begun.exists, what="the worker")

    supervisor.stop()

    assert at_end.exists() is ended


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize(("place", "worker"), [(0, "interactive"), (1, "bulk")])
def test_each_worker_has_a_port_of_its_own_for_metrics(
    make_settings: Callable[..., Settings], place: int, worker: str
) -> None:
    def taken_after_a_free_one() -> socket.socket | None:
        other = socket.create_server(("127.0.0.1", free_port()))
        try:
            socket.create_server(("127.0.0.1", other.getsockname()[1] - 1)).close()
        except OSError:
            other.close()
            return None
        return other

    with wait_until(taken_after_a_free_one, what="two ports side by side") as other:
        port = other.getsockname()[1]
        settings = make_settings(metrics_port=str(port - place))
        with (
            pytest.raises(ConfigurationError, match=f"The {worker} process cannot start") as caught,
            run_stack(settings, port=0),
        ):
            pass
    assert f"Cannot serve metrics on port {port} of 127.0.0.1" in caught.value.detail


def test_there_must_be_a_port_for_each_worker(make_settings: Callable[..., Settings]) -> None:
    settings = make_settings(metrics_port="65535")
    with pytest.raises(ConfigurationError, match="YEBAN_METRICS_PORT=65535"), run_stack(settings, port=0):
        pass


@pytest.mark.usefixtures("model")
def test_each_worker_has_a_heartbeat_file_of_its_own(make_settings: Callable[..., Settings], tmp_path: Path) -> None:
    settings = make_settings(heartbeat_file=str(tmp_path / "nowhere" / "beat"))
    with pytest.raises(ConfigurationError) as caught, run_stack(settings, port=0):
        pass
    assert any(f"nowhere/beat.{role}: No such file" in caught.value.detail for role in ("interactive", "bulk"))


def test_a_redis_that_does_not_answer_is_told_at_once(database_url: str, tmp_path: Path) -> None:
    with refusing_port() as port:
        settings = load_settings(
            database_url=database_url, redis_url=f"redis://127.0.0.1:{port}/0", data_dir=tmp_path, port=0
        )
        with pytest.raises(ServiceUnavailable, match="YEBAN_REDIS_URL"), run_stack(settings):
            pass


def test_a_data_directory_that_cannot_hold_logs(make_settings: Callable[..., Settings], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = make_settings(data_dir=str(tmp_path / "file"))

    with pytest.raises(ConfigurationError, match="YEBAN_DATA_DIR"), run_stack(settings, port=0):
        pass


@pytest.mark.parametrize("state", ["{", "[]", '{"url": 7}', '{"url": "http://127.0.0.1:9"}'])
def test_a_stale_state_file_is_not_believed(make_settings: Callable[..., Settings], tmp_path: Path, state: str) -> None:
    (tmp_path / "stack.json").write_text(state, encoding="utf-8")

    assert running_url(make_settings()) is None


def test_another_program_on_the_port_of_a_stale_state_file_is_not_taken_for_ours(
    make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(120)
        url = f"http://127.0.0.1:{other.getsockname()[1]}"
        (tmp_path / "stack.json").write_text(json.dumps({"url": url}), encoding="utf-8")

        def answer() -> None:
            connection, _ = other.accept()
            with connection:
                connection.recv(4096)
                with contextlib.suppress(OSError):  # whoever asked may have left
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")

        thread = threading.Thread(target=answer)
        thread.start()
        assert running_url(make_settings()) is None
        thread.join(120)


def programs_of(data_dir: Path) -> list[str]:
    """Processes that were started for ``data_dir``."""
    mark = f"YEBAN_DATA_DIR={data_dir}\0".encode()

    def find() -> list[str]:
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (folder / "environ").read_bytes():
                    found.append(folder.name)
            except OSError:  # ended meanwhile, or another user's
                continue
        return found

    wait_until(lambda: not find(), what="the end of every program")
    return find()
