"""The programs Yeban consists of: how they are run, the roles of a worker, and what their exit statuses say."""

from __future__ import annotations

import sys
from typing import Literal, get_args

Role = Literal["bulk", "interactive"]

#: Tags jobs.
BULK_ROLE: Role = "bulk"
#: Answers single texts.
INTERACTIVE_ROLE: Role = "interactive"
ROLES: tuple[Role, ...] = get_args(Role)

#: Exit status of a program that cannot run as it is configured; starting it again is no use.
EXIT_MISCONFIGURED = 2
#: Exit status of a worker that was stuck or whose engine was broken (EX_SOFTWARE); start it again.
EXIT_STUCK = 70
#: Exit status of a worker that ended in order because it had grown too large (EX_TEMPFAIL); start it again.
EXIT_RECYCLED = 75


def python_command(module: str, *arguments: str) -> list[str]:
    """The command line that runs one of our programs; -P, since the working directory may hold a ``web`` of its own."""
    return [sys.executable, "-P", "-m", module, *arguments]
