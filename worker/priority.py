"""How far a worker gives way to the other programs of its machine."""

from __future__ import annotations

import logging
import os
from pathlib import Path

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
