from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_AUTOGROUP = Path("/proc/self/autogroup")
_GIVE_WAY = """
import os
from pathlib import Path
from worker.priority import give_way
give_way({nice})
print(os.getpriority(os.PRIO_PROCESS, 0), Path("/proc/self/autogroup").read_text().rpartition(" ")[2])
"""
_AS_CHILD = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]], check=True)"

pytestmark = pytest.mark.skipif(not _AUTOGROUP.exists(), reason="this kernel does not share time between sessions")


def _priorities(*command: str) -> list[int]:
    """Niceness of a process and of its session, started as the leader of a session."""
    out = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=True, start_new_session=True)
    return [int(word) for word in out.stdout.split()]


def test_a_session_of_its_own_gives_way_with_the_process():
    before = _priorities("-c", _GIVE_WAY.format(nice=0))
    assert before[1] == 0
    assert _priorities("-c", _GIVE_WAY.format(nice=7)) == [before[0] + 7] * 2


def test_a_session_shared_with_others_is_left_alone():
    niceness, session = _priorities("-c", _AS_CHILD, _GIVE_WAY.format(nice=7))
    assert niceness >= 7
    assert session == 0
