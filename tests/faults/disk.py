"""A small disk for PostgreSQL alone, which can be full."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_SIZE_MB = 640
_BLOCK = bytes(2**20)


@dataclass(frozen=True)
class SmallDisk:
    """A file system of :data:`_SIZE_MB` MiB mounted at ``folder``."""

    folder: Path

    def fill(self) -> None:
        """Take every byte that is free."""
        with (self.folder / "ballast").open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(_BLOCK)
        with (self.folder / "ballast").open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(_BLOCK[:4096]) == 4096:
                pass

    def free(self) -> None:
        """Give back what :meth:`fill` took."""
        (self.folder / "ballast").unlink(missing_ok=True)


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[SmallDisk | str]:
    """Mount a small disk at ``folder``; yields why not where that cannot be."""
    if os.geteuid() != 0:
        yield "only root can mount a small disk"
        return
    folder.mkdir(mode=0o700, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={_SIZE_MB}m", "yeban-faults", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, text=True, check=False)
        problem = mounted.stderr.partition("\n")[0] if mounted.returncode else None
    except OSError as error:
        problem = str(error)
    if problem is not None:
        yield f"a small disk cannot be mounted here: {problem}"
        return
    try:
        yield SmallDisk(folder)
    finally:
        unmount(folder)


def unmount(folder: Path) -> None:
    """Take the small disk at ``folder`` away, if there is one."""
    if folder.is_mount():
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
