"""The database's clock, which can be set while it runs, by libfaketime where that is installed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from yeban.runtime.servers.postgres import Postgres

_LIBRARY = "libfaketimeMT.so.1"


@dataclass
class DatabaseClock:
    """By how many seconds the clock is ahead, and the file that says so."""

    file: Path
    ahead_s: int = 0

    def step(self, seconds: int) -> None:
        """Set the clock forward, or back."""
        self.ahead_s += seconds
        # In place, since the library keeps the file open.
        self.file.write_text(f"{self.ahead_s:+d}s\n", encoding="ascii")


@contextlib.contextmanager
def database_clock(file: Path) -> Iterator[DatabaseClock | str]:
    """Let PostgreSQL that is started within the block tell the time by ``file``; yields why not where it cannot."""
    found = [path for folder in ("/usr/lib", "/usr/local/lib") for path in Path(folder).glob(f"**/{_LIBRARY}")]
    if not found:
        yield "libfaketime is not installed (Debian: faketime)"
        return
    clock = DatabaseClock(file)
    clock.step(0)
    file.chmod(0o644)
    real = Postgres.command
    variables = [f"LD_PRELOAD={found[0]}", f"FAKETIME_TIMESTAMP_FILE={file}", "FAKETIME_CACHE_DURATION=1"]
    variables += ["FAKETIME_DONT_FAKE_MONOTONIC=1"]
    Postgres.command = lambda self: ["/usr/bin/env", *variables, *real(self)]  # type: ignore[method-assign]
    try:
        yield clock
    finally:
        Postgres.command = real  # type: ignore[method-assign]
