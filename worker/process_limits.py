"""How much memory this process takes, and what to do when it grew over its limit."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

from yeban.errors import ConfigurationError, msg

log = logging.getLogger(__name__)

_STATM = Path("/proc/self/statm")
_MIB = 2**20


def resident_mb() -> float:
    """Resident memory of this process in MiB; 0 where the system does not tell."""
    try:
        pages = int(_STATM.read_text(encoding="ascii").split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / _MIB


class MemoryLimit:
    """Ends the process in order, once, when it takes more than it may; whoever supervises it starts another.

    Libraries that compute fragment the heap, and a leak in one is not ours to mend: a fresh process cures both.
    """

    def __init__(self, limit_mb: int | None, end: Callable[[], None], *, resident: Callable[[], float] = resident_mb):
        """``limit_mb`` ``None`` never ends it. ``end`` asks the process to stop, and returns at once."""
        self._limit_mb = limit_mb
        self._end = end
        self._resident = resident
        self._exceeded = False

    def check_start(self) -> None:
        """Raise :class:`~yeban.errors.ConfigurationError` if a process that has only just loaded is over the limit."""
        if self._limit_mb is not None and (taken := self._resident()) > self._limit_mb:
            raise ConfigurationError(
                msg(
                    "YEBAN_MAX_RSS_MB=%(limit_mb)s, but with its model loaded this worker takes %(taken)s "
                    "MiB; set it to %(suggested)s or more, or unset it.",
                    limit_mb=self._limit_mb,
                    taken=f"{taken:.0f}",
                    suggested=f"{2 * taken:.0f}",
                )
            )

    def check(self) -> None:
        """End the process if it is over the limit."""
        if self._limit_mb is None or self._exceeded or (taken := self._resident()) <= self._limit_mb:
            return
        self._exceeded = True
        log.warning("over the memory limit, stopping", extra={"rss_mb": round(taken), "limit_mb": self._limit_mb})
        self._end()


log = logging.getLogger(__name__)

#: Exists where the kernel shares time between sessions first, and by niceness only within each (sched(7)).
_AUTOGROUP = Path("/proc/self/autogroup")


def give_way(nice: int) -> None:
    """Lower this process's priority by ``nice`` (0 to 19), for threads made from now on too.

    A process that leads its session has it to itself: then the session gives way too, without which niceness would
    count for nothing beside programs of other sessions. A session that is shared, as with a shell, is left alone.
    """
    if not nice:
        return
    reached = os.nice(nice)
    if os.getsid(0) != os.getpid():
        return
    try:
        _AUTOGROUP.write_text(str(reached), encoding="ascii")
    except OSError as error:
        # Another system, a container that hides it, or a kernel that takes no more than ten changes a second.
        log.debug("the session's priority stays as it is", extra={"error": str(error)})
