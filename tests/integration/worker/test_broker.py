"""Malformed queue entries never stop the consumer, and the messages around them arrive."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from redis import Redis

from tests.fixtures.waiting import wait_until
from yeban.messaging.queues import BULK_QUEUE, TaskSender
from yeban.settings import load_settings

ROOT = Path(__file__).resolve().parents[3]
MESSAGE = {
    "body": "W1tdLCB7ImNodW5rX2lkIjogN30sIHt9XQ==",  # [[], {"chunk_id": 7}, {}]
    "content-type": "application/json",
    "content-encoding": "utf-8",
    "headers": {"task": "yeban.classify_chunks", "id": "1"},
    "properties": {
        "delivery_tag": "1",
        "delivery_info": {"exchange": "", "routing_key": BULK_QUEUE},
        "body_encoding": "base64",
    },
}


def changed(**changes):
    return {**MESSAGE, **changes}


def with_properties(**changes):
    return changed(properties={**MESSAGE["properties"], **changes})


JUNK = {
    "text": b"hello",
    "nothing": b"",
    "binary": bytes(range(256)),
    "half a document": b'{"body": ',
    "deeply nested": b"[" * 100_000,
    "a number": 7,
    "a list": [MESSAGE],
    "null": None,
    "empty": {},
    "of a strange type": {"__type__": "decimal?", "__value__": "1"},
    "no properties": {name: part for name, part in MESSAGE.items() if name != "properties"},
    "properties of the wrong type": changed(properties=[]),
    "no tag": with_properties(delivery_tag=None),
    "no destination": with_properties(delivery_info={}),
    "unknown encoding": with_properties(body_encoding="rot13"),
    "no base64": changed(body="###"),
    "body of the wrong type": changed(body={"chunk_id": 7}),
    "no headers": changed(headers=None),
    "no task": changed(headers={}),
    "task of the wrong type": changed(headers={"task": ["yeban.classify_chunks"]}),
    "unknown task": changed(headers={"task": "os.system", "id": "1"}),
    "unknown content type": {**MESSAGE, "content-type": "application/x-python-serialize"},
    "no JSON inside": changed(body="bm8="),
    "not three parts inside": changed(body="W10="),
    "no chunk inside": changed(body="W1tdLCB7fSwge31d"),
}


class Consumer:
    """A real consumer in its own process, because Celery needs the main thread."""

    def __init__(self, redis_url: str, folder: Path) -> None:
        self._handed, self._log = folder / "handed", folder / "log"
        with self._handed.open("wb") as handed, self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.fixtures.hint_consumer", redis_url], cwd=ROOT, stdout=handed, stderr=log
            )

    def handed(self) -> list[int]:
        """Ids of the received chunks, in order."""
        return [int(line) for line in self._handed.read_text(encoding="utf-8").splitlines() if line.isdigit()]

    def log(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")


@pytest.fixture
def consumer(redis_url, tmp_path):
    started = Consumer(redis_url, tmp_path)
    yield started
    started.process.terminate()
    assert started.process.wait(120) == 0


def test_junk_in_the_queue_costs_only_itself_and_is_not_written_down(consumer, redis_url):
    sender = TaskSender.connect("tests", load_settings(), redis_url)
    with Redis.from_url(redis_url) as client:
        for number, junk in enumerate(JUNK.values(), 1):
            sender.hint_chunks([number])
            client.lpush(BULK_QUEUE, junk if isinstance(junk, bytes) else json.dumps(junk))
        sender.hint_chunks([len(JUNK) + 1])
        wait_until(lambda: len(consumer.handed()) == len(JUNK) + 1, what=f"all hints; junk in order: {list(JUNK)}")
        wait_until(lambda: not client.exists(BULK_QUEUE, "unacked"), what="an empty queue")
    sender.close()
    assert consumer.handed() == list(range(1, len(JUNK) + 2))
    log = consumer.log()
    assert log.count(" dropped") == len(JUNK)
    assert "onnection to broker lost" not in log, "the consumer kept its connection"
    assert "chunk_id" not in log, "a message may hold a ticket"
