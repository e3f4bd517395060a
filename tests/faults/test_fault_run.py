"""The short form of a fault run, and that it leaves nothing behind however it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.leftovers import leftover_processes
from tests.faults.processes import ROOT
from tests.faults.run import Plan, run
from tests.faults.stage import remove


@pytest.mark.slow
def test_nothing_is_lost_and_nothing_doubled_under_fire():
    outcome = run(Plan(seed=20261125, seconds=60, most_jobs=25, command="scripts/faults"))
    assert outcome.good, "\n".join(outcome.lines())
    assert outcome.tally.rows >= 1_000
    assert sum(outcome.struck.values()) >= 10


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_broken_off_leaves_no_process(number):
    command = [sys.executable, "-m", "tests.faults", "--minutes", "5", "--only", "FLUSHALL"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as broken_off:
        assert broken_off.stdout is not None
        folder = Path(broken_off.stdout.readline().rpartition(" ")[2].strip())
        assert "FLUSHALL" in broken_off.stdout.readline()  # a fault has struck, so everything runs
        assert folder.is_dir()
        broken_off.send_signal(number)
        status = broken_off.wait(90)
    try:
        assert leftover_processes(folder) == []
        assert status == (-signal.SIGKILL if number is signal.SIGKILL else 130)
        if number is not signal.SIGKILL:  # of a run that is killed, nobody is left to remove the files
            assert not folder.exists()
    finally:
        remove(folder)
