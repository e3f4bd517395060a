"""What a background thread raises reaches the thread that waits for it."""

from __future__ import annotations

import random
import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.faults.background import Background
from tests.faults.kinds import messages
from tests.faults.kinds.registry import Scene


def test_what_the_action_raises_is_raised_by_wait() -> None:
    def action() -> None:
        raise ZeroDivisionError

    background = Background(action, name="broken")
    background.start()
    with pytest.raises(ZeroDivisionError):
        background.wait(60)


def test_an_action_that_does_not_end_is_told() -> None:
    going_on = threading.Event()
    background = Background(lambda: cast("None", going_on.wait(120)), name="endless")
    background.start()
    with pytest.raises(TimeoutError, match="endless did not end"):
        background.wait(0.01)
    going_on.set()
    background.wait(60)


def test_a_fault_whose_sweepers_break_has_not_struck(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise TypeError("another signature")

    monkeypatch.setattr(messages, "sweep", broken)
    stopping = threading.Event()
    stopping.set()
    scene = Scene(cast("Any", SimpleNamespace(database=None, sender=None)), cast("Any", None), stopping)
    with pytest.raises(TypeError, match="another signature"):
        messages.sweepers(scene, random.Random(1), cast("Any", None))
