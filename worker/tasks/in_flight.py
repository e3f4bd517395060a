"""Which leases this process holds right now, and since when."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager


class InFlight:
    """Shared between the slots, which hold leases, and the keeper, which renews them and watches their age."""

    def __init__(self) -> None:
        self._since: dict[uuid.UUID, float] = {}
        self._lock = threading.Lock()

    @contextmanager
    def hold(self, token: uuid.UUID) -> Iterator[None]:
        """Count ``token`` as held for the length of the block."""
        with self._lock:
            self._since[token] = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                del self._since[token]

    def tokens(self) -> list[uuid.UUID]:
        """Every lease token held now."""
        with self._lock:
            return list(self._since)

    def oldest_s(self) -> float:
        """Seconds that the oldest group has been running; 0 when idle."""
        with self._lock:
            return time.monotonic() - min(self._since.values()) if self._since else 0.0
