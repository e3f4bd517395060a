"""Programs of Yeban: their command lines, the roles of workers, and exit statuses."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import Literal, get_args

from yeban.errors import ConfigurationError, msg

Role = Literal["bulk", "interactive"]

#: Tags jobs.
BULK_ROLE: Role = "bulk"
#: Answers single texts.
INTERACTIVE_ROLE: Role = "interactive"
ROLES: tuple[Role, ...] = get_args(Role)

#: Exit status of a program that cannot run with its configuration. Restarting it does not help.
EXIT_MISCONFIGURED = 2
#: Exit status of a worker that was stuck or whose engine was broken (EX_SOFTWARE). Restart it.
EXIT_STUCK = 70
#: Exit status of a worker that stopped because it exceeded its memory limit (EX_TEMPFAIL). Restart it.
EXIT_RECYCLED = 75

# One package of each extra, by its import name.
_PACKAGES = {"web": "flask", "worker": "numpy"}


def python_command(*arguments: str) -> list[str]:
    """The command line of ``yeban`` with ``arguments``; -P ignores modules in the working directory."""
    return [sys.executable, "-P", "-m", "yeban.cli", *arguments]


def require_extras(*extras: str) -> None:
    """Raise ``ConfigurationError`` unless the packages of the extras, ``web`` and ``worker``, are installed."""
    for extra in extras:
        if find_spec(_PACKAGES[extra]) is None:
            raise ConfigurationError(
                msg(
                    "%(packages)s is not installed. Run: pip install 'yeban[%(extra)s]'",
                    packages=_PACKAGES[extra],
                    extra=extra,
                )
            )
