"""What a run has left behind."""

from __future__ import annotations

import os
from pathlib import Path

from tests.fixtures.waiting import wait_until


def leftover_files(folder: Path) -> list[str]:
    """The files under ``folder``."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def leftover_processes(folder: Path) -> list[str]:
    """The command lines of processes that have to do with ``folder``; they are given a moment to end."""
    try:
        wait_until(lambda: not _processes(folder), timeout_s=60, what="the end of every process")
    except AssertionError:
        return _processes(folder)
    return []


def _processes(folder: Path) -> list[str]:
    mark = os.fsencode(folder)
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            places = command + (process / "environ").read_bytes() + os.fsencode((process / "cwd").readlink())
        except OSError:  # ended meanwhile, or another user's
            continue
        if mark in places and int(process.name) != os.getpid():
            found.append(command.replace(b"\0", b" ").decode(errors="replace"))
    return found
