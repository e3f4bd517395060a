"""Jobs and single texts over and over: memory, connections, open files and Redis's keys must come to rest.

``--minutes N`` says how long, 10 unless given.
"""

from __future__ import annotations

import statistics
import sys
import time
from dataclasses import dataclass

from redis import Redis
from sqlalchemy import text

from tests.benchmarks.harness import Table, Target, bench_settings, report
from tests.benchmarks.http_users import run_users
from tests.benchmarks.jobs import await_end, submit
from tests.benchmarks.processes import PARTS, Taken, taken
from tests.benchmarks.texts import distinct, write_csv
from yeban.client import Client
from yeban.database.engine import Database
from yeban.runtime.servers import find_endpoints
from yeban.runtime.stack import run_stack

ROWS = 1_500
USERS = 8
USERS_S = 4.0
#: Rounds before measuring: the kernels that the engine keeps by shape, and the pools of connections, fill up.
WARM_SHARE = 0.4
#: The cache of texts, 1.6 kB an entry, would take an hour to fill, and what grows until then is no leak.
CACHED_TEXTS = 2_000
OURS = ("web", "bulk worker", "interactive worker")


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What was taken after one round, when everything was idle again."""

    parts: dict[str, Taken]
    connections: int
    keys: int
    redis_mb: float


def main() -> None:
    """Rounds of a job, users, a download and a deletion, and a look at everything after each."""
    minutes = float(sys.argv[sys.argv.index("--minutes") + 1]) if "--minutes" in sys.argv else 10.0
    seen: list[Seen] = []
    texts = 0
    with (
        bench_settings(log_level="WARNING", cache_text_entries=CACHED_TEXTS) as settings,
        run_stack(settings, port=0) as stack,
    ):
        file, out = settings.data_dir / "soak.csv", settings.data_dir / "out.csv"
        endpoints = find_endpoints(settings)
        database = Database(endpoints.database_url)
        with Client(stack.url) as client, Redis.from_url(endpoints.redis_url) as redis:
            ends_at = time.monotonic() + 60 * minutes
            while time.monotonic() < ends_at:
                mark = f"s{len(seen)}-"
                write_csv(file, distinct(ROWS, mark))
                job = submit(client, file)
                texts += len(run_users(stack.url, USERS, distinct(10**9, f"{mark}u"), USERS_S).answers)
                await_end(stack, client, job["id"])
                client.download(job["id"], "csv", out)
                client.delete_job(job["id"])
                seen.append(
                    Seen(
                        parts=taken(),
                        connections=_connections(database),
                        keys=redis.dbsize(),
                        redis_mb=redis.info("memory")["used_memory"] / 2**20,
                    )
                )
        database.close()
    kept = seen[int(WARM_SHARE * len(seen)) :]
    if len(kept) < 6:
        raise SystemExit(f"only {len(seen)} rounds; give it more --minutes")
    third = len(kept) // 3
    first, last = kept[:third], kept[-third:]

    def median(of: list[Seen], figure: str, part: str | None = None) -> float:
        return statistics.median(getattr(one if part is None else one.parts[part], figure) for one in of)

    def row(what: str, figure: str, part: str | None = None) -> list[str]:
        return [what, f"{median(first, figure, part):,.0f}", f"{median(last, figure, part):,.0f}"]

    rows = [row(f"memory of {part}, MB", "mb", part) for part in PARTS]
    rows += [row(f"open files of {part}", "files", part) for part in PARTS]
    rows += [row("connections to PostgreSQL", "connections"), row("keys in Redis", "keys")]
    rows += [row("memory used in Redis, MB", "redis_mb")]
    grown = {part: median(last, "mb", part) / median(first, "mb", part) - 1 for part in PARTS}
    files = {part: median(last, "files", part) / median(first, "files", part) - 1 for part in PARTS}
    report(
        "soak",
        f"{len(seen)} rounds in {minutes:g} minutes, each a job of {ROWS:,} new texts, {USERS} users for {USERS_S:g} s "
        f"beside it, a download and a deletion; {texts:,} single texts in all. Looked at after each round. The first "
        f"{WARM_SHARE:.0%} of the rounds are left out, since caches fill; of the others, the medians of the first and "
        f"the last third. The workers cache {CACHED_TEXTS:,} texts, so that the cache is full at once. PostgreSQL and "
        "Valkey fill what they are given: 256 MB of shared buffers, and 256 MB.",
        ["what", "first third", "last third"],
        rows,
        [
            Target("no process of ours grows by more than 5 %", max(grown[part] for part in OURS) <= 0.05),
            Target("open files of no part grow by more than 5 %", max(files.values()) <= 0.05),
            Target(
                "connections are the same within 5",
                abs(median(last, "connections") - median(first, "connections")) <= 5,
            ),
            Target("keys in Redis are the same within 10", abs(median(last, "keys") - median(first, "keys")) <= 10),
        ],
        [
            Table(
                "Growth of memory from the first to the last third",
                ["part", "%"],
                [[part, f"{100 * share:+.1f}"] for part, share in grown.items()],
            )
        ],
    )


def _connections(database: Database) -> int:
    with database.begin() as connection:
        statement = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        return int(connection.scalar(text(statement)) or 0)


if __name__ == "__main__":
    main()
