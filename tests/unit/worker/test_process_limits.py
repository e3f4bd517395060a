from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from worker.process_limits import MemoryLimit, resident_mb
from yeban.errors import ConfigurationError

_AUTOGROUP = Path("/proc/self/autogroup")
_GIVE_WAY = """
import os
from pathlib import Path
from worker.process_limits import give_way
give_way({nice})
print(os.getpriority(os.PRIO_PROCESS, 0), Path("/proc/self/autogroup").read_text().rpartition(" ")[2])
"""
_AS_CHILD = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]], check=True)"

needs_autogroup = pytest.mark.skipif(not _AUTOGROUP.exists(), reason="this kernel does not share time between sessions")


class Taken:
    """A limit with a fake memory reading, which counts stops."""

    def __init__(self, limit_mb):
        self.mb = 0.0
        self.ended = 0
        self.limit = MemoryLimit(limit_mb, self._end, resident=lambda: self.mb)

    def _end(self):
        self.ended += 1


def test_a_process_over_its_limit_is_ended_once():
    taken = Taken(500)
    for taken.mb, ended in ((100, 0), (500, 0), (500.1, 1), (900, 1)):
        taken.limit.check()
        assert taken.ended == ended


def test_without_a_limit_it_may_grow():
    taken = Taken(None)
    taken.mb = 1e9
    taken.limit.check_start()
    taken.limit.check()
    assert taken.ended == 0


def test_a_limit_that_the_model_alone_exceeds_is_refused_at_the_start():
    taken = Taken(500)
    taken.limit.check_start()
    taken.mb = 612.4
    with pytest.raises(ConfigurationError, match=r"YEBAN_MAX_RSS_MB=500.* uses 612 MiB. Set it to 1225"):
        taken.limit.check_start()
    assert taken.ended == 0


def test_the_memory_of_this_process_is_told_in_mib():
    before = resident_mb()
    held = b"x" * 2**27
    assert 64 < resident_mb() - before < 192  # others may take and give back memory meanwhile
    assert held


def _priorities(*command: str) -> list[int]:
    """Niceness of a process and of its session, started as the leader of a session."""
    out = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=True, start_new_session=True)
    return [int(word) for word in out.stdout.split()]


@needs_autogroup
def test_a_session_of_its_own_gives_way_with_the_process():
    before = _priorities("-c", _GIVE_WAY.format(nice=0))
    assert before[1] == 0
    assert _priorities("-c", _GIVE_WAY.format(nice=7)) == [before[0] + 7] * 2


@needs_autogroup
def test_a_session_shared_with_others_is_left_alone():
    niceness, session = _priorities("-c", _AS_CHILD, _GIVE_WAY.format(nice=7))
    assert niceness >= 7
    assert session == 0
