"""Receivers on loopback, and a job that ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.fixtures.receiver import FakeReceiver
from tests.fixtures.waiting import wait_until
from yeban.accounts.viewer import UNRESTRICTED, Viewer
from yeban.database.engine import Database
from yeban.webhooks import endpoints
from yeban.webhooks import notifier as delivering
from yeban.webhooks.endpoints import Created


@pytest.fixture
def start_receiver() -> Iterator[Callable[..., FakeReceiver]]:
    started: list[FakeReceiver] = []

    def start(**options: object) -> FakeReceiver:
        started.append(FakeReceiver(**options))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for receiver in started:
        receiver.stop()


@pytest.fixture
def receiver(start_receiver: Callable[..., FakeReceiver]) -> FakeReceiver:
    return start_receiver()


@pytest.fixture
def hook(database: Database) -> Callable[..., Created]:
    """Make a webhook; private addresses are allowed."""

    def make(url: str = "https://hooks.example/yeban", viewer: Viewer = UNRESTRICTED) -> Created:
        return endpoints.create_webhook(database, url, private=True, viewer=viewer)

    return make


@pytest.fixture
def start_notifier(database: Database) -> Iterator[Callable[..., delivering.Notifier]]:
    started: list[delivering.Notifier] = []

    def start(**options: float) -> delivering.Notifier:
        started.append(delivering.Notifier(database, private=True, **options))
        return started[-1]

    yield start
    for notifier in started:
        notifier.stop(60)


@pytest.fixture
def notify(start_notifier: Callable[..., delivering.Notifier]) -> Callable[[], None]:
    """One turn, waited for to its end."""
    notifier = start_notifier()

    def once() -> None:
        notifier.turn()
        wait_until(lambda: not notifier._serving, what="the end of all sending")

    return once
