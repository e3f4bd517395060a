"""Bulk workers that die, stand still, stop, lose their engine or their sense of time."""

from __future__ import annotations

import random
import signal
import time
from functools import partial

from tests.faults.kinds.people import KEPT_JOBS
from tests.faults.kinds.registry import NotStruck, Scene, fault
from tests.faults.orders import Phase
from tests.faults.stage import GROUP_DEADLINE_S, LEASE_S, Slot

#: How long a worker is given to come to a phase; the ends of jobs are rarer than the rest.
_REACHED_WITHIN_S = 15.0
_ENDS = frozenset({Phase.END_TAKEN, Phase.END_COPYING, Phase.END_STORING, Phase.ENDED})
_TELLS = frozenset({Phase.SENDING, Phase.SENT})
_SMALL_ROWS = 8
_PROVOKED_EVERY_S = 1.0
_STANDS_STILL_IN = (
    Phase.CLAIMING,
    Phase.ENGINE,
    Phase.FENCED,
    Phase.STORING,
    Phase.END_TAKEN,
    Phase.END_STORING,
    Phase.SENT,
)


def _order(scene: Scene, rng: random.Random, slot: Slot, phase: Phase, action: str) -> int:
    """Give an order and wait until it is taken; returns the process that took it."""
    slot.orders.give(phase, action)
    provoked = [time.monotonic()]

    def reached() -> bool:
        if time.monotonic() - provoked[0] > _PROVOKED_EVERY_S:
            provoked[0] = time.monotonic()
            if phase in _ENDS:
                _provoke_ends(scene)
            elif phase is Phase.PURGING:
                scene.users.delete(rng, keep=KEPT_JOBS)
            elif phase is Phase.TELLING:  # a small job ends soon
                scene.users.upload(scene.users.next_file(rng, rows=_SMALL_ROWS))
            elif phase in _TELLS:
                scene.users.have_told_again(rng)
        return slot.orders.taken is not None

    try:
        scene.await_that(reached, within_s=_REACHED_WITHIN_S, what=f"{slot.program.name}: {phase.value}")
        taken = slot.orders.taken
    finally:
        slot.orders.withdraw()
    if taken is None:
        raise NotStruck("the run ended before")
    return taken


def _provoke_ends(scene: Scene) -> None:
    """Have jobs refined again, since jobs end too rarely to wait for it."""
    done = [job for job in scene.users.states().values() if job["refine"] and job["state"].startswith("completed")]
    for job in done[:4]:
        scene.users.api.once("POST", f"/jobs/{job['id']}/refine")


def _kill(phase: Phase, scene: Scene, rng: random.Random, slot: Slot) -> None:
    slot.program.await_end_of(_order(scene, rng, slot, phase, "kill"))


for _phase in Phase:
    fault(f"kill -9 of a worker: {_phase.value}", "worker")(partial(_kill, _phase))


@fault("kill -9 of a worker at any time", "worker")
def kill_at_any_time(scene: Scene, rng: random.Random, slot: Slot) -> None:
    scene.pause(rng.uniform(0, 1))
    pid = slot.program.pid
    slot.program.send(signal.SIGKILL, pid)
    slot.program.await_end_of(pid)


@fault("SIGTERM of a worker", "worker")
def terminate(scene: Scene, rng: random.Random, slot: Slot) -> None:
    pid = slot.program.pid
    slot.program.send(signal.SIGTERM, pid)
    slot.program.await_end_of(pid)


@fault("SIGSTOP of a worker past its lease", "worker")
def stand_still(scene: Scene, rng: random.Random, slot: Slot) -> None:
    pid = _order(scene, rng, slot, rng.choice(_STANDS_STILL_IN), "stop")
    try:
        scene.pause(LEASE_S * rng.uniform(1.2, 2))
    finally:
        slot.program.send(signal.SIGCONT, pid)


@fault("engine raises", "worker")
def engine_raises(scene: Scene, rng: random.Random, slot: Slot) -> None:
    _order(scene, rng, slot, Phase.ENGINE, "raise")


@fault("engine returns NaN", "worker")
def engine_returns_nan(scene: Scene, rng: random.Random, slot: Slot) -> None:
    _order(scene, rng, slot, Phase.ENGINE, "nan")


@fault("engine is broken for good", "worker")
def engine_is_broken(scene: Scene, rng: random.Random, slot: Slot) -> None:
    slot.program.await_end_of(_order(scene, rng, slot, Phase.ENGINE, "broken"))


@fault("engine hangs", "worker")
def engine_hangs(scene: Scene, rng: random.Random, slot: Slot) -> None:
    pid = _order(scene, rng, slot, Phase.ENGINE, "hang")
    slot.program.await_end_of(pid, timeout_s=GROUP_DEADLINE_S + 120)


@fault("wall clock of a worker an hour off", "worker")
def clock_steps(scene: Scene, rng: random.Random, slot: Slot) -> None:
    slot.orders.set_clock(rng.choice([-3600.0, 3600.0]))
    try:
        scene.pause(rng.uniform(1, 3))
    finally:
        slot.orders.set_clock(0.0)
