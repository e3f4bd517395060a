"""One run: a system of its own, people at work, faults by the schedule, and the reckoning."""

from __future__ import annotations

import logging
import random
import shutil
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from tests.faults.invariants import check_jobs, is_purged, key_of
from tests.faults.kinds import KINDS, Kind, NotStruck, Scene
from tests.faults.leftovers import leftover_files, leftover_processes
from tests.faults.processes import catches
from tests.faults.report import Outcome
from tests.faults.schedule import Strike, make_schedule
from tests.faults.stage import Stage, open_stage
from tests.faults.telling import check_telling, is_told
from tests.faults.users import ENDED, Api, Intake, Users
from tests.faults.watching import Watch
from tests.fixtures.waiting import wait_until

log = logging.getLogger(__name__)

#: Faults that last may overlap with this many others.
_LANES = 3
_READY_S = 300.0
_SETTLE_S = 600.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a run is to be. Everything in it but the timing follows from ``seed``."""

    seed: int
    seconds: float  # under fire, at most
    rounds: int | None = None  # of all kinds, after which the fire ends before that time
    apart_s: tuple[float, float] = (0.3, 1.6)
    unfinished_jobs: int = 5
    most_jobs: int = 1_000
    crash_every: int = 12  # of how many jobs one has a row that kills its worker
    kinds: Sequence[Kind] = tuple(KINDS)
    command: str = "scripts/faults"
    keep_logs: Path | None = None  # where the processes' logs go

    def schedule(self) -> list[Strike]:
        """The strikes, in order."""
        names = [kind.name for kind in self.kinds]
        strikes = make_schedule(names, seed=self.seed, seconds=self.seconds, apart_s=self.apart_s)
        return list(islice(strikes, None if self.rounds is None else self.rounds * len(names)))


def run(plan: Plan, say: Callable[[str], None] = log.info) -> Outcome:
    """Carry ``plan`` out. Whatever happens, nothing that it started is left when this returns or raises."""
    outcome = Outcome(command=plan.command, seed=plan.seed, kinds=[kind.name for kind in plan.kinds])
    with open_stage() as stage:
        say(f"everything is in {stage.folder}")
        try:
            _on_stage(plan, stage, outcome, say)
        except Exception as error:
            log.exception("the run broke off")
            outcome.violations.append(f"the run broke off: {error!r}")
        finally:
            if plan.keep_logs is not None:
                _keep_logs(stage, plan.keep_logs)
    outcome.violations += [f"a process was left: {process}" for process in leftover_processes(stage.folder)]
    return outcome


def _on_stage(plan: Plan, stage: Stage, outcome: Outcome, say: Callable[[str], None]) -> None:
    api = Api(stage)
    users = Users(api, plan.seed)
    stage.web_hurt.begin()
    wait_until(
        lambda: (
            (answer := api.once("GET", "/workers")) is not None
            and answer.status_code == 200
            and len(answer.json()["workers"]) == len(stage.slots)
        ),
        timeout_s=_READY_S,
        what="a web and its workers",
    )
    stage.web_hurt.end()
    users.be_told(stage.receiver.url())
    watch = Watch(stage)
    intake = Intake(users, unfinished=plan.unfinished_jobs, crash_every=plan.crash_every, most_jobs=plan.most_jobs)
    watch.start()
    intake.start()
    try:
        wait_until(lambda: users.jobs, what="the first job")
        began = time.monotonic()
        _under_fire(plan, Scene(stage, users, threading.Event()), outcome, say)
        outcome.seconds = time.monotonic() - began
        intake.stop()
        stage.heal()
        say("all faults are over; waiting for every job to end")
        began = time.monotonic()
        _settle(users)
        _await_purge(stage)
        _await_telling(stage)
        outcome.settled_s = time.monotonic() - began
    finally:
        intake.stop()
        watch.stop()
    if intake.error is not None:
        outcome.violations.append(f"files could not be handed in: {intake.error!r}")
    with stage.connect() as connection:
        outcome.tally = check_jobs(connection, users)
        outcome.tally.add(check_telling(connection, users, stage.receiver.received))
        stored = [key_of(row) for row in connection.execute("SELECT source_name FROM job").fetchall()]
    outcome.violations += outcome.tally.violations
    outcome.violations += [f"a refused upload was stored: {key}" for key in sorted(users.refused & set(stored))]
    api.close()
    outcome.violations += api.violations + watch.pulse.violations + watch.snapshots.violations
    outcome.answers, outcome.slowest_s = watch.pulse.answers, watch.pulse.slowest_s
    outcome.calls, outcome.snapshots = api.calls, watch.snapshots.taken
    outcome.deaths = {program.name: len(program.statuses) for program in (stage.web, *(s.program for s in stage.slots))}
    _stop(stage, outcome)


def _under_fire(plan: Plan, scene: Scene, outcome: Outcome, say: Callable[[str], None]) -> None:
    by_name = {kind.name: kind for kind in plan.kinds}
    counting = threading.Lock()

    def strike(due: Strike) -> None:
        try:
            by_name[due.kind](scene, random.Random(due.seed))
        except NotStruck as error:
            say(f"{due.at_s:6.1f} s  not struck: {due.kind} ({error})")
            with counting:
                outcome.missed.setdefault(due.kind, []).append(str(error))
        except Exception as error:
            log.exception("a fault failed")
            with counting:
                outcome.violations.append(f"{due.kind} (due at {due.at_s:.1f} s): {error!r}")
        else:
            say(f"{due.at_s:6.1f} s  {due.kind}")
            with counting:
                outcome.struck[due.kind] += 1

    began = time.monotonic()
    free = threading.Semaphore(_LANES)

    def strike_and_leave(due: Strike) -> None:
        try:
            strike(due)
        finally:
            free.release()

    lanes = ThreadPoolExecutor(_LANES, thread_name_prefix="fault")
    try:
        for due in plan.schedule():
            left_s = began + plan.seconds - time.monotonic()
            # A strike that is due while every lane is taken waits; what is not begun in time does not count.
            if left_s <= 0 or not free.acquire(timeout=left_s):
                break
            scene.pause(max(0.0, began + due.at_s - time.monotonic()))
            lanes.submit(strike_and_leave, due)
        if plan.rounds is None:
            scene.pause(max(0.0, began + plan.seconds - time.monotonic()))
        else:
            for _ in range(_LANES):  # what has begun is to end
                free.acquire(timeout=max(0.0, began + plan.seconds - time.monotonic()))
    finally:
        scene.stopping.set()
        lanes.shutdown(wait=True)


def _settle(users: Users) -> None:
    """Take up what is paused, and wait until every job has ended."""
    for job in users.of(["paused"]):
        users.api.call("POST", f"/jobs/{job}/resume")

    def all_ended() -> bool:
        return all(job["state"] in ENDED for job in users.states().values())

    try:
        wait_until(all_ended, timeout_s=_SETTLE_S, what="the end of every job")
    except AssertionError:
        open_jobs = {job_id: job["state"] for job_id, job in users.states().items() if job["state"] not in ENDED}
        raise AssertionError(f"jobs that did not end within {_SETTLE_S:g} s: {open_jobs}") from None


def _await_purge(stage: Stage) -> None:
    """Wait until the workers have removed what was deleted."""
    with stage.connect() as connection:
        wait_until(lambda: is_purged(connection), timeout_s=_SETTLE_S, what="the removal of every deleted job")


def _await_telling(stage: Stage) -> None:
    """Wait until webhooks were told of every end."""
    with stage.connect() as connection:
        wait_until(lambda: is_told(connection), timeout_s=_SETTLE_S, what="the arrival of every message to a webhook")


def _stop(stage: Stage, outcome: Outcome) -> None:
    """Stop the programs in order: all of them end well and take with them what they left in the database."""
    _await_workers(stage)  # one that is just starting would be ended by the signal itself
    for name, status in stage.programs.stop().items():
        if status != 0:
            outcome.violations.append(f"{name} ended with {status} when it was told to stop")
    pids = [slot.program.pids[-1] for slot in stage.slots]
    with stage.connect() as connection:
        for worker in connection.execute("SELECT pid FROM worker WHERE pid = ANY(%s)", [pids]).fetchall():
            outcome.violations.append(f"worker {worker['pid']} stopped in order and did not sign off")
        for row in connection.execute("SELECT id FROM chunk WHERE state = 'leased'").fetchall():
            outcome.violations.append(f"chunk {row['id']} is leased though no worker is left")
    outcome.violations += [f"a file was left: {path}" for path in leftover_files(stage.temp_dir)]


def _await_workers(stage: Stage) -> None:
    def all_live() -> bool:
        pids = [slot.program.pid for slot in stage.slots]
        with stage.connect() as connection:
            seen = connection.execute(
                "SELECT count(*) AS live FROM worker WHERE pid = ANY(%s) AND seen_at > now() - interval '2 seconds'",
                [pids],
            ).fetchone()
        return seen is not None and seen["live"] == len(pids) and all(catches(pid, signal.SIGTERM) for pid in pids)

    wait_until(all_live, timeout_s=_READY_S, what="live workers")


def _keep_logs(stage: Stage, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for path in [*(stage.folder / "logs").glob("*.log"), *(stage.data_dir / "logs").glob("*.log*")]:
        shutil.copy(path, target / path.name)
