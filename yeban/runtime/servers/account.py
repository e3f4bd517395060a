"""User of the bundled servers: the present one, or an unprivileged one for root (PostgreSQL refuses root)."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from yeban.errors import ConfigurationError, msg

# The first existing account is used; none is created.
_CANDIDATES = ("postgres", "nobody")

_PROBE = """
import os, sys
os.setgroups([])
os.setgid(int(sys.argv[2]))
os.setuid(int(sys.argv[1]))
sys.exit(0 if all(os.access(path, int(sys.argv[3])) for path in sys.argv[4:]) else 1)
"""


@dataclass(frozen=True, kw_only=True)
class Account:
    """An unprivileged user that runs servers for root."""

    uid: int
    gid: int

    def can_access(self, mode: int, *paths: Path) -> bool:
        """Ask the kernel whether this account has ``mode`` (``os.R_OK`` …) on every path."""
        probe = [sys.executable, "-I", "-S", "-c", _PROBE, str(self.uid), str(self.gid), str(mode)]
        return subprocess.run([*probe, *map(str, paths)], check=False, stderr=subprocess.DEVNULL).returncode == 0


def choose(existing: Path) -> Account | None:
    """The account for servers with files in ``existing``; None unless this user is root.

    An existing directory keeps its owner, so that later runs can read its data.
    Raises :class:`ConfigurationError` on a system without an unprivileged account.
    """
    if os.geteuid() != 0:
        return None
    if existing.is_dir():
        owner = existing.stat().st_uid
        if owner != 0 and (found := _lookup(owner)):
            return found
    for name in _CANDIDATES:
        if found := _lookup(name):
            return found
    raise ConfigurationError(
        msg(
            "The bundled servers cannot run as root, and this system has no unprivileged account "
            "(%(candidates)s). Run Yeban as an ordinary user, or set YEBAN_DATABASE_URL and YEBAN_REDIS_URL.",
            candidates=" or ".join(_CANDIDATES),
        )
    )


def can_access(account: Account | None, mode: int, *paths: Path) -> bool:
    """:meth:`Account.can_access`, or the access of the present user without an ``account``."""
    return account.can_access(mode, *paths) if account else all(os.access(path, mode) for path in paths)


def give(path: Path, account: Account | None) -> None:
    """Make ``account`` the owner of ``path`` and its contents, unless it is already."""
    if account is None or path.lstat().st_uid == account.uid:
        return
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            os.chown(Path(folder) / name, account.uid, account.gid, follow_symlinks=False)
    # Last: the check above takes the owner of ``path`` as a sign that its contents are done.
    os.chown(path, account.uid, account.gid)


def _lookup(user: str | int) -> Account | None:
    try:
        entry = pwd.getpwnam(user) if isinstance(user, str) else pwd.getpwuid(user)
    except KeyError:
        return None
    return Account(uid=entry.pw_uid, gid=entry.pw_gid)
