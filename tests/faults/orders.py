"""Orders to a worker under test, as files in a folder of its own: what to do when it next reaches a phase.

An order is taken by renaming it, so exactly one thread of one process carries it out, and whoever gave it sees that.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Phase(StrEnum):
    """Where a bulk worker can be hurt, in the order in which it comes there."""

    BUFFERED = "messages buffered"
    HINTED = "before the claim"
    CLAIMING = "claim before its commit"
    CLAIMED = "claimed"
    ENGINE = "in the engine"
    FENCED = "results after the fence, before COPY"
    COPIED = "results after COPY"
    STORING = "results before their commit"
    STORED = "results committed"
    END_TAKEN = "job's end taken"
    END_COPYING = "job's end before COPY"
    END_STORING = "job's end before its commit"
    ENDED = "job's end committed"
    PURGING = "part of a deleted job removed, before its commit"
    TELLING = "message to a webhook made, before its commit"
    SENDING = "message to a webhook taken"
    SENT = "message to a webhook sent, before that is noted"


@dataclass(frozen=True)
class Orders:
    """The side that gives orders to one worker."""

    folder: Path

    def give(self, phase: Phase, action: str) -> None:
        """``action`` is ``kill`` or ``stop`` (SIGSTOP), or for the engine what ``PredictableClassifier`` knows."""
        self.withdraw()
        draft = self.folder / "order.new"
        draft.write_text(json.dumps({"phase": phase.value, "action": action}), encoding="utf-8")
        draft.rename(self.folder / "order")

    @property
    def taken(self) -> int | None:
        """The process that took the last order."""
        try:
            return int(json.loads((self.folder / "taken.by").read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return None

    def withdraw(self) -> None:
        """Nothing is ordered any more."""
        for name in ("order", "taken", "taken.by"):
            (self.folder / name).unlink(missing_ok=True)

    def set_clock(self, offset_s: float) -> None:
        """Let the worker's wall clock be wrong by ``offset_s`` seconds."""
        draft = self.folder / "clock.new"
        draft.write_text(str(offset_s), encoding="utf-8")
        draft.rename(self.folder / "clock")

    def clock(self) -> float:
        """By how many seconds the worker's clock is to be wrong."""
        try:
            return float((self.folder / "clock").read_text(encoding="utf-8"))
        except OSError:
            return 0.0


class Points:
    """The side that carries orders out: the worker tells of each phase that it reaches."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.current = threading.local()

    def reach(self, phase: Phase) -> str | None:
        """Carry out the order for this phase, if there is one; returns an action that is not about the process."""
        order = self._folder / "order"
        try:
            wanted = json.loads(order.read_text(encoding="utf-8"))
            if wanted["phase"] != phase.value:
                return None
            order.rename(self._folder / "taken")
        except FileNotFoundError:
            return None
        draft = self._folder / "taken.new"
        draft.write_text(str(os.getpid()), encoding="utf-8")
        draft.rename(self._folder / "taken.by")
        action = str(wanted["action"])
        if action in {"kill", "stop"}:
            os.kill(os.getpid(), signal.SIGKILL if action == "kill" else signal.SIGSTOP)
            return None
        return action
