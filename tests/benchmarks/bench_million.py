"""A job of a million rows from the upload to the last download: time, memory of each process, size of the database."""

from __future__ import annotations

import csv
import time

from sqlalchemy import text

from tests.benchmarks.harness import Table, Target, bench_settings, report
from tests.benchmarks.jobs import await_end, submit
from tests.benchmarks.processes import PARTS, peaks, taken
from tests.benchmarks.texts import distinct, write_csv
from yeban.client import Client
from yeban.database.engine import Database
from yeban.runtime.servers import find_endpoints
from yeban.runtime.stack import run_stack

ROWS = 1_000_000
#: Few enough for a worker's cache, so that the engine costs little and everything else is measured.
TEXTS = 5_000
TABLES = ("row", "result", "refined", "embedding", "chunk")


def main() -> None:
    """One job; what each stage took, and what it left behind."""
    with bench_settings(log_level="WARNING") as settings, run_stack(settings, port=0) as stack:
        file, out = settings.data_dir / "million.csv", settings.data_dir / "out.csv"
        sample = list(distinct(TEXTS, "m"))
        write_csv(file, (sample[number % TEXTS] for number in range(ROWS)))
        database = Database(find_endpoints(settings).database_url)
        before = _size_mb(database)
        with Client(stack.url) as client, peaks() as most:
            idle = taken()
            began = time.perf_counter()
            job = submit(client, file)
            uploaded = time.perf_counter()
            job = await_end(stack, client, job["id"])
            tagged = time.perf_counter()
            client.download(job["id"], "csv", out)
            downloaded = time.perf_counter()
            ended = taken()
        with out.open(encoding="utf-8-sig", newline="") as table:
            written = sum(1 for _ in csv.reader(table)) - 1
        tables = {name: _table_mb(database, name) for name in TABLES}
        wal_mb, size = _wal_mb(database), _size_mb(database)
        database.close()
    refining = job["refinement"]["seconds"] if job["refinement"]["state"] == "done" else float("nan")
    report(
        "million",
        f"One job of {ROWS:,} rows over loopback on a fresh stack, its texts those of {TEXTS:,} different tickets so "
        "that nearly all are in the worker's cache: what is measured is everything but the engine. 10 labels. Memory "
        "is the most that was seen, shared pages counted once, looked at twice a second.",
        ["stage", "seconds", "rows/s"],
        [
            [stage, f"{seconds:,.1f}", f"{ROWS / seconds:,.0f}"]
            for stage, seconds in {
                "upload, until every row is committed": uploaded - began,
                "tagging, until every row is scored, refined and summed up": tagged - uploaded,
                "of which learning from the file and deciding anew": refining,
                "download of the tagged CSV": downloaded - tagged,
                "end to end": downloaded - began,
            }.items()
        ],
        [
            Target(f"every row comes back ({written:,} of {ROWS:,})", written == ROWS),
            Target("5,000 rows/s tagged", ROWS / (tagged - uploaded) >= 5_000),
            Target("web grows by less than 200 MB", most["web"] - idle["web"].mb < 200),
        ],
        [
            Table(
                "Memory, MB",
                ["part", "idle", "most", "peak RSS of its largest process"],
                [[p, f"{idle[p].mb:,.0f}", f"{most[p]:,.0f}", f"{ended[p].peak_rss_mb:,.0f}"] for p in PARTS],
            ),
            Table(
                "Database",
                ["what", "MB", "bytes a row"],
                [
                    [name, f"{mb:,.0f}", f"{mb * 1e6 / ROWS:,.0f}"]
                    for name, mb in {
                        **tables,
                        "all of it, before vacuum": size - before,
                        "log written (WAL)": wal_mb,
                    }.items()
                ],
            ),
        ],
    )


def _one(database: Database, statement: str, **values: object) -> float:
    with database.begin() as connection:
        return float(connection.scalar(text(statement), values) or 0) / 1e6


def _size_mb(database: Database) -> float:
    return _one(database, "SELECT pg_database_size(current_database())")


def _table_mb(database: Database, name: str) -> float:
    """With its indexes and what is stored beside it."""
    return _one(database, "SELECT pg_total_relation_size(CAST(:name AS regclass))", name=f'"{name}"')


def _wal_mb(database: Database) -> float:
    return _one(database, "SELECT wal_bytes FROM pg_stat_wal")


if __name__ == "__main__":
    main()
