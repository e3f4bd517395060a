"""What every benchmark shares: a stack of its own, repeated measurement, and a report that says how it was made."""

from __future__ import annotations

import datetime as dt
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from yeban.settings import Settings, load_settings

ROOT = Path(__file__).resolve().parents[2]
LABELS = "物流配送,退款退货,软件故障,产品咨询,账号登录,账单支付,优惠活动,发票,服务投诉,表扬感谢"


@dataclass(frozen=True)
class Measured:
    """Repeated measurements of one thing."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def __str__(self) -> str:
        return f"{self.median:,.4g} ({min(self.values):,.4g}–{max(self.values):,.4g})"


@dataclass(frozen=True)
class Target:
    """A figure the project has set itself."""

    text: str
    reached: bool


@contextmanager
def bench_settings(**overrides: object) -> Iterator[Settings]:
    """Settings on a data directory of this benchmark's own; models are kept between runs in ``.bench``."""
    models = ROOT / ".bench" / "models"
    models.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="yeban-bench-") as folder:
        Path(folder).chmod(0o711)
        (Path(folder) / "models").symlink_to(models)
        for name, value in overrides.items():
            os.environ[f"YEBAN_{name.upper()}"] = str(value)
        yield load_settings(data_dir=Path(folder))


def percentile(values: Sequence[float], share: float) -> float:
    """The value that ``share`` of ``values`` do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered) + 0.5) - 1))]


@dataclass(frozen=True)
class Table:
    """A further table of a report, under a heading of its own."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


def report(
    name: str,
    method: str,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    targets: Sequence[Target],
    further: Sequence[Table] = (),
) -> None:
    """Print the result as Markdown; with ``--record`` keep it under ``docs/benchmarks``."""
    lines = [
        f"# {name}",
        "",
        *provenance(f"scripts/bench {name}"),
        "",
        method,
        "",
        *_table(header, rows),
        "",
        *(line for table in further for line in (f"### {table.title}", "", *_table(table.header, table.rows), "")),
        *(f"- {'Reached' if target.reached else '**Missed**'}: {target.text}" for target in targets),
        "",
    ]
    text = "\n".join(lines)
    print(text)
    if "--record" in sys.argv:
        path = ROOT / "docs" / "benchmarks" / f"{name}.md"
        # What a person wrote below the figures stays.
        kept = path.read_text(encoding="utf-8").partition("\n## ") if path.exists() else ("", "", "")
        path.write_text(text + (kept[1] + kept[2] if kept[1] else ""), encoding="utf-8")


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [
        "| " + " | ".join(header) + " |",
        "|" + "---|" * len(header),
        *("| " + " | ".join(row) + " |" for row in rows),
    ]


def provenance(command: str) -> list[str]:
    """Two lines of Markdown: by which command figures were made, when, at which commit and on what machine."""
    return [f"`{command}`, {dt.datetime.now(dt.UTC):%Y-%m-%d}, commit {_commit()}", f"on {_machine()}."]


def _machine() -> str:
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return f"{os.cpu_count()} cores of {model}, Python {platform.python_version()}"


def _commit() -> str:
    answer = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return answer.stdout.strip() or "unknown"
