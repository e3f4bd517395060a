"""The processes of a stack that this process runs, and what they take, as the kernel tells."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PARTS = ("web", "bulk worker", "interactive worker", "PostgreSQL", "Valkey")


@dataclass(frozen=True, kw_only=True)
class Taken:
    """Of one part: memory in MiB, shared pages counted once (PSS); the most that one of its processes that live has had
    resident so far (peak RSS); open files, and processes."""

    mb: float
    peak_rss_mb: float
    files: int
    processes: int


def taken() -> dict[str, Taken]:
    """What each part takes now."""
    by_part: dict[str, list[int]] = defaultdict(list)
    for pid in _descendants(os.getpid()):
        if (part := _part_of(pid)) is not None:
            by_part[part].append(pid)
    found = {}
    for part in PARTS:
        pids = by_part.get(part, [])
        found[part] = Taken(
            mb=sum(map(_pss_mb, pids)),
            peak_rss_mb=max(map(_peak_rss_mb, pids), default=0.0),
            files=sum(map(_open_files, pids)),
            processes=len(pids),
        )
    return found


@contextlib.contextmanager
def peaks(every_s: float = 0.5) -> Iterator[dict[str, float]]:
    """The most memory in MiB that each part took during the block, looked at twice a second."""
    most: dict[str, float] = dict.fromkeys(PARTS, 0.0)
    done = threading.Event()

    def look() -> None:
        while not done.wait(every_s):
            for part, now in taken().items():
                most[part] = max(most[part], now.mb)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield most
    finally:
        done.set()
        thread.join()


def _descendants(root: int) -> list[int]:
    children: dict[int, list[int]] = defaultdict(list)
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            # The name may hold spaces and parentheses; what follows it does not.
            parent = int((folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
            children[parent].append(int(folder.name))
    found, ahead = [], [root]
    while ahead:
        new = children[ahead.pop()]
        found += new
        ahead += new
    return found


def _part_of(pid: int) -> str | None:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return None
    if "yeban.cli worker" in command:
        return "bulk worker" if "--role bulk" in command else "interactive worker"
    if "yeban.cli web" in command:
        return "web"
    if "postgres" in command:
        return "PostgreSQL"
    return "Valkey" if "valkey" in command else None


def _pss_mb(pid: int) -> float:
    return _told_mb(pid, "smaps_rollup", "Pss:")


def _peak_rss_mb(pid: int) -> float:
    return _told_mb(pid, "status", "VmHWM:")


def _told_mb(pid: int, file: str, field: str) -> float:
    """A field of a process's file that is in kB; 0 where the process has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/{file}").read_text(encoding="utf-8").splitlines():
            if line.startswith(field):
                return float(line.split()[1]) / 1024
    return 0.0


def _open_files(pid: int) -> int:
    with contextlib.suppress(OSError):
        return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208  # only counted
    return 0
