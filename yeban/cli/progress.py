"""Progress of one job until it finishes, through short outages of the server and Ctrl-C."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from yeban.cli.interrupts import hold_interrupts
from yeban.client import Client
from yeban.errors import Conflict, InvalidRequest, ServiceUnavailable, msg
from yeban.runtime.terminal import phase

T = TypeVar("T")

#: Longest outage of the server while a job is followed.
OUTAGE_S = 60.0
_RETRY_S = 1.0
_POLL_S = 0.2
_POLL_MAX_S = 2.0
_LINE_EVERY_S = 10.0
# Descriptions of a job that is not being tagged.
_DOING = {"scheduled": "Scheduled", "paused": "Paused by someone", "cancelling": "Cancelling"}
_ENDED = {"completed", "completed_with_errors", "cancelled", "failed", "expired"}


class Following:
    """One job on one server: :meth:`upload`, :meth:`follow`, :meth:`download`, in this order.

    ``check`` raises when a server of this command cannot recover. ``stopped`` is true if Ctrl-C was pressed
    before the job had finished.
    """

    def __init__(self, client: Client, screen: Console, check: Callable[[], None]) -> None:
        self._client = client
        self._screen = screen
        self._check = check
        self._job: dict[str, Any] = {}
        self.stopped = False

    def upload(self, file: Path, fields: dict[str, str | list[str]]) -> dict[str, Any]:
        """Create the job. Ctrl-C cancels it once it exists; a second Ctrl-C stops at once."""
        with phase(self._screen, "Reading the file…") as say:
            held_text = "Reading the file, then stopping; Ctrl-C again stops at once…"
            with hold_interrupts(lambda: say(held_text)) as is_held:
                self._job = self._client.create_job(file, fields, idempotency_key=str(uuid.uuid4()))
        self.stopped = is_held()
        return self._job

    def follow(self) -> dict[str, Any]:
        """Show progress until the job ends. Ctrl-C cancels it and waits for rows in progress; twice: no wait."""
        cancelled = False
        pause_s = _POLL_S
        with _Display(self._screen, self._job) as display:
            while self._job["state"] not in _ENDED:
                try:
                    if self.stopped and not cancelled:
                        display.note("Cancelling; Ctrl-C again stops waiting")
                        self._job = self._retry(self._cancel)
                        cancelled = True
                        continue
                    time.sleep(pause_s)
                    self._check()
                    self._job = self._retry(lambda: self._client.job(self._job["id"]))
                    pause_s = min(pause_s * 1.1, _POLL_MAX_S)
                    display.show(self._job, cancelling=cancelled)
                except KeyboardInterrupt:
                    if self.stopped:
                        break
                    self.stopped = True
        return self._job

    def download(self, format_: str, target: Path) -> None:
        """Write the table with the tags so far."""
        try:
            self._retry(lambda: self._client.download(self._job["id"], format_, target))
        except InvalidRequest as error:
            raise InvalidRequest(msg("%(problem)s %(where)s", problem=error.message, where=self._where())) from error

    def _cancel(self) -> dict[str, Any]:
        try:
            return self._client.change(self._job["id"], "cancel")
        except Conflict:  # it has just finished
            return self._client.job(self._job["id"])

    def _retry(self, request: Callable[[], T]) -> T:
        """The answer to ``request``, repeated for up to :data:`OUTAGE_S` while the server does not answer."""
        deadline: float | None = None
        while True:
            try:
                return request()
            except ServiceUnavailable as error:
                if deadline is None:
                    deadline = time.monotonic() + OUTAGE_S
                    self._screen.print(f"yeban: {error.detail} Trying again for {OUTAGE_S:g} s.")
                elif time.monotonic() >= deadline:
                    raise ServiceUnavailable(
                        msg("%(problem)s %(where)s", problem=error.message, where=self._where())
                    ) from error
            time.sleep(_RETRY_S)
            self._check()

    def _where(self) -> str:
        identifier = self._job["id"]
        return (
            f"Finished rows are kept: `yeban job status {identifier}` and `yeban job download {identifier} "
            "-o FILE` find it on the server."
        )


class _Display:
    """Progress: a bar on a terminal, occasional lines elsewhere."""

    def __init__(self, screen: Console, job: dict[str, Any]) -> None:
        self._screen = screen
        self._said_at = time.monotonic()
        self._bar: Progress | None = None
        if screen.is_terminal:
            columns = (
                SpinnerColumn(),
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
            )
            self._bar = Progress(*columns, console=screen, transient=True)
            self._task = self._bar.add_task("Tagging", total=job["progress"]["rows"], rate="")

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def note(self, text: str) -> None:
        """Show a message."""
        if self._bar is not None:
            self._bar.update(self._task, description=text)
        else:
            self._screen.print(f"{text}…")

    def show(self, job: dict[str, Any], *, cancelling: bool) -> None:
        """Show the progress of the job."""
        progress = job["progress"]
        rate = "" if progress["rows_per_s"] is None else f"{progress['rows_per_s']:,.0f} rows/s"
        if self._bar is not None:
            self._bar.update(self._task, completed=progress["done"], rate=rate)
            if not cancelling:
                self._bar.update(self._task, description=_DOING.get(job["state"], "Tagging"))
        elif time.monotonic() - self._said_at >= _LINE_EVERY_S:
            self._said_at = time.monotonic()
            parts = [f"{progress['done']:,} of {progress['rows']:,} rows", job["state"], rate]
            self._screen.print(", ".join(part for part in parts if part))
