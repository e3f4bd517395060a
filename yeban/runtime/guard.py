"""Starts a process that cannot outlive its owner.

Runs as a script (``python -I -S guard.py ORDERS``) with the standard library only: it may start as root
in an environment that the account of the process cannot read. ``ORDERS`` is a JSON object:

``argv``          command line of the process
``parent``        process id of the owner; the process ends with it
``death_signal``  signal sent to the process when the owner dies
``uid``, ``gid``  account to run as, or null for the present one
``watch``         false: the kernel sends the signal (Linux), and this process becomes the other one;
                  true: stay as its parent, and signal it when standard input ends or the owner is gone
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
from typing import Any

_PR_SET_PDEATHSIG = 1
_POLL_S = 0.2
_GRACE_S = 10.0


def main(orders: dict[str, Any]) -> int:
    """Carry out ``orders``; returns an exit status unless this process becomes the other one."""
    os.umask(0o077)
    if orders["uid"] is not None:
        os.setgroups([])
        os.setgid(orders["gid"])
        os.setuid(orders["uid"])
    if orders["watch"]:
        return _watch(orders)
    # A change of user clears the setting, so it comes after.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, orders["death_signal"], 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    # The kernel does not report an owner that died before the call above.
    if os.getppid() == orders["parent"]:
        os.execv(orders["argv"][0], orders["argv"])  # noqa: S606 - no shell is wanted
    return 1


def _watch(orders: dict[str, Any]) -> int:
    # close_fds stays off: the server must inherit the lock.
    server = subprocess.Popen(orders["argv"], stdin=subprocess.DEVNULL, close_fds=False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, lambda received, _frame: server.send_signal(received))
    while server.poll() is None:
        readable, _, _ = select.select([sys.stdin], [], [], _POLL_S)
        if (readable and not os.read(sys.stdin.fileno(), 1)) or os.getppid() != orders["parent"]:
            _end(server, orders["death_signal"])
    return server.returncode if server.returncode >= 0 else 128 - server.returncode


def _end(server: subprocess.Popen[bytes], number: int) -> None:
    server.send_signal(number)
    try:
        server.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
