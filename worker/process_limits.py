"""Memory limit and priority of a worker process."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

from yeban.errors import ConfigurationError, msg

log = logging.getLogger(__name__)

_STATM = Path("/proc/self/statm")
_MIB = 2**20
#: Exists where the kernel divides time between sessions, and by niceness only within each (sched(7)).
_AUTOGROUP = Path("/proc/self/autogroup")


def resident_mb() -> float:
    """Resident memory of this process in MiB; 0 on systems without ``/proc``."""
    try:
        pages = int(_STATM.read_text(encoding="ascii").split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / _MIB


class MemoryLimit:
    """Stops the process once it exceeds its limit.

    The supervisor starts another. Numerical libraries fragment the heap and may leak; a new process cures both.
    """

    def __init__(self, limit_mb: int | None, stop: Callable[[], None], *, resident: Callable[[], float] = resident_mb):
        """``limit_mb`` ``None`` is no limit. ``stop`` asks the process to stop, and returns at once."""
        self._limit_mb = limit_mb
        self._stop = stop
        self._resident = resident
        self._exceeded = False

    def check_start(self) -> None:
        """Raise :class:`~yeban.errors.ConfigurationError` if the process exceeds the limit right after loading."""
        if self._limit_mb is not None and (taken := self._resident()) > self._limit_mb:
            raise ConfigurationError(
                msg(
                    "YEBAN_MAX_RSS_MB=%(limit_mb)s is too low: with its model loaded, this worker uses "
                    "%(taken)s MiB. Set it to %(suggested)s or more, or unset it.",
                    limit_mb=self._limit_mb,
                    taken=format(taken, ".0f"),
                    suggested=format(2 * taken, ".0f"),
                )
            )

    def check(self) -> None:
        """Stop the process if it exceeds the limit."""
        if self._limit_mb is None or self._exceeded or (taken := self._resident()) <= self._limit_mb:
            return
        self._exceeded = True
        log.warning("over the memory limit, stopping", extra={"rss_mb": round(taken), "limit_mb": self._limit_mb})
        self._stop()


def give_way(nice: int) -> None:
    """Lower the priority of this process by ``nice`` (0 to 19).

    Where the process leads its session, it lowers the session too: otherwise niceness has no effect beside programs of
    other sessions. It leaves a shared session, as of a shell, unchanged.
    """
    if not nice:
        return
    reached = os.nice(nice)
    if os.getsid(0) != os.getpid():
        return
    try:
        _AUTOGROUP.write_text(str(reached), encoding="ascii")
    except OSError as error:
        # Not on this system, hidden in a container, or more than ten changes a second.
        log.debug("session priority unchanged", extra={"error": str(error)})
