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
    plan = Plan(seed=20261125, seconds=300, rounds=1, apart_s=(0.1, 0.8), most_jobs=25, command="scripts/faults")
    outcome = run(plan)
    assert outcome.good, "\n".join(outcome.lines())
    assert outcome.tally.rows >= 1_000
    # Some wait for a worker to come to a phase, and on a slow machine they wait in vain.
    assert sum(outcome.struck.values()) >= 20


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
        status = broken_off.wait(300)
    try:
        assert leftover_processes(folder) == []
        assert status == (-signal.SIGKILL if number is signal.SIGKILL else 130)
        if number is not signal.SIGKILL:  # of a run that is killed, nobody is left to remove the files
            assert not folder.exists()
    finally:
        remove(folder)
