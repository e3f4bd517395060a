"""Fifty people at once while a large job runs; then many more than can be served, with admission and without."""

from __future__ import annotations

import contextlib
import itertools
import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import httpx

from tests.benchmarks.harness import Measured, Table, Target, bench_settings, report
from tests.benchmarks.http_users import TOO_MANY, Answers, run_users
from tests.benchmarks.jobs import await_end, submit
from tests.benchmarks.texts import distinct, repeating, tickets, write_csv
from yeban.client import Client
from yeban.runtime.stack import Stack, run_stack

USERS = 50
CROWD = 300
ROUNDS = 3
ROUND_S = 12.0
JOB_ROWS = 100_000
#: Rows of the job whose texts are new: enough to keep its worker busy while the users are measured. The others repeat
#: the sample tickets, so that the job's end need not be waited for that long.
NEW_ROWS = 45_000
_POLL_S = 0.5
#: ``YEBAN_BULK_NICE`` beside one another, the default among them.
_NICE = (0, 5, 10)
_USERS_COLUMNS = ("p50", "p95", "p99", "texts/s", "429", "other errors")
_IDLE = "idle, every text new"
_BESIDE = "beside a job, every text new"
_UNLIMITED = {
    "YEBAN_INTERACTIVE_TARGET_MS": "600000",
    "YEBAN_WEB_THREADS": "512",
    "YEBAN_INTERACTIVE_QUEUE_LIMIT": "100000",
}


def main() -> None:
    """Users on an idle stack, users beside a job until its end, and the overload of both kinds in turns."""
    loads: dict[str, list[Answers]] = {}
    with bench_settings(log_level="WARNING") as settings, run_stack(settings, port=0) as stack:
        run_users(stack.url, USERS, distinct(10**9, "warm"), 3.0)
        for number in range(ROUNDS):
            loads.setdefault(_IDLE, []).append(_round(stack, distinct(10**9, f"i{number}-")))
            loads.setdefault("idle, seven of ten texts known", []).append(_round(stack, _mostly_known(f"k{number}-")))
        file = settings.data_dir / "job.csv"
        write_csv(file, itertools.chain(distinct(NEW_ROWS, "j"), repeating(JOB_ROWS - NEW_ROWS)))
        with Client(stack.url) as client:
            job = submit(client, file)
            beside = _users_beside(stack, client, job["id"])
            ended = await_end(stack, client, job["id"])
    loads[_BESIDE] = beside.rounds
    sharing = {nice: _sharing(nice) for nice in _NICE}
    crowds = _overload()
    idle, during = loads[_IDLE], loads[_BESIDE]
    admitted = [crowd.answers for crowd in crowds["with admission"]]

    def median(rounds: Sequence[Answers], figure: Callable[[Answers], float]) -> float:
        return statistics.median(figure(one) for one in rounds)

    report(
        "load",
        f"{ROUNDS} rounds of {ROUND_S:g} s, 10 labels, texts of the sample tickets' lengths, over loopback with "
        "connections kept open; milliseconds of answered texts, medians of the rounds (least–most). Each of "
        f"{USERS} users sends the next text when the last is answered, without a pause for thought; whoever is refused "
        f"waits as long as he is told. Users, web, workers and servers share the two cores. The job has {JOB_ROWS:,} "
        f"rows, the first {NEW_ROWS:,} with new texts; its own rate was {beside.alone:,.0f} rows/s before the users "
        f"came and {beside.beside:,.0f} rows/s beside them; it ended {ended['state']} with "
        f"{ended['progress']['done']:,} rows done.",
        ["load", *_USERS_COLUMNS],
        [[load, *_users_cells(rounds)] for load, rounds in loads.items()],
        [
            Target("62 texts/s at 50 users (the published recipe)", median(idle, lambda one: one.per_s()) >= 62),
            Target(
                f"beside a job p99 ≤ 1 s at {USERS} users", median(during, lambda one: one.percentile_ms(0.99)) <= 1000
            ),
            Target(
                "no error but 429 at any load",
                not any(one.others() for one in (*itertools.chain(*loads.values()), *admitted)),
            ),
            Target("every row of the job has its result", ended["progress"]["done"] == JOB_ROWS),
            Target(
                "overload: p95 of the admitted ≤ 1.5 s", median(admitted, lambda one: one.percentile_ms(0.95)) <= 1500
            ),
            Target(
                "overload: refusals within 250 ms (p95)",
                median(admitted, lambda one: one.percentile_ms(0.95, TOO_MANY)) <= 250,
            ),
        ],
        [
            Table(
                f"Who gives way: {USERS} users beside a job, each text new, by YEBAN_BULK_NICE",
                ["nice", *_USERS_COLUMNS, "job alone, rows/s", "beside, rows/s"],
                [
                    [str(nice), *_users_cells(one.rounds), f"{one.alone:,.0f}", f"{one.beside:,.0f}"]
                    for nice, one in sharing.items()
                ],
            ),
            Table(
                f"Overload: {CROWD} users, each text new",
                ["", "p50", "p95", "p99", "texts/s", "429/s", "p95 of a refusal", "other errors", "/healthz, slowest"],
                [_crowd_row(name, rounds) for name, rounds in crowds.items()],
            ),
        ],
    )


def _round(stack: Stack, texts: Iterator[str]) -> Answers:
    stack.check()
    return run_users(stack.url, USERS, texts, ROUND_S)


@dataclass(frozen=True, kw_only=True)
class Sharing:
    """What users got beside a job, and the job's rows/s before they came and beside them."""

    rounds: list[Answers]
    alone: float
    beside: float


def _sharing(nice: int) -> Sharing:
    os.environ["YEBAN_BULK_NICE"] = str(nice)
    with bench_settings(log_level="WARNING") as settings, run_stack(settings, port=0) as stack:
        run_users(stack.url, USERS, distinct(10**9, "warm"), 3.0)
        file = settings.data_dir / "job.csv"
        write_csv(file, distinct(NEW_ROWS, "s"))
        with Client(stack.url) as client:
            shared = _users_beside(stack, client, submit(client, file)["id"])
    del os.environ["YEBAN_BULK_NICE"]
    return shared


def _users_beside(stack: Stack, client: Client, job_id: str) -> Sharing:
    """Let users come while the job runs."""
    alone = _rate(client, job_id, 10.0)
    done = client.job(job_id)["progress"]["done"]
    began = time.perf_counter()
    rounds = [_round(stack, distinct(10**9, f"b{number}-")) for number in range(ROUNDS)]
    beside = (client.job(job_id)["progress"]["done"] - done) / (time.perf_counter() - began)
    return Sharing(rounds=rounds, alone=alone, beside=beside)


def _mostly_known(mark: str) -> Iterator[str]:
    """Seven of ten are among the sample tickets."""
    known, new = itertools.cycle(tickets()), distinct(10**9, mark)
    for number in itertools.count():
        yield next(new if number % 10 in {0, 3, 6} else known)


@dataclass(frozen=True, kw_only=True)
class Crowd:
    """What a crowd got, and how long the slowest /healthz took meanwhile, in milliseconds."""

    answers: Answers
    slowest_health_ms: float


def _overload() -> dict[str, list[Crowd]]:
    """The same crowd before a stack with admission and before one without, one after the other."""
    crowds: dict[str, list[Crowd]] = {}
    for name, changes in (("with admission", {}), ("without", _UNLIMITED)):
        os.environ.update(changes)
        with bench_settings(log_level="ERROR") as settings, run_stack(settings, port=0) as stack:
            run_users(stack.url, USERS, distinct(10**9, "warm"), 3.0)
            for number in range(ROUNDS):
                stack.check()
                with _asking_health(stack.url) as times_ms:
                    answers = run_users(stack.url, CROWD, distinct(10**9, f"o{number}-"), ROUND_S)
                crowds.setdefault(name, []).append(Crowd(answers=answers, slowest_health_ms=max(times_ms)))
        for variable in changes:
            del os.environ[variable]
    return crowds


@contextlib.contextmanager
def _asking_health(url: str) -> Iterator[list[float]]:
    """Ask /healthz four times a second during the block; collects milliseconds."""
    times_ms: list[float] = []
    done = threading.Event()

    def ask() -> None:
        while not done.wait(0.25):
            began = time.perf_counter()
            httpx.get(f"{url}/healthz", timeout=60, trust_env=False).raise_for_status()
            times_ms.append((time.perf_counter() - began) * 1000)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    try:
        yield times_ms
    finally:
        done.set()
        thread.join()


def _answered_cells(rounds: list[Answers]) -> list[str]:
    """Percentiles of answered texts in milliseconds, and how many there were a second."""
    return [
        *(_measured(rounds, lambda one, share=share: one.percentile_ms(share)) for share in (0.5, 0.95, 0.99)),
        _measured(rounds, lambda one: one.per_s()),
    ]


def _users_cells(rounds: list[Answers]) -> list[str]:
    """Of :data:`_USERS_COLUMNS`."""
    return [*_answered_cells(rounds), str(sum(len(one.times_ms(TOO_MANY)) for one in rounds)), _others(rounds)]


def _crowd_row(name: str, crowds: list[Crowd]) -> list[str]:
    rounds = [crowd.answers for crowd in crowds]
    return [
        name,
        *_answered_cells(rounds),
        _measured(rounds, lambda one: one.per_s(TOO_MANY)),
        _measured(rounds, lambda one: one.percentile_ms(0.95, TOO_MANY)),
        _others(rounds),
        str(Measured(tuple(crowd.slowest_health_ms for crowd in crowds))),
    ]


def _measured(rounds: Sequence[Answers], figure: Callable[[Answers], float]) -> str:
    return str(Measured(tuple(figure(one) for one in rounds)))


def _others(rounds: list[Answers]) -> str:
    counts: dict[int, int] = {}
    for one in rounds:
        for status, count in one.others().items():
            counts[status] = counts.get(status, 0) + count
    return ", ".join(f"{status or 'no connection'}: {count}" for status, count in sorted(counts.items())) or "none"


def _rate(client: Client, job_id: str, seconds: float) -> float:
    """Rows/s of a job, measured from its first result on."""
    while (first := client.job(job_id)["progress"]["done"]) == 0:
        time.sleep(_POLL_S)
    began = time.perf_counter()
    time.sleep(seconds)
    return (client.job(job_id)["progress"]["done"] - first) / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
