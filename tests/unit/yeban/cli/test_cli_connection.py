"""Which server a command talks to, and who waits for whom."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fixtures.waiting import wait_until
from yeban.cli import connection
from yeban.cli.connection import existing_server_url, reach_server
from yeban.runtime.local_url import local_url
from yeban.runtime.stack import Stack
from yeban.settings import Settings, get_settings


class Machine:
    """Stands in for the stack that runs on this machine, if any."""

    def __init__(self) -> None:
        self.url: str | None = None
        self.model: str | None = None

    @contextmanager
    def run(self, settings: Settings, *, port: int | None) -> Iterator[Stack]:
        assert port == 0
        self.url, self.model = "http://started", settings.model
        try:
            yield Stack(url=self.url, logs=settings.data_dir, check=lambda: None)
        finally:
            self.url = None


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    made = Machine()
    monkeypatch.setenv("YEBAN_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("YEBAN_MODEL", raising=False)
    monkeypatch.setattr(connection, "run_stack", made.run)
    monkeypatch.setattr(connection, "running_url", lambda _settings: made.url)
    get_settings.cache_clear()
    yield made
    get_settings.cache_clear()


def test_the_server_named_comes_first(machine: Machine) -> None:
    machine.url = "http://running"
    with reach_server("http://named", say=print) as reached:
        assert reached.url == "http://named"
    assert existing_server_url("http://named") == "http://named"


def test_then_the_one_that_runs_here(machine: Machine) -> None:
    machine.url = "http://running"
    with reach_server(None, say=print) as reached:
        assert reached.url == "http://running"
    assert existing_server_url(None) == "http://running"


def test_then_one_of_its_own_which_serves_the_model_asked_for(machine: Machine) -> None:
    with reach_server(None, model="other", say=print) as reached:
        assert (reached.url, machine.model) == ("http://started", "other")
    assert machine.url is None
    assert existing_server_url(None) == "http://127.0.0.1:8400"


@pytest.mark.parametrize("fails", [False, True])
def test_a_server_of_ones_own_outlasts_the_commands_that_use_it(machine: Machine, fails: bool) -> None:
    said: list[str] = []
    started, leave = threading.Event(), threading.Event()

    def host() -> None:
        def work() -> None:
            with reach_server(None, say=said.append):
                started.set()
                leave.wait()
                if fails:
                    raise ValueError

        if fails:
            with pytest.raises(ValueError):  # noqa: PT011 - our own
                work()
        else:
            work()

    thread = threading.Thread(target=host)
    thread.start()
    started.wait()
    with reach_server(None, say=print) as reached:
        leave.set()
        wait_until(lambda: said, what="the host telling that it waits")
        assert reached.url == machine.url == "http://started"
    thread.join(10)
    assert machine.url is None


def test_two_commands_at_once_start_one_server(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    starting, go_on, said, urls = threading.Event(), threading.Event(), list[str](), list[str]()
    run = machine.run

    @contextmanager
    def slow_run(settings: Settings, *, port: int | None) -> Iterator[Stack]:
        assert not starting.is_set(), "started twice"
        starting.set()
        go_on.wait()
        with run(settings, port=port) as stack:
            yield stack

    def command() -> None:
        with reach_server(None, say=said.append) as reached:
            urls.append(reached.url)
            wait_until(lambda: len(urls) == 2, what="both commands at work")

    monkeypatch.setattr(connection, "run_stack", slow_run)
    threads = [threading.Thread(target=command) for _ in range(2)]
    for thread in threads:
        thread.start()
    wait_until(lambda: said, what="the second command telling that it waits")
    go_on.set()
    for thread in threads:
        thread.join(30)
    assert urls == ["http://started"] * 2
    assert machine.url is None


def test_ctrl_c_stops_a_server_of_ones_own_without_waiting(machine: Machine) -> None:
    with pytest.raises(KeyboardInterrupt), reach_server(None, say=print), reach_server(None, say=print):
        raise KeyboardInterrupt
    assert machine.url is None


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("localhost", "http://localhost:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),  # noqa: S104
        ("::", "http://[::1]:80"),
        ("::1", "http://[::1]:80"),
        ("[::1]", "http://[::1]:80"),
    ],
)
def test_the_url_of_a_listening_address(host: str, expected: str) -> None:
    assert local_url(host, 80) == expected
