"""People who hand files in and steer their jobs over HTTP, and remember what they are owed."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.faults.predictable import CRASH, POISON
from tests.faults.stage import MODEL, Stage
from tests.faults.worker_under_test import OTHER_MODELS
from tests.fixtures.samples import LABELS

#: An answer within this time counts as given, on a machine that is slow or stands still for a while.
ANSWER_S = 60.0
#: The server closes a connection that is idle for two seconds; a request sent on it just then would be lost.
NEW_CONNECTIONS = httpx.Limits(max_keepalive_connections=0)
ENDED = frozenset({"completed", "completed_with_errors", "cancelled", "failed", "expired"})
#: How often, and how many seconds apart, what fails in passing is tried.
TRIES = 600
PAUSE_S = 0.2
# Where no worker has lately told that it is alive, a model other than the default is not known.
_PASSING = frozenset({"unknown_model"})


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One file with what is asked for: all that is needed to know every result beforehand."""

    key: str  # the Idempotency-Key, also in every text
    texts: tuple[str, ...]  # by row; blank where the row cannot be scored
    golds: tuple[str, ...] | None
    labels: tuple[str, ...]
    model: str
    multi_label: bool
    threshold: float | None
    refine: bool

    @property
    def errors(self) -> set[int]:
        """The numbers of the rows that must become error results, from 1."""
        return {row for row, text in enumerate(self.texts, 1) if not text or POISON in text or CRASH in text}

    def content(self) -> bytes:
        """The file, as CSV."""
        golds = self.golds or ("",) * len(self.texts)
        lines = (f"{row},{text},{gold}" for row, (text, gold) in enumerate(zip(self.texts, golds, strict=True), 1))
        return "\n".join(["number,text,gold", *lines, ""]).encode()

    def fields(self) -> dict[str, Any]:
        """The form beside the file."""
        asked: dict[str, Any] = {
            "labels": ",".join(self.labels),
            "model": self.model,
            "text_column": "text",
            "multi_label": str(self.multi_label).lower(),
            "refine": str(self.refine).lower(),
        }
        if self.threshold is not None:
            asked["threshold"] = str(self.threshold)
        if self.golds is not None:
            asked["gold_column"] = "gold"
        return asked


def make_file(rng: random.Random, key: str, *, rows: int | None = None, crash: bool = False) -> Asked:
    """A file of ``rows`` unique texts (100 to 500 by default), some blank or poison; ``crash`` adds a killer."""
    count = rows or rng.randint(100, 500)
    labels = tuple(rng.sample(LABELS, rng.randint(2, 8)))
    texts = [f"工单 {key} 第 {row} 行 {rng.randrange(10**9)}" for row in range(1, count + 1)]
    for row in rng.sample(range(count), rng.randint(0, 4)):
        texts[row] = ""
    for row in rng.sample(range(count), rng.choice([0, 0, 0, 1])):
        texts[row] = f"{POISON} {key} {row}"
    if crash:
        texts[rng.randrange(count)] = f"{CRASH} {key}"
    multi_label = rng.random() < 0.2
    return Asked(
        key=key,
        texts=tuple(texts),
        golds=tuple(rng.choice(labels) for _ in texts) if rng.random() < 0.5 else None,
        labels=labels,
        model=rng.choice([MODEL, MODEL, *OTHER_MODELS]),
        multi_label=multi_label,
        threshold=rng.choice([None, 0.7]),
        refine=not multi_label and rng.random() < 0.7,
    )


@dataclass
class Api:
    """The web's API, as a patient program uses it. What it must never answer is kept in ``violations``."""

    stage: Stage
    violations: list[str] = field(default_factory=list)
    calls: int = 0

    def __post_init__(self) -> None:
        self._http = httpx.Client(
            base_url=f"{self.stage.url}/api/v1", timeout=ANSWER_S, limits=NEW_CONNECTIONS, trust_env=False
        )
        self._pause = threading.Event()

    def close(self) -> None:
        self._http.close()

    def once(self, method: str, path: str, **options: Any) -> httpx.Response | None:
        """One call; ``None`` where there was no answer at all."""
        self.calls += 1
        response = self.ask(self._http, method, path, **options)
        if response is not None and response.status_code >= 400:
            typed = response.headers.get("content-type") == "application/problem+json"
            code = response.json().get("code") if typed else None
            if not typed or code in {None, "internal"}:
                self.violations.append(f"{method} {path}: {response.status_code} {response.text[:200]}")
        return response

    def ask(self, http: httpx.Client, method: str, path: str, **options: Any) -> httpx.Response | None:
        """Ask by ``http``; ``None`` where there was no answer at all, which is right only while the web is hurt."""
        was_hurt = self.stage.web_hurt.since_now()
        try:
            return http.request(method, path, **options)
        except httpx.HTTPError as error:
            if not was_hurt():
                self.violations.append(f"{method} {path}: no answer ({error!r}) though the web was not hurt")
            return None

    def call(self, method: str, path: str, *, passing: frozenset[str] = frozenset(), **options: Any) -> httpx.Response:
        """Call until there is an answer that is no passing failure: 503, or a problem whose code is in ``passing``."""
        for _ in range(TRIES):
            response = self.once(method, path, **options)
            passes = response is None or response.status_code == 503
            if response is not None and response.status_code >= 400 and not passes:
                passes = response.json().get("code") in passing
            if response is not None and not passes:
                return response
            self._pause.wait(PAUSE_S)
        raise AssertionError(f"{method} {path}: no lasting answer in {TRIES} tries")


@dataclass
class Users:
    """All jobs that were asked for, by their keys."""

    api: Api
    seed: int
    jobs: dict[str, str] = field(default_factory=dict)  # key to id
    asked: dict[str, Asked] = field(default_factory=dict)  # by key
    deleted: dict[str, str] = field(default_factory=dict)  # key to id
    refused: set[str] = field(default_factory=set)  # keys of uploads that nobody tried again
    webhook: dict[str, str] = field(default_factory=dict)  # as the API showed it when it was made, with its secret
    _numbers: Any = field(default_factory=itertools.count)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def next_file(self, rng: random.Random, *, rows: int | None = None, crash: bool = False) -> Asked:
        with self._lock:
            asked = make_file(rng, f"s{self.seed}-{next(self._numbers)}", rows=rows, crash=crash)
            self.asked[asked.key] = asked
        return asked

    def upload(self, asked: Asked, *, times: int = 1) -> None:
        """Hand a file in, again and again under the same key until it was stored, or told to be, ``times`` times."""
        made = set()
        for _ in range(times):
            response = self.api.call("POST", "/jobs", passing=_PASSING, **upload_options(asked))
            assert response.status_code in {200, 201}, response.text
            made.add(str(response.json()["id"]))
        if len(made) > 1:
            self.api.violations.append(f"one Idempotency-Key made more than one job: {sorted(made)}")
        self.made(asked, made.pop())

    def made(self, asked: Asked, job_id: str) -> None:
        """``asked`` was stored, as the job ``job_id``."""
        with self._lock:
            if self.jobs.setdefault(asked.key, job_id) != job_id:
                self.api.violations.append(f"{asked.key} made the job {job_id} beside {self.jobs[asked.key]}")

    def be_told(self, url: str) -> None:
        """Have the end of every job told to ``url``."""
        response = self.api.call("POST", "/webhooks", json={"url": url})
        assert response.status_code == 201, response.text
        self.webhook = response.json()

    def have_told_again(self, rng: random.Random) -> None:
        """Have one of the last messages sent once more, where there is one."""
        path = f"/webhooks/{self.webhook['id']}/deliveries"
        found = self.api.once("GET", path)
        if found is not None and found.status_code == 200 and (sent := found.json()["deliveries"]):
            self.api.once("POST", f"{path}/{rng.choice(sent)['id']}/retry")

    def delete(self, rng: random.Random, *, keep: int) -> bool:
        """Delete one of the ended jobs, where there are more than ``keep``; returns whether that was done.

        Only one whose upload is over: the key of a deleted job is free, and would make another.
        """
        states = self.states()
        with self._lock:
            ended = [
                (key, job_id)
                for key, job_id in self.jobs.items()
                if job_id in states and states[job_id]["state"] in ENDED and key not in self.deleted
            ]
            if len(ended) <= keep:
                return False
            key, job_id = rng.choice(ended)
            self.deleted[key] = job_id  # before it is, since then it may be gone at any time
        response = self.api.call("DELETE", f"/jobs/{job_id}")
        if response.status_code == 409:  # it is refined again
            with self._lock:
                del self.deleted[key]
            return False
        # Where the answer to a call was lost, the next one does not find the job.
        assert response.status_code in {204, 404}, response.text
        return True

    def states(self) -> dict[str, dict[str, Any]]:
        """Every job of the run as the API tells it, by id."""
        found: dict[str, dict[str, Any]] = {}
        cursor = None
        while True:
            params = {"limit": 200} | ({"cursor": cursor} if cursor else {})
            page = self.api.call("GET", "/jobs", params=params).json()
            found |= {job["id"]: job for job in page["jobs"]}
            if (cursor := page["next_cursor"]) is None:
                return found

    def of(self, states: Sequence[str]) -> list[str]:
        """The ids of jobs in ``states``, oldest first."""
        return [job_id for job_id, job in reversed(self.states().items()) if job["state"] in states]


def upload_options(asked: Asked) -> dict[str, Any]:
    """The request that hands ``asked`` in."""
    return {
        "data": asked.fields(),
        "files": {"file": (f"{asked.key}.csv", asked.content())},
        "headers": {"Idempotency-Key": asked.key},
    }


class Intake(threading.Thread):
    """Keeps a few jobs unfinished until told to stop."""

    def __init__(self, users: Users, *, unfinished: int, crash_every: int, most_jobs: int) -> None:
        super().__init__(name="intake", daemon=True)
        self._users = users
        self._unfinished = unfinished
        self._crash_every = crash_every
        self._most_jobs = most_jobs
        self._stopping = threading.Event()
        self.error: BaseException | None = None

    def stop(self) -> None:
        self._stopping.set()
        self.join(2 * ANSWER_S)

    def run(self) -> None:
        rng = random.Random(f"intake {self._users.seed}")
        try:
            for number in range(1, self._most_jobs + 1):
                self._users.upload(
                    self._users.next_file(rng, crash=number % self._crash_every == 3 % self._crash_every)
                )
                while not self._stopping.wait(0.3):
                    if sum(job["state"] not in ENDED for job in self._users.states().values()) < self._unfinished:
                        break
                if self._stopping.is_set():
                    return
        except BaseException as error:  # noqa: BLE001 - told by the run
            self.error = error
