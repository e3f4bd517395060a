"""A million-row CSV into PostgreSQL through the web server: rows/s, and how much the web process grows."""

from __future__ import annotations

import time
from pathlib import Path

from tests.benchmarks.harness import LABELS, Measured, Target, bench_settings, report
from tests.benchmarks.texts import distinct, write_csv
from yeban.client import Client
from yeban.runtime.stack import run_stack

ROUNDS = 3
ROWS = 1_000_000
_DAY = "2999-01-01T00:00:00+00:00"


def main() -> None:
    """Upload jobs that start far in the future, so that only the intake is measured."""
    rates, growth = [], []
    with bench_settings(log_level="WARNING") as settings, run_stack(settings, port=0) as stack:
        file, small = settings.data_dir / "million.csv", settings.data_dir / "small.csv"
        write_csv(file, distinct(ROWS, "i"))
        write_csv(small, distinct(1_000, "w"))
        megabytes = file.stat().st_size / 1e6
        fields = {"labels": LABELS, "text_column": "text", "start_at": _DAY}
        with Client(stack.url) as client:
            client.create_job(small, fields)
            for _ in range(ROUNDS):
                before = _peak_rss_mb(stack.url)
                started = time.perf_counter()
                job = client.create_job(file, fields)
                rates.append(ROWS / (time.perf_counter() - started))
                growth.append(_peak_rss_mb(stack.url) - before)
                if job["progress"]["rows"] != ROWS:
                    raise SystemExit(f"{job['progress']['rows']} rows arrived")
    rate, grown = Measured(tuple(rates)), Measured(tuple(growth))
    report(
        "intake",
        f"{ROUNDS} uploads of a CSV of {ROWS:,} rows and {megabytes:.0f} MB over loopback into one web process, after "
        "a small one to warm up; medians (least–most). Timed from the start of the upload to the answer, when every "
        "row and chunk is committed. The growth is that of the web processes' peak resident memory.",
        ["what", "measured"],
        [["rows/s", str(rate)], ["growth of the web process, MB", str(grown)]],
        [
            Target("20,000 rows/s", rate.median >= 20_000),
            Target("the web process grows by less than 200 MB", max(grown.values) < 200),
        ],
    )


def _peak_rss_mb(url: str) -> float:
    """Peak resident memory of the server's processes."""
    port = f"YEBAN_PORT={url.rpartition(':')[2]}".encode()
    total = 0.0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if b"-m\0web\0" not in (folder / "cmdline").read_bytes():
                continue
            if port not in (folder / "environ").read_bytes().split(b"\0"):
                continue
            status = (folder / "status").read_text(encoding="utf-8")
        except OSError:  # it ended meanwhile
            continue
        total += next(float(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024
    if not total:
        raise SystemExit("the web process was not found")
    return total


if __name__ == "__main__":
    main()
