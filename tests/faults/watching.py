"""What is watched while faults strike: the web's pulse, and that what is stored stays stored."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import httpx
import psycopg

from tests.faults.background import Background
from tests.faults.stage import Stage
from tests.faults.users import ANSWER_S, NEW_CONNECTIONS

_INTERVAL_S = 0.25


@dataclass
class Pulse:
    """Asks /healthz all the time."""

    stage: Stage
    answers: int = 0
    slowest_s: float = 0.0
    excused: int = 0  # no answer, while the web was hurt
    violations: list[str] = field(default_factory=list)

    def once(self, http: httpx.Client) -> None:
        was_hurt, began = self.stage.web_hurt.since_now(), time.monotonic()
        try:
            response = http.get("/healthz")
            good, answer = response.status_code == 200, repr(response)
        except httpx.HTTPError as error:
            good, answer = False, repr(error)
        if good:
            self.answers += 1
            self.slowest_s = max(self.slowest_s, time.monotonic() - began)
        elif was_hurt():
            self.excused += 1
        else:
            self.violations.append(f"/healthz: {answer}")


_JOBS = """
    SELECT job.public_id, job.state, job.ended_at,
        (SELECT count(*) FROM result WHERE job_id = job.id) AS results,
        (SELECT coalesce(sum(last_row - first_row + 1), 0) FROM chunk WHERE job_id = job.id AND state = 'done') AS done
    FROM job WHERE deleted_at IS NULL
"""


@dataclass
class Snapshots:
    """Looks at all jobs in one statement, again and again."""

    stage: Stage
    taken: int = 0
    violations: list[str] = field(default_factory=list)
    _told: set[str] = field(default_factory=set)
    _results: dict[str, int] = field(default_factory=dict)
    _cancelled: dict[str, tuple[object, int]] = field(default_factory=dict)

    def once(self, connection: psycopg.Connection[dict[str, object]]) -> None:
        for job in connection.execute(_JOBS).fetchall():
            name, results = str(job["public_id"]), int(str(job["results"]))
            if results != job["done"] and name not in self._told:
                self._told.add(name)
                self.violations.append(f"job {name}: {results} results for {job['done']} rows of finished chunks")
            if results < self._results.get(name, 0):
                self.violations.append(f"job {name}: {self._results[name]} results became {results}")
            if job["state"] == "cancelled":
                ended_at, before = self._cancelled.setdefault(name, (job["ended_at"], results))
                if ended_at == job["ended_at"] and before != results:
                    self.violations.append(f"job {name}: results were added after it was cancelled")
                self._cancelled[name] = (job["ended_at"], results)
            self._results[name] = results
        self.taken += 1


class Watch:
    """Runs both until told to stop."""

    def __init__(self, stage: Stage) -> None:
        self.pulse = Pulse(stage)
        self.snapshots = Snapshots(stage)
        self._stage = stage
        self._stopping = threading.Event()
        self._watching = [Background(self._ask, name="pulse"), Background(self._look, name="snapshots")]

    def start(self) -> None:
        for one in self._watching:
            one.start()

    def stop(self) -> None:
        """Stop both; raises what one of them did not expect."""
        self._stopping.set()
        for one in self._watching:
            one.wait(2 * ANSWER_S)

    def _ask(self) -> None:
        with httpx.Client(base_url=self._stage.url, timeout=ANSWER_S, limits=NEW_CONNECTIONS, trust_env=False) as http:
            while not self._stopping.wait(_INTERVAL_S):
                self.pulse.once(http)

    def _look(self) -> None:
        while not self._stopping.wait(_INTERVAL_S):
            try:
                with self._stage.connect() as connection:
                    while not self._stopping.wait(_INTERVAL_S):
                        self.snapshots.once(connection)
            except psycopg.OperationalError:
                continue  # a fault struck the database
