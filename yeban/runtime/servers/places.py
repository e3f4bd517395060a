"""Folders of the servers' data, sockets and logs.

All are in the data directory, with two exceptions: a socket path has at most about 100 bytes, and the servers'
account may be unable to reach the data directory of root (``/root`` is closed to others).
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from yeban.errors import ConfigurationError, msg
from yeban.runtime.servers import account as accounts
from yeban.runtime.servers.account import Account

log = logging.getLogger(__name__)

POSTGRES_SOCKET = ".s.PGSQL.5432"
VALKEY_SOCKET = "valkey.sock"

# For root, if the servers' account cannot reach the data directory.
FALLBACK_ROOT = Path("/var/lib/yeban")
# Link from the data directory to the folder under FALLBACK_ROOT.
_LINK = "servers"

# sun_path has 108 bytes on Linux and 104 on macOS, the closing NUL included.
_MAX_SOCKET_BYTES = 103
# libpq and the server split socket directories at commas; other characters need quoting in URLs.
_PLAIN = re.compile(r"[A-Za-z0-9/._-]+")


@dataclass(frozen=True, kw_only=True)
class Places:
    """Folders: ``home`` has one a server, ``run`` the sockets, ``logs`` one file a server, ``data_dir`` the locks.

    ``account`` owns the servers' files; None means the present user.
    """

    data_dir: Path
    home: Path
    run: Path
    logs: Path
    account: Account | None

    def server_dir(self, name: str) -> Path:
        """The private folder of one server, created if missing."""
        path = self.home / name
        if not _make_private(path, self.account):
            raise ConfigurationError(
                msg(
                    "The account of the bundled servers cannot use %(path)s. Fix its owner and permissions, "
                    "or set YEBAN_DATA_DIR to another path.",
                    path=path,
                )
            )
        return path

    def tidy(self) -> None:
        """Remove ``run`` if it is in the system's temporary folder."""
        if self.run.parent != self.home:
            with contextlib.suppress(OSError):
                self.run.rmdir()


def make(data_dir: Path) -> Places:
    """Create the folders of the servers in the existing ``data_dir``.

    Raises :class:`ConfigurationError` if no place is usable.
    """
    try:
        logs = data_dir / "logs"
        logs.mkdir(exist_ok=True)
        home, account = _home(data_dir)
        return Places(data_dir=data_dir, home=home, run=_run_dir(home, account), logs=logs, account=account)
    except OSError as error:
        raise ConfigurationError(
            msg(
                "Cannot prepare the data directory %(data_dir)s: %(error)s. Make it writable to the user "
                "running Yeban, or set YEBAN_DATA_DIR to another path.",
                data_dir=data_dir,
                error=error,
            )
        ) from error


def _home(data_dir: Path) -> tuple[Path, Account | None]:
    link = data_dir / _LINK
    if link.is_symlink():
        home = link.resolve()
        if not home.is_dir():
            raise ConfigurationError(
                msg(
                    "%(link)s points to %(home)s, which no longer exists. Restore it, or remove the link.",
                    link=link,
                    home=home,
                )
            )
        return home, accounts.choose(home / "run")
    account = accounts.choose(data_dir / "run")
    if _make_private(data_dir / "run", account):
        return data_dir, account
    if account is None:
        raise ConfigurationError(
            msg("%(path)s is not writable. Set YEBAN_DATA_DIR to a folder you can write to.", path=data_dir / "run")
        )
    if (data_dir / "postgres").exists():
        raise ConfigurationError(
            msg(
                "%(path)s contains data, but the account of the bundled servers (user id %(uid)s) can no "
                "longer access it. Give other users access to its parent folders, or set YEBAN_DATA_DIR.",
                path=data_dir / "postgres",
                uid=account.uid,
            )
        )
    home = _fallback_home(data_dir, account)
    link.symlink_to(home)
    log.warning(
        "The bundled servers run as user id %d, which cannot reach %s; their data is kept in %s.",
        account.uid,
        data_dir,
        home,
    )
    return home, account


def _fallback_home(data_dir: Path, account: Account) -> Path:
    try:
        FALLBACK_ROOT.mkdir(mode=0o755, exist_ok=True)
        home = Path(tempfile.mkdtemp(prefix=f"{data_dir.name}-", dir=FALLBACK_ROOT))
    except OSError as error:
        problem = f"is not usable ({error.strerror})"
    else:
        home.chmod(0o711)
        if _make_private(home / "run", account):
            (data_dir / "run").rmdir()
            return home
        shutil.rmtree(home)
        problem = "is out of its reach too"
    raise ConfigurationError(
        msg(
            "The bundled servers cannot run as root, the account they run as (user id %(uid)s) cannot access "
            "%(data_dir)s, and %(fallback_root)s %(problem)s. Set YEBAN_DATA_DIR to a folder that other "
            "users can access.",
            uid=account.uid,
            data_dir=data_dir,
            fallback_root=FALLBACK_ROOT,
            problem=problem,
        )
    )


def _run_dir(home: Path, account: Account | None) -> Path:
    run = home / "run"
    if _fits(run):
        _make_private(run, account)
        return run
    owner = account.uid if account else os.geteuid()
    name = f"yeban-{owner}-{hashlib.sha256(os.fsencode(home)).hexdigest()[:12]}"
    candidates = [Path(tempfile.gettempdir()), Path("/tmp")]  # noqa: S108 - the folder made in it is private
    if account is None and (base := os.environ.get("XDG_RUNTIME_DIR")):
        candidates.insert(0, Path(base))
    for base_dir in candidates:
        run = base_dir / name
        if base_dir.is_dir() and _fits(run) and _make_private(run, account):
            return run
    raise ConfigurationError(
        msg(
            "Cannot create a private folder for sockets in %(candidates)s, and the path %(home)s is too long "
            "for them. Set YEBAN_DATA_DIR to a shorter path.",
            candidates=" or ".join(map(str, candidates)),
            home=home,
        )
    )


def _fits(run: Path) -> bool:
    return len(os.fsencode(run / POSTGRES_SOCKET)) <= _MAX_SOCKET_BYTES and bool(_PLAIN.fullmatch(str(run)))


def _make_private(path: Path, account: Account | None) -> bool:
    """Make ``path`` a 0700 folder of ``account``; False if it has another owner or is not writable."""
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        status = path.lstat()
        if not stat.S_ISDIR(status.st_mode) or (account is None and status.st_uid != os.geteuid()):
            return False
        accounts.give(path, account)
        path.chmod(0o700)
    except OSError:
        return False
    return accounts.can_access(account, os.R_OK | os.W_OK | os.X_OK, path)
