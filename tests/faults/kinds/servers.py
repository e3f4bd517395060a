"""PostgreSQL and Valkey that die, restart, forget, or have no room left."""

from __future__ import annotations

import contextlib
import random
import signal

import psycopg
import redis

from tests.faults.clock import DatabaseClock
from tests.faults.disk import SmallDisk
from tests.faults.kinds.registry import NotStruck, Scene, fault
from tests.faults.stage import Slot, Stage
from tests.faults.users import upload_options
from tests.fixtures.waiting import wait_until

#: How long a server may take until it answers again: recovery, on a busy machine.
_BACK_WITHIN_S = 180.0
#: Rows of an upload that does not fit into the room that a table has in its file already.
_LARGE_ROWS = 4_000
#: More segments than PostgreSQL keeps in reserve.
_MOST_SEGMENTS = 64


def _database_answers(stage: Stage) -> bool:
    try:
        with stage.connect() as connection:
            # That it can write, too: a server in recovery, or without room, cannot.
            connection.execute("CREATE TEMPORARY TABLE probe AS SELECT 1")
            return True
    except (psycopg.Error, OSError):
        return False


def _redis_pid(stage: Stage) -> int | None:
    try:
        with stage.redis() as client:
            return int(client.info("server")["process_id"])
    except redis.RedisError:
        return None


@fault("FLUSHALL of Valkey", "valkey")
def flush(scene: Scene, rng: random.Random, slot: Slot) -> None:
    with scene.stage.redis() as client:
        client.flushall()


@fault("kill -9 of Valkey", "valkey")
def kill_valkey(scene: Scene, rng: random.Random, slot: Slot) -> None:
    pid = _redis_pid(scene.stage)
    if pid is None:
        raise NotStruck("Valkey did not answer before")
    slot.program.send(signal.SIGKILL, pid)
    wait_until(lambda: _redis_pid(scene.stage) not in {None, pid}, timeout_s=_BACK_WITHIN_S, what="Valkey's restart")


@fault("kill -9 of a PostgreSQL backend", "postgres")
def kill_backend(scene: Scene, rng: random.Random, slot: Slot) -> None:
    with scene.stage.connect() as connection:
        backends = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            " AND datname = current_database() ORDER BY pid"
        ).fetchall()
    if not backends:
        raise NotStruck("there was no backend")
    slot.program.send(signal.SIGKILL, int(str(rng.choice(backends)["pid"])))
    wait_until(lambda: _database_answers(scene.stage), timeout_s=_BACK_WITHIN_S, what="PostgreSQL's recovery")


def end_postmaster(scene: Scene, number: signal.Signals) -> None:
    """End PostgreSQL by a signal, and wait until it is back."""
    pid = scene.stage.postmaster_pid()
    scene.stage.web.send(number, pid)

    def another() -> bool:
        try:
            return scene.stage.postmaster_pid() != pid
        except (OSError, ValueError):
            return False

    wait_until(another, timeout_s=_BACK_WITHIN_S, what="another postmaster")
    wait_until(lambda: _database_answers(scene.stage), timeout_s=_BACK_WITHIN_S, what="PostgreSQL's restart")


@fault("fast restart of PostgreSQL", "postgres")
def restart_postgres(scene: Scene, rng: random.Random, slot: Slot) -> None:
    end_postmaster(scene, signal.SIGINT)


@fault("kill -9 of the postmaster", "postgres")
def kill_postmaster(scene: Scene, rng: random.Random, slot: Slot) -> None:
    end_postmaster(scene, signal.SIGKILL)


@fault("full disk under PostgreSQL", "postgres")
def full_disk(scene: Scene, rng: random.Random, slot: Slot) -> None:
    disk = scene.stage.disk
    if not isinstance(disk, SmallDisk):
        raise NotStruck(disk)
    asked = scene.users.next_file(rng, rows=_LARGE_ROWS)
    try:
        disk.fill()
        answer = scene.users.api.once("POST", "/jobs", **upload_options(asked))
        if answer is not None and answer.status_code not in {503, 507}:
            scene.users.api.violations.append(
                f"an upload on a full disk was answered with {answer.status_code}: {answer.text[:200]}"
            )
        scene.pause(rng.uniform(1, 4))
    finally:
        disk.free()
    # Nothing of the refused upload may be left, so it is not tried again under its key.
    scene.users.refused.add(asked.key)
    wait_until(lambda: _database_answers(scene.stage), timeout_s=_BACK_WITHIN_S, what="a database with room again")


@fault("full disk under PostgreSQL's log", "postgres")
def full_log(scene: Scene, rng: random.Random, slot: Slot) -> None:
    """Without room for its next segment of the log PostgreSQL panics, and cannot recover until there is room."""
    disk = scene.stage.disk
    if not isinstance(disk, SmallDisk):
        raise NotStruck(disk)
    try:
        disk.fill()
        with contextlib.suppress(psycopg.Error), scene.stage.connect() as connection:
            for _ in range(_MOST_SEGMENTS):
                connection.execute("SELECT pg_logical_emit_message(false, 'fault', 'x'), pg_switch_wal()")
        scene.pause(rng.uniform(1, 6))
    finally:
        disk.free()
    wait_until(lambda: _database_answers(scene.stage), timeout_s=_BACK_WITHIN_S, what="a database with room again")


# Back by more than the quarter of an hour that everything of ours lies within; by less, a dead worker's leases would
# last as long as the jump.
_JUMPS_S = (60, 3600, -3600)


@fault("the database's clock jumps", "postgres")
def clock_jumps(scene: Scene, rng: random.Random, slot: Slot) -> None:
    clock = scene.stage.clock
    if not isinstance(clock, DatabaseClock):
        raise NotStruck(clock)
    with scene.stage.connect() as connection:

        def now() -> float:
            (told,) = connection.execute("SELECT extract(epoch FROM clock_timestamp()) AS now").fetchall()
            return float(str(told["now"]))

        before = now()
        step_s = rng.choice(_JUMPS_S)
        clock.step(step_s)

        def jumped() -> bool:
            return abs(now() - before) > abs(step_s) / 2

        wait_until(jumped, timeout_s=60, what="a jump of the database's clock")
