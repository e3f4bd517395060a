"""What a kind of fault is, and the table of them."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.faults.stage import Slot, Stage
from tests.faults.users import Users
from tests.fixtures.waiting import wait_until


class NotStruck(Exception):
    """The fault found nothing to strike this time, or cannot strike on this machine."""


#: A fault holds one of these while it lasts; ``worker`` stands for any one of the workers.
RESOURCES = ("postgres", "valkey", "web", "people", "messages", "receiver", "bulk-0", "bulk-1")


@dataclass(frozen=True)
class Scene:
    """What a fault acts on. ``locks`` keep faults apart that would only undo one another."""

    stage: Stage
    users: Users
    stopping: threading.Event
    locks: dict[str, threading.Lock] = field(default_factory=lambda: {name: threading.Lock() for name in RESOURCES})

    def pause(self, seconds: float) -> None:
        """Let a fault last; a run that ends cuts it short."""
        self.stopping.wait(seconds)

    def await_that(self, condition: Callable[[], object], *, within_s: float, what: str) -> None:
        """Wait for what the fault needs; raises :class:`NotStruck` if it does not come."""
        try:
            wait_until(lambda: condition() or self.stopping.is_set(), timeout_s=within_s, what=what)
        except AssertionError as error:
            raise NotStruck(f"not within {within_s:g} s: {what}") from error


@dataclass(frozen=True)
class Kind:
    """One kind of fault. ``strike`` gets the worker that it is about, where ``resource`` is ``worker``."""

    name: str
    resource: str
    strike: Callable[[Scene, random.Random, Slot], None]
    rest_s: float = 0.0  # how long its resource is left alone afterwards

    def __call__(self, scene: Scene, rng: random.Random) -> None:
        """Strike once. Raises :class:`NotStruck` where there was nothing to strike."""
        slot = rng.choice(scene.stage.slots)
        with scene.locks[slot.program.name if self.resource == "worker" else self.resource]:
            if scene.stopping.is_set():
                raise NotStruck("the run ended before")
            self.strike(scene, rng, slot)
            scene.pause(self.rest_s)


KINDS: list[Kind] = []

Strike = Callable[[Scene, random.Random, Slot], None]


def fault(name: str, resource: str, *, rest_s: float = 0.0) -> Callable[[Strike], Strike]:
    """Register a kind of fault."""

    def register(strike: Strike) -> Strike:
        KINDS.append(Kind(name, resource, strike, rest_s))
        return strike

    return register
