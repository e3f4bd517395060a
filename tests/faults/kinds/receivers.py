"""A receiver of webhooks that fails, says nothing, or hangs up."""

from __future__ import annotations

import random
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler

from tests.faults.kinds.registry import Scene, fault
from tests.faults.stage import Slot


def _misbehave(scene: Scene, rng: random.Random, behave: int | Callable[[BaseHTTPRequestHandler], None]) -> None:
    receiver = scene.stage.receiver
    receiver.behave = behave
    try:
        scene.pause(rng.uniform(1, 4))
    finally:
        receiver.heal()


@fault("webhooks: the receiver fails", "receiver")
def receiver_fails(scene: Scene, rng: random.Random, slot: Slot) -> None:
    _misbehave(scene, rng, rng.choice([302, 404, 429, 500, 503]))


@fault("webhooks: the receiver says nothing", "receiver")
def receiver_is_silent(scene: Scene, rng: random.Random, slot: Slot) -> None:
    leave = scene.stage.receiver.leave
    _misbehave(scene, rng, lambda _handler: _wait(leave.wait))


@fault("webhooks: the receiver hangs up", "receiver")
def receiver_hangs_up(scene: Scene, rng: random.Random, slot: Slot) -> None:
    _misbehave(scene, rng, lambda _handler: None)


def _wait(until: Callable[[], bool]) -> None:
    until()
