"""Messages that come twice, in any order, for nothing, or make no sense; and more sweepers than one."""

from __future__ import annotations

import json
import random
import threading

import psycopg
import redis

from tests.faults.background import Background
from tests.faults.kinds.registry import NotStruck, Scene, fault
from tests.faults.stage import Slot
from yeban.chunks.sweep import sweep
from yeban.errors import ServiceUnavailable
from yeban.messaging.queues import BULK_QUEUE, CLASSIFY_CHUNKS, FINISH_JOB, SEND_ERRORS

_JUNK = (b"", b"junk", b"\xff\xfe", b"[]", b"7", b"null", b"{}", b'{"body": 7}', b'{"headers": {}, "properties": {}}')
_ODD_PAYLOADS: tuple[dict[str, object], ...] = (
    {},
    {"chunk_id": "x"},
    {"chunk_id": None},
    {"chunk_id": [1]},
    {"chunk_id": 2**63},
    {"chunk_id": -1},
)
_SWEEPING_S = 2.0


@fault("hints doubled, shuffled, for done and for no chunks", "messages")
def double_hints(scene: Scene, rng: random.Random, slot: Slot) -> None:
    try:
        with scene.stage.connect() as connection:
            known = [int(str(row["id"])) for row in connection.execute("SELECT id FROM chunk ORDER BY id").fetchall()]
    except psycopg.OperationalError as error:
        raise NotStruck("the database was away") from error
    chosen = rng.sample(known, min(len(known), 60)) + known[-60:] + [max(known, default=0) + 10**6, 2**63 - 1]
    hints = chosen * rng.randint(2, 3)
    rng.shuffle(hints)
    try:
        scene.stage.sender.hint_chunks(hints)
    except SEND_ERRORS as error:
        raise NotStruck("Valkey was away") from error


@fault("ends of jobs asked for twice, and of none", "messages")
def double_ends(scene: Scene, rng: random.Random, slot: Slot) -> None:
    try:
        with scene.stage.connect() as connection:
            known = [int(str(row["id"])) for row in connection.execute("SELECT id FROM job ORDER BY id").fetchall()]
        for job_id in [*known[-20:], *known[-20:], 10**6]:
            scene.stage.sender.finish_job(job_id)
    except psycopg.OperationalError as error:
        raise NotStruck("the database was away") from error
    except SEND_ERRORS as error:
        raise NotStruck("Valkey was away") from error


@fault("messages with odd payloads", "messages")
def odd_payloads(scene: Scene, rng: random.Random, slot: Slot) -> None:
    app = scene.stage.sender._app
    try:
        for payload in _ODD_PAYLOADS:
            app.send_task(CLASSIFY_CHUNKS, kwargs=payload, queue=BULK_QUEUE, retry=False)
        app.send_task(FINISH_JOB, kwargs={"job": 1}, queue=BULK_QUEUE, retry=False)
        app.send_task("yeban.unheard_of", queue=BULK_QUEUE, retry=False)
    except SEND_ERRORS as error:
        raise NotStruck("Valkey was away") from error


@fault("junk in the queue", "messages", rest_s=4.0)
def junk(scene: Scene, rng: random.Random, slot: Slot) -> None:
    pieces = [rng.choice(_JUNK), json.dumps({"body": rng.random()}).encode()]
    try:
        with scene.stage.redis() as client:
            client.lpush(BULK_QUEUE, *pieces)
    except redis.RedisError as error:
        raise NotStruck("Valkey was away") from error


@fault("two more sweepers at once", "messages")
def sweepers(scene: Scene, rng: random.Random, slot: Slot) -> None:
    ended = threading.Event()

    hint_ttl_s = rng.uniform(0.5, 3)

    def loop() -> None:
        while True:
            try:
                # Jobs are ended by the workers, which can refine.
                sweep(scene.stage.database, scene.stage.sender, hint_ttl_s=hint_ttl_s)
            except ServiceUnavailable:
                ended.wait(0.1)
            if ended.is_set():
                return

    sweeping = [Background(loop, name=f"sweeper {number}") for number in (1, 2)]
    for sweeper in sweeping:
        sweeper.start()
    scene.pause(_SWEEPING_S)
    ended.set()
    for sweeper in sweeping:
        sweeper.wait(120)
