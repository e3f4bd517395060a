"""People who pause, resume, cancel, refine and delete as they please."""

from __future__ import annotations

import random

from tests.faults.kinds.registry import NotStruck, Scene, fault
from tests.faults.stage import Slot

#: Ended jobs that are never deleted, since other faults need some.
KEPT_JOBS = 3
_ACTIVE = ("queued", "running")
_DONE = ("completed", "completed_with_errors")


def _one_of(scene: Scene, rng: random.Random, states: tuple[str, ...]) -> str:
    found = scene.users.of(states)
    if not found:
        raise NotStruck(f"there was no job that is {' or '.join(states)}")
    return rng.choice(found)


@fault("pause, then resume", "people")
def pause_and_resume(scene: Scene, rng: random.Random, slot: Slot) -> None:
    job = _one_of(scene, rng, _ACTIVE)
    scene.users.api.call("POST", f"/jobs/{job}/pause")
    scene.pause(rng.uniform(0, 2))
    scene.users.api.call("POST", f"/jobs/{job}/resume")


@fault("cancel", "people")
def cancel(scene: Scene, rng: random.Random, slot: Slot) -> None:
    scene.users.api.call("POST", f"/jobs/{_one_of(scene, rng, _ACTIVE)}/cancel")


@fault("cancel, then resume", "people")
def cancel_and_resume(scene: Scene, rng: random.Random, slot: Slot) -> None:
    job = _one_of(scene, rng, _ACTIVE)
    scene.users.api.call("POST", f"/jobs/{job}/cancel")
    scene.pause(rng.uniform(0, 3))
    scene.users.api.call("POST", f"/jobs/{job}/resume")


@fault("refine again", "people")
def refine_again(scene: Scene, rng: random.Random, slot: Slot) -> None:
    job = _one_of(scene, rng, _DONE)
    scene.users.api.call("POST", f"/jobs/{job}/refine")


@fault("delete a job that has ended", "people")
def delete(scene: Scene, rng: random.Random, slot: Slot) -> None:
    if not scene.users.delete(rng, keep=KEPT_JOBS):
        raise NotStruck("there was no ended job to spare")
