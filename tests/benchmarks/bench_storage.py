"""What a job costs PostgreSQL and Redis: bytes a row in each table, write-ahead log, connections, bytes a hint."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path
from typing import Any

import redis
from sqlalchemy import text

from tests.benchmarks.harness import ROOT, Table, Target, bench_settings, report
from tests.benchmarks.jobs import await_end, submit
from yeban.client import Client
from yeban.database.engine import Database
from yeban.messaging.queues import TaskSender
from yeban.runtime.servers import find_endpoints
from yeban.runtime.stack import run_stack
from yeban.settings import Settings

ROWS = 20_000
HINTS = 10_000
MOST_BYTES_A_ROW = 2_000
_SPARE_DATABASE = 15
_TABLES = ("row", "result", "refined", "embedding", "chunk")


def main() -> None:
    """One job of rows with all columns of the sample file, from upload to refinement."""
    with bench_settings(log_level="WARNING") as settings, run_stack(settings, port=0) as stack:
        endpoints = find_endpoints(settings)
        database = Database(endpoints.database_url, pool_size=1)
        with Client(stack.url) as client, redis.Redis.from_url(endpoints.redis_url) as server:
            file = settings.data_dir / "bench.csv"
            write_whole_rows(file)
            marks = [_wal_bytes(database)]
            job = submit(client, file)
            marks.append(_wal_bytes(database))
            connections: dict[str, int] = {}

            def look() -> None:
                for name, count in _connections(database, server).items():
                    connections[name] = max(count, connections.get(name, 0))

            await_end(stack, client, job["id"], meanwhile=look)
            marks.append(_wal_bytes(database))
            sizes = _sizes(database)
            hint_bytes = _hint_bytes(settings, endpoints.redis_url)
        database.close()
        _report(file.stat().st_size / ROWS, marks, sizes, connections, hint_bytes)


def write_whole_rows(path: Path) -> None:
    """``ROWS`` rows: those of the sample file again and again, since a repeated text is scored at once."""
    with (ROOT / "samples" / "tickets.csv").open(encoding="utf-8", newline="") as sample:
        header, *rows = list(csv.reader(sample))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(itertools.islice(itertools.cycle(rows), ROWS))


def _wal_bytes(database: Database) -> int:
    with database.begin() as connection:
        return int(connection.scalar(text("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')")))  # type: ignore[arg-type]


def _sizes(database: Database) -> dict[str, tuple[int, int]]:
    """Bytes of each table with its overflow, and of its indexes."""
    statement = text("SELECT pg_table_size(CAST(:name AS regclass)), pg_indexes_size(CAST(:name AS regclass))")
    with database.begin() as connection:
        rows = {name: connection.execute(statement, {"name": f'"{name}"'}).one() for name in _TABLES}
    return {name: (int(row[0]), int(row[1])) for name, row in rows.items()}


def _connections(database: Database, server: redis.Redis) -> dict[str, int]:
    """Open connections to both servers but for this program's own two."""
    with database.begin() as connection:
        clients = connection.scalar(text("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"))
    return {"PostgreSQL": int(clients or 0) - 1, "Redis": len(server.client_list()) - 1}


def _hint_bytes(settings: Settings, redis_url: str) -> float:
    """Memory of one waiting hint, in a database that no worker reads."""
    url = f"{redis_url.partition('?')[0]}?db={_SPARE_DATABASE}"
    sender = TaskSender.connect("bench", settings, url)
    with redis.Redis.from_url(url) as client:
        sender.hint_chunks([1])
        before: dict[str, Any] = client.info("memory")
        sender.hint_chunks(range(1_000_000, 1_000_000 + HINTS))
        after: dict[str, Any] = client.info("memory")
        client.flushdb()
    sender.close()
    return float(after["used_memory"] - before["used_memory"]) / HINTS


def _report(
    file_bytes: float,
    marks: list[int],
    sizes: dict[str, tuple[int, int]],
    connections: dict[str, int],
    hint_bytes: float,
) -> None:
    rows = [[name, f"{table / ROWS:.0f}", f"{indexes / ROWS:.0f}"] for name, (table, indexes) in sizes.items()]
    tables, indexes = (sum(each) / ROWS for each in zip(*sizes.values(), strict=True))
    intake, rest = (later - earlier for earlier, later in itertools.pairwise(marks))
    report(
        "storage",
        f"One job of {ROWS:,} rows with the five columns of the sample tickets ({file_bytes:.0f} bytes a row in the "
        "file), repeated, ten labels, from upload to refinement with `e5-small`, on the bundled servers with one "
        "worker of each role. Bytes as PostgreSQL counts them, with overflow and dead rows; write-ahead log with full "
        "page images.",
        ["bytes a row", "table", "indexes"],
        [*rows, ["all", f"{tables:.0f}", f"{indexes:.0f}"]],
        [Target(f"a row takes less than {MOST_BYTES_A_ROW:,} bytes", tables + indexes < MOST_BYTES_A_ROW)],
        [
            Table("Written and held", ["what", "measured"], [
                ["write-ahead log a row, until the upload is answered", f"{intake / ROWS:.0f} bytes"],
                ["write-ahead log a row, from then to the end", f"{rest / ROWS:.0f} bytes"],
                ["most connections of web and both workers to PostgreSQL", str(connections["PostgreSQL"])],
                ["most connections of web and both workers to Redis", str(connections["Redis"])],
                [f"memory of a waiting hint in Redis, of {HINTS:,}", f"{hint_bytes:.0f} bytes"],
            ])
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main()
