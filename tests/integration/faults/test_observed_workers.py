"""Real workers, seen from outside: their heartbeat, their pages, their log and their traces."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import httpx
import pytest

from tests.fixtures.collector import run_collector
from tests.fixtures.ports import free_port
from tests.fixtures.scraping import read
from tests.fixtures.waiting import wait_until
from yeban.database.tables.states import JobState
from yeban.labels import LabelSet
from yeban.messaging.queues import (
    CLASSIFY_TEXT,
    INTERACTIVE_QUEUE,
    TaskSender,
    TextReply,
    TextRequest,
    make_celery,
    make_redis,
)
from yeban.runtime.servers import open_servers
from yeban.settings import load_settings

SECRET = "我的包裹丢了"
#: How long an answer may take of a machine that is slow, or stands still for a while.
_PATIENCE_S = 120.0


@pytest.fixture
def heartbeat(tmp_path) -> Path:
    return tmp_path / "heartbeat"


@pytest.fixture(name="free_port")
def chosen_port() -> int:
    return free_port()


@pytest.fixture
def own_redis(fast_folder, work):
    """A Valkey of this test's own, gone when ``stop`` is called."""
    folder = Path(tempfile.mkdtemp(prefix="yeban-test-", dir=fast_folder))
    folder.chmod(0o711)
    database_url = work.database.engine.url.render_as_string(hide_password=False)
    with contextlib.ExitStack() as stack:
        endpoints = stack.enter_context(open_servers(load_settings(data_dir=folder, database_url=database_url)))
        yield endpoints.redis_url, stack.close
    shutil.rmtree(folder)


def probe(heartbeat: Path, max_age_s: float = 1.5) -> int:
    command = [sys.executable, "-m", "yeban.cli", "probe", "worker", "--file", heartbeat, "--max-age-s", str(max_age_s)]
    return subprocess.run([*map(str, command)], capture_output=True, check=False).returncode


def beats_on(heartbeat: Path) -> bool:
    """Whether it is written again within two seconds, where it should be thrice a second."""
    before = heartbeat.stat().st_mtime_ns
    try:
        return wait_until(lambda: heartbeat.stat().st_mtime_ns != before, timeout_s=2)
    except AssertionError:
        return False


def request(text: str, **more) -> TextRequest:
    now = time.time()
    return TextRequest(
        text=text,
        label_set=LabelSet.of("甲,乙").to_json(),
        model="fake",
        reply_to=f"yeban:reply:{uuid.uuid4().hex}",
        sent_at=now,
        deadline=now + _PATIENCE_S,
        **more,
    )


def records(worker) -> list[dict]:
    whole, _, _ = worker.log.read_text(encoding="utf-8").rpartition("\n")  # it may be writing the next
    return [json.loads(line) for line in whole.splitlines()]


def status_of(url: str) -> int | None:
    """The status that ``url`` answers with, if it answers."""
    try:
        return httpx.get(url, timeout=_PATIENCE_S).status_code
    except httpx.HTTPError:
        return None


def test_a_heartbeat_begins_goes_on_and_ends_in_order(start_worker, heartbeat):
    worker = start_worker(YEBAN_HEARTBEAT_FILE=str(heartbeat))
    wait_until(heartbeat.exists, what="the first heartbeat")
    wait_until(lambda: beats_on(heartbeat), what="the next heartbeat")
    wait_until(lambda: probe(heartbeat) == 0, what="a heartbeat that is young")
    worker.stop()
    assert not heartbeat.exists()
    assert probe(heartbeat) == 1


def test_a_process_that_stands_still_has_no_heartbeat(start_worker, heartbeat):
    worker = start_worker(YEBAN_HEARTBEAT_FILE=str(heartbeat))
    wait_until(heartbeat.exists, what="the first heartbeat")
    worker.send(signal.SIGSTOP)
    wait_until(lambda: probe(heartbeat) == 1, what="a heartbeat that is too old")
    worker.send(signal.SIGCONT)
    wait_until(lambda: probe(heartbeat) == 0, what="a new heartbeat")


def test_an_event_loop_that_hangs_ends_the_heartbeat_though_all_else_goes_on(start_worker, heartbeat, work, free_port):
    worker = start_worker(YEBAN_HEARTBEAT_FILE=str(heartbeat), YEBAN_METRICS_PORT=str(free_port), FAKE_STALLED_S="1.5")
    health = f"http://127.0.0.1:{free_port}/healthz"
    wait_until(lambda: heartbeat.exists() and status_of(health) == 200, what="the first heartbeat")
    worker.send(signal.SIGALRM)
    wait_until(lambda: not beats_on(heartbeat), what="the end of the heartbeat")
    seen = work.column("SELECT seen_at FROM worker")
    wait_until(lambda: work.column("SELECT seen_at FROM worker") > seen, what="a sign of life in the database")
    assert not beats_on(heartbeat)
    wait_until(lambda: status_of(health) == 503, what="a worker that says it is not well")


def test_without_redis_the_heartbeat_ends_and_the_worker_does_not(start_worker, heartbeat, work, own_redis):
    redis_url, stop_redis = own_redis
    worker = start_worker(redis_url=redis_url, YEBAN_HEARTBEAT_FILE=str(heartbeat), FAKE_STALLED_S="1.5")
    wait_until(heartbeat.exists, what="the first heartbeat")
    stop_redis()
    wait_until(lambda: not beats_on(heartbeat), what="the end of the heartbeat")
    assert worker.process.poll() is None
    seen = work.column("SELECT seen_at FROM worker")
    wait_until(lambda: work.column("SELECT seen_at FROM worker") > seen, what="a sign of life in the database")


def test_without_its_database_the_heartbeat_ends(start_worker, heartbeat, work):
    start_worker(YEBAN_HEARTBEAT_FILE=str(heartbeat))
    wait_until(heartbeat.exists, what="the first heartbeat")
    work.execute("ALTER TABLE worker RENAME TO elsewhere")
    wait_until(lambda: not beats_on(heartbeat), what="the end of the heartbeat")
    work.execute("ALTER TABLE elsewhere RENAME TO worker")
    wait_until(lambda: beats_on(heartbeat), what="a new heartbeat")


def test_a_worker_tells_what_it_does(start_worker, submit, await_state, free_port):
    job = submit(40, chunk_rows=8)
    start_worker(YEBAN_METRICS_PORT=str(free_port))
    await_state(job, JobState.COMPLETED)

    def all_told():
        shown = read(httpx.get(f"http://127.0.0.1:{free_port}/metrics", timeout=_PATIENCE_S).text)
        return shown("yeban_rows_total", status="ok") == 40 and shown

    shown = wait_until(all_told, what="the rows of the job")  # they are counted once they are stored
    assert shown("yeban_chunks_done_total") == 5
    assert shown("yeban_build_info", program="worker", version="0.1.0") == 1
    assert shown("yeban_cache_lookups_total", store="pairs", layer="redis", result="hit") == 0
    assert shown("process_resident_memory_bytes") > 1_000_000


def test_a_port_that_is_taken_ends_the_worker_with_a_reason(start_worker):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        worker = start_worker(YEBAN_METRICS_PORT=str(port))
        assert worker.await_end() != 0
    assert f"port {port} of" in worker.log.read_text()


def test_no_text_is_in_the_log_of_any_worker_and_every_record_is_json(
    start_worker, submit, await_state, redis_url, settings
):
    debug = {"YEBAN_LOG_LEVEL": "DEBUG", "YEBAN_LOG_FORMAT": "json"}
    workers = [start_worker(role, **debug) for role in ("bulk", "interactive")]
    job = submit([f"{SECRET}{kind},甲" for kind in ("", "POISON", "NAN", "")], chunk_rows=4)
    sender = TaskSender.connect("tests", settings, redis_url)
    strange = make_celery("tests", settings, redis_url)
    with make_redis(redis_url, timeout_s=2 * _PATIENCE_S) as redis:
        for text in (SECRET, f"{SECRET} POISON", f"{SECRET} NAN"):
            asked = request(text)
            sender.classify_text(asked)
            _, answer = redis.blpop([asked.reply_to], timeout=_PATIENCE_S)
            assert (TextReply.model_validate_json(answer).error_code is None) == (text == SECRET)
        # Of another version, or broken.
        strange.send_task("yeban.unknown", kwargs={"text": SECRET}, queue=INTERACTIVE_QUEUE)
        strange.send_task(CLASSIFY_TEXT, kwargs={"text": SECRET}, queue=INTERACTIVE_QUEUE)
        redis.lpush(INTERACTIVE_QUEUE, json.dumps({"body": SECRET, "headers": {}, "properties": {}}))
        await_state(job, JobState.COMPLETED_WITH_ERRORS)
        wait_until(lambda: "malformed message" in workers[1].log.read_text(), what="the end of the malformed message")
    for worker in workers:
        assert SECRET not in worker.log.read_text(encoding="utf-8")
        assert "\\u6211" not in worker.log.read_text(encoding="utf-8")
    bulk, interactive = map(records, workers)
    assert {"time", "level", "logger", "message"} <= set.intersection(*map(set, bulk + interactive))
    failed = next(record for record in bulk if record["message"] == "engine call failed")
    assert failed["exception"].splitlines()[-1] == "RuntimeError"
    assert failed["chunks"]
    assert any(record["logger"].startswith("celery") for record in bulk)
    assert {record["job"] for record in bulk if record["message"] == "chunk failed"} == {job.internal_id}


def test_what_workers_do_is_traced_with_links_to_who_asked(
    start_worker, submit, await_state, redis_url, settings, monkeypatch
):
    with run_collector() as collector:
        traced = {"YEBAN_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "200"}
        start_worker("bulk", **traced)
        start_worker("interactive", **traced)
        job = submit([f"{SECRET},甲", f"{SECRET}POISON,甲"], chunk_rows=1)
        await_state(job, JobState.COMPLETED_WITH_ERRORS)
        sender = TaskSender.connect("tests", settings, redis_url)
        asked = request(SECRET, trace={"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"})
        sender.classify_text(asked)
        group = wait_until(lambda: collector.named("text group"), what="the span of a text group")[0]
        ended = wait_until(lambda: collector.named("end job"), what="the span of a job's end")[0]
        assert group.links == {bytes.fromhex("b" * 16)}
        assert group.service == "yeban-worker-interactive"
        assert wait_until(lambda: {"plan", "engine", "reply"} <= collector.below(group), what="its parts")
        assert (ended.attributes["yeban.job.id"], ended.attributes["yeban.rows"]) == (job.internal_id, 2)

        def parts() -> set[str]:
            return set().union(*map(collector.below, collector.named("chunk group")))

        wait_until(lambda: {"claim", "read", "plan", "engine", "store"} <= parts(), what="the parts of a chunk group")
        failed = {span.failed for span in collector.named("engine")}
        assert "RuntimeError" in failed
        assert {span.events for span in collector.spans} == {0}
        assert not [body for body in collector.raw if SECRET.encode() in body]
