"""The form of log records, and their redaction."""

from __future__ import annotations

import io
import json
import logging
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from celery import Celery

from yeban.errors import EngineFailed, InvalidTable, ServiceUnavailable, msg
from yeban.telemetry import logs

ROOT = Path(__file__).resolve().parents[4]
SECRET = "我的包裹丢了"


@pytest.fixture
def written(monkeypatch) -> Iterator[Callable[..., Callable[[], str]]]:
    """Configure logging in one form; returns what reads all that was written since."""
    root = logging.getLogger()
    before = root.handlers[:], root.level

    def configure(form: logs.LogFormat) -> Callable[[], str]:
        stream = io.StringIO()
        monkeypatch.setattr(sys, "stderr", stream)
        logs.configure_logging("DEBUG", form)
        return stream.getvalue

    yield configure
    root.handlers[:], root.level = before


def raise_and_log(error: Exception, cause: Exception | None = None) -> None:
    try:
        raise error from cause
    except Exception:
        logging.getLogger("yeban.somewhere").exception("it failed", extra={"job": 3})


def test_a_record_in_json(written):
    said = written("json")
    logging.getLogger("yeban.jobs").warning("chunks %s", "late", extra={"job": 3, "chunks": [7, 8], "path": Path("/x")})
    (line,) = said().splitlines()
    record = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record.pop("time"))
    assert record == {
        "level": "WARNING",
        "logger": "yeban.jobs",
        "message": "chunks late",
        "job": 3,
        "chunks": [7, 8],
        "path": "/x",
    }


def test_a_record_as_a_line(written):
    said = written("line")
    logging.getLogger("yeban.jobs").warning("chunks late", extra={"job": 3})
    assert re.fullmatch(r"\S+Z WARNING yeban\.jobs chunks late job=3\n", said())


def test_a_fact_does_not_take_the_place_of_what_every_record_has(written):
    said = written("json")
    logging.getLogger("x").warning("hot", extra={"level": "mine"})
    record = json.loads(said())
    assert (record["level"], record["level_"]) == ("WARNING", "mine")


@pytest.mark.parametrize("form", ["line", "json"])
def test_of_an_exception_only_the_place_and_the_type_are_told(written, form):
    said = written(form)
    raise_and_log(RuntimeError(f"cannot tokenise {SECRET}"), ValueError(SECRET))
    assert SECRET not in said()
    assert "raise_and_log" in said()
    assert said().index("ValueError") < said().index("RuntimeError")


def test_an_exception_stays_on_the_line_of_its_record(written):
    said = written("json")
    raise_and_log(RuntimeError("x"))
    (line,) = said().splitlines()
    record = json.loads(line)
    assert record["exception"].splitlines()[-1] == "RuntimeError"
    assert record["job"] == 3


def test_what_only_came_up_on_the_way_is_told_unless_it_is_suppressed():
    def fail(*, quietly: bool) -> None:
        try:
            raise KeyError(SECRET)
        except KeyError as error:
            if quietly:
                raise RuntimeError(SECRET) from None
            raise RuntimeError(SECRET) from error

    with pytest.raises(RuntimeError) as loud:
        fail(quietly=False)
    with pytest.raises(RuntimeError) as quiet:
        fail(quietly=True)
    assert "KeyError" in logs.exception_text(loud.value)
    assert "KeyError" not in logs.exception_text(quiet.value)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (EngineFailed(msg("The scores are not finite.")), "EngineFailed: The scores are not finite."),
        (ServiceUnavailable(msg("Redis is away.")), "ServiceUnavailable: Redis is away."),
        (InvalidTable(msg("There is no column %(secret)s.", secret=SECRET)), "InvalidTable"),  # a file without a header
        (OSError(28, "No space left on device", f"/tmp/{SECRET}"), "OSError: No space left on device"),
        (OSError(SECRET), "OSError"),
        (RuntimeError(SECRET), "RuntimeError"),
    ],
)
def test_a_message_is_told_where_it_cannot_hold_a_text(error, told):
    assert logs.redacted(error) == told


def test_what_is_bound_is_in_every_record_of_the_thread_and_of_no_other(written):
    said = written("json")
    log = logging.getLogger("x")
    with logs.bound(job=1), logs.bound(chunk=2):
        log.warning("inside", extra={"chunk": 5})
        other = threading.Thread(target=lambda: log.warning("beside"))
        other.start()
        other.join()
    log.warning("after")
    inside, beside, after = map(json.loads, said().splitlines())
    assert (inside["job"], inside["chunk"]) == (1, 5)
    assert not {"job", "chunk"} & (beside.keys() | after.keys())


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ("Received unregistered task.\nThe full contents of the message body was: %s", (SECRET,)),
        ("Received and deleted unknown message. %s", (f"body: {SECRET}",)),
    ],
)
def test_a_message_that_celery_does_not_know_is_not_quoted(written, message, arguments):
    said = written("json")
    logging.getLogger("celery.worker.consumer.consumer").error(message, *arguments)
    logging.getLogger("celery.worker.consumer.consumer").info("Connected to %s", "redis")
    assert SECRET not in said()
    assert [json.loads(line)["message"] for line in said().splitlines()][1] == "Connected to redis"


def test_a_task_that_failed_is_named_without_what_its_exception_says(written):
    said = written("json")
    app = Celery("tests", set_as_current=False)

    @app.task(name="yeban.fails", ignore_result=True)
    def fails() -> None:
        raise RuntimeError(SECRET)

    fails.apply()
    assert SECRET not in said()
    (record,) = [json.loads(line) for line in said().splitlines() if "celery.app.trace" in line]
    assert record["message"] == "task yeban.fails failed"
    assert record["exception"].splitlines()[-1] == "RuntimeError"


@pytest.mark.parametrize("where", ["main", "thread"])
def test_what_nobody_caught_is_a_record_too(where):
    program = (
        "import sys, threading\n"
        "from yeban.telemetry.logs import configure_logging, log_uncaught\n"
        "configure_logging('INFO', 'json'); log_uncaught()\n"
        "def fail(): raise RuntimeError(sys.argv[1])\n"
        "fail() if sys.argv[2] == 'main' else threading.Thread(target=fail).start()\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, SECRET, where], capture_output=True, text=True, check=False, cwd=ROOT
    )
    (line,) = ended.stderr.splitlines()
    record = json.loads(line)
    assert (record["level"], record["message"]) == ("CRITICAL", "unexpected error")
    assert SECRET not in line
