"""A real bulk worker with the predictable model, which can be hurt at any phase:

``python -m tests.faults.worker_under_test ORDERS_FOLDER PER_TEXT_S``. Product functions are wrapped, not replaced: each
does its work as ever, and tells where it is.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import event

from tests.faults.orders import Orders, Phase, Points
from tests.faults.predictable import PredictableClassifier
from worker import lifecycle
from worker.lifecycle import WorkerProcess
from worker.tasks.grouping import Grouper
from yeban.chunks import leases, outcomes
from yeban.jobs import retention
from yeban.results import completion
from yeban.runtime.programs import BULK_ROLE
from yeban.runtime.servers import find_endpoints
from yeban.settings import load_settings
from yeban.telemetry.logs import configure_logging
from yeban.webhooks import announcements, deliveries
from yeban.webhooks.notifier import Notifier

#: Further models that every worker under test has loaded, beside the one of the settings.
OTHER_MODELS = ("predictable-b",)
_CLOCK_POLL_S = 0.1
# A minute in production; a job whose worker was killed during completion is not to hold up a run for that long.
_COMPLETION_LEASE_S = 4.0
# Ten minutes and a minute in production; and so few rows at once that a purge takes several transactions.
_GRACE_S = 1.0
_TIDYING_S = 0.5
_PURGED_ROWS = 40
# Ten seconds for a try, a minute for whoever has taken a message, and up to a day between tries in production; so that
# here what is put off by more than a few seconds was put off by a clock that was set back since.
_TRY_S = 2.0
_MESSAGE_LEASE_S = 4.0
_DELAYS_S = (0.5,) * 1_000
_LONGEST_DELAY = timedelta(seconds=20)


def main(folder: Path, per_text_s: float) -> int:
    """Serve until told to stop, or until an order ends it."""
    settings = load_settings()
    configure_logging(settings.log_level)
    points = Points(folder)
    _follow_clock(Orders(folder))

    def open_model(name: str) -> PredictableClassifier:
        return PredictableClassifier(name, per_text_s=per_text_s, at_work=lambda: points.reach(Phase.ENGINE))

    lifecycle._TIDYING_S = _TIDYING_S
    lifecycle.Notifier = partial(Notifier, limit_s=_TRY_S)
    process = WorkerProcess(BULK_ROLE, settings, find_endpoints(settings), open_model=open_model)
    for name in OTHER_MODELS:
        process._models.get(name)
    _tell_of_phases(points, process)
    return process.run()


def _tell_of_phases(points: Points, process: WorkerProcess) -> None:
    _wrap(points, Grouper, "_flush", before=Phase.BUFFERED)
    _wrap(points, leases, "claim", before=Phase.HINTED, commit=Phase.CLAIMING, after=Phase.CLAIMED)
    _wrap(points, outcomes, "finish_chunks", commit=Phase.STORING, after=Phase.STORED)
    _wrap_copy(points, outcomes, {"result": (Phase.FENCED, None), "embedding": (None, Phase.COPIED)})
    completion.COMPLETION_LEASE_S = _COMPLETION_LEASE_S
    _wrap(points, completion, "_lease", after=Phase.END_TAKEN, only=lambda job: job is not None)
    _wrap_copy(points, completion, {"refined": (Phase.END_COPYING, None)})
    _wrap(points, completion, "_complete", commit=Phase.END_STORING, after=Phase.ENDED)

    retention.purge = partial(retention.purge, grace_s=_GRACE_S)
    retention._BATCH_ROWS = _PURGED_ROWS
    _wrap(points, retention, "_remove_batch", after=Phase.PURGING, only=lambda last: last is not None)

    deliveries.LEASE_S, deliveries.DELAYS_S = _MESSAGE_LEASE_S, _DELAYS_S
    deliveries.LONGEST_DELAY = _LONGEST_DELAY
    _wrap(points, announcements, "_enter", after=Phase.TELLING, only=lambda made: made > 0)
    _wrap(points, deliveries, "claim", after=Phase.SENDING, only=lambda message: message is not None)
    _wrap(points, deliveries, "record", before=Phase.SENT)

    @event.listens_for(process._database.engine, "commit")
    def before_commit(_connection: Any) -> None:
        if (phase := getattr(points.current, "commit", None)) is not None:
            points.reach(phase)


def _wrap(
    points: Points,
    owner: Any,
    name: str,
    *,
    before: Phase | None = None,
    commit: Phase | None = None,
    after: Phase | None = None,
    only: Callable[[Any], bool] = lambda _returned: True,
) -> None:
    real = getattr(owner, name)

    def wrapped(*args: Any, **options: Any) -> Any:
        if before is not None:
            points.reach(before)
        points.current.commit = commit
        try:
            returned = real(*args, **options)
        finally:
            points.current.commit = None
        if after is not None and only(returned):
            points.reach(after)
        return returned

    setattr(owner, name, wrapped)


def _wrap_copy(points: Points, owner: Any, phases: dict[str, tuple[Phase | None, Phase | None]]) -> None:
    real = owner.copy_rows

    def wrapped(connection: Any, table: str, *args: Any) -> int:
        before, after = phases.get(table, (None, None))
        if before is not None:
            points.reach(before)
        copied: int = real(connection, table, *args)
        if after is not None:
            points.reach(after)
        return copied

    owner.copy_rows = wrapped


def _follow_clock(orders: Orders) -> None:
    real, offset_s = time.time, [orders.clock()]
    time.time = lambda: real() + offset_s[0]

    def follow() -> None:
        while True:
            offset_s[0] = orders.clock()
            threading.Event().wait(_CLOCK_POLL_S)

    threading.Thread(target=follow, name="clock", daemon=True).start()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), float(sys.argv[2])))
