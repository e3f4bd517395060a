"""Latency of the classify API, idle and while a bulk job runs."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from tests.benchmarks.harness import LABELS, Measured, Target, bench_settings, percentile, report
from tests.benchmarks.texts import distinct, write_csv
from yeban.client import Client
from yeban.runtime.stack import run_stack

ROUNDS = 3
REQUESTS = 300
USERS = 4
BULK_ROWS = 60_000


def main() -> None:
    """Idle first, then the same again with a bulk job behind it."""
    figures: dict[tuple[str, int], list[list[float]]] = {}
    with bench_settings(log_level="WARNING") as settings, run_stack(settings, port=0) as stack:
        _measure(stack.url, "warm", 1, 50)
        for number in range(ROUNDS):
            for users in (1, USERS):
                figures.setdefault(("idle", users), []).append(
                    _measure(stack.url, f"i{number}-{users}-", users, REQUESTS)
                )
        file = settings.data_dir / "bulk.csv"
        write_csv(file, distinct(BULK_ROWS, "b"))
        with Client(stack.url) as client:
            for number in range(ROUNDS):
                job = client.create_job(file, {"labels": LABELS, "text_column": "text"})
                while client.job(job["id"])["progress"]["done"] == 0:
                    time.sleep(0.1)
                    stack.check()
                for users in (1, USERS):
                    times = _measure(stack.url, f"l{number}-{users}-", users, REQUESTS)
                    figures.setdefault(("during a bulk job", users), []).append(times)
                running = client.job(job["id"])["state"] == "running"
                client.change(job["id"], "cancel")
                if not running:
                    raise SystemExit("the bulk job ended too soon; raise BULK_ROWS")
    rows, at = [], {}
    for (load, users), rounds in figures.items():
        shares = {share: Measured(tuple(percentile(times, share) for times in rounds)) for share in (0.5, 0.95, 0.99)}
        at[load, users] = shares
        rows.append([load, str(users), *(str(measured) for measured in shares.values())])
    report(
        "interactive",
        f"{ROUNDS} rounds of {REQUESTS} requests, 10 labels, distinct texts of the sample tickets' lengths, over "
        "loopback with connections kept open; milliseconds, medians of the rounds (least–most). Each user sends the "
        "next text when the last is answered. The bulk job keeps both cores busy.",
        ["load", "users", "p50", "p95", "p99"],
        rows,
        [
            Target("p95 ≤ 100 ms idle, one user", at["idle", 1][0.95].median <= 100),
            Target("p99 ≤ 300 ms during a bulk job, one user", at["during a bulk job", 1][0.99].median <= 300),
        ],
    )


def _measure(url: str, mark: str, users: int, requests: int) -> list[float]:
    texts = iter(list(distinct(requests, mark)))
    lock = threading.Lock()
    times: list[float] = []

    def user() -> None:
        with Client(url) as client:
            while True:
                with lock:
                    text = next(texts, None)
                if text is None:
                    return
                started = time.perf_counter()
                client.classify({"text": text, "labels": LABELS})
                times.append((time.perf_counter() - started) * 1000)

    with ThreadPoolExecutor(users) as pool:
        for future in [pool.submit(user) for _ in range(users)]:
            future.result()
    return times


if __name__ == "__main__":
    main()
