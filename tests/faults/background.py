"""A thread whose failure is told to whoever waits for it, so that no broken fault counts as struck."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Background(threading.Thread):
    """Runs ``action`` once. :meth:`wait` raises what it raised."""

    def __init__(self, action: Callable[[], None], *, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._action = action
        self._error: BaseException | None = None

    def run(self) -> None:
        """Carry the action out, on this thread."""
        try:
            self._action()
        except BaseException as error:  # noqa: BLE001 - raised again by wait()
            self._error = error

    def wait(self, timeout_s: float) -> None:
        """Wait for the end; raises what the action raised, and ``TimeoutError`` when it has not ended in time."""
        self.join(timeout_s)
        if self.is_alive():
            raise TimeoutError(f"{self.name} did not end within {timeout_s:g} s")
        if self._error is not None:
            raise self._error
