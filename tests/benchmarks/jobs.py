"""Jobs of a stack that a benchmark runs: handed in, waited for, and checked to be whole."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.benchmarks.harness import LABELS
from yeban.client import Client
from yeban.runtime.stack import Stack

_POLL_S = 0.25
_ENDED = {"completed", "completed_with_errors", "failed", "cancelled", "expired"}


def submit(client: Client, file: Path, **fields: str) -> dict[str, Any]:
    """A job of a file whose texts stand in the column ``text``."""
    return client.create_job(file, {"labels": LABELS, "text_column": "text", **fields})


def await_end(
    stack: Stack, client: Client, job_id: str, *, meanwhile: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """The job once it is completed, every row of it; ends the benchmark if it is not. ``meanwhile`` is called at each
    look."""
    while (job := client.job(job_id))["state"] not in _ENDED:
        time.sleep(_POLL_S)
        stack.check()
        meanwhile()
    if job["state"] != "completed" or job["progress"]["done"] != job["progress"]["rows"]:
        raise SystemExit(f"the job ended as {job['state']} ({job['progress']}): {job['error']}")
    return job
