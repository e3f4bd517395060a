"""The bundled Valkey, for queues, replies and caches. Losing them loses no work."""

from __future__ import annotations

import logging
import re
import shutil
import signal
import threading
from typing import ClassVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from yeban.errors import ServiceUnavailable
from yeban.runtime.servers.places import VALKEY_SOCKET, Places
from yeban.runtime.servers.server import NotYet, Server
from yeban.runtime.servers.software import Software

log = logging.getLogger(__name__)

_DAMAGED = re.compile(r"bad file format reading the append only file|AOF manifest", re.IGNORECASE)

_SETTINGS = {
    # No TCP at all.
    "port": "0",
    "unixsocketperm": "700",
    "databases": "16",
    # Losing the last second of hints costs one round of the sweeper.
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",
    # Cached values have a time to live and may be evicted; queues have none and stay.
    "maxmemory": "256mb",
    "maxmemory-policy": "volatile-lru",
    "maxclients": "1000",
    "shutdown-on-sigterm": "force",
    "daemonize": "no",
    "loglevel": "notice",
}


class Valkey(Server):
    """Append-only file in ``home/valkey``, socket in ``run``."""

    title = "Valkey"
    name: ClassVar[str] = "valkey"
    stop_steps = ((signal.SIGTERM, 15.0),)

    def __init__(self, places: Places, software: Software) -> None:
        super().__init__(places)
        self._software = software
        self._data = places.server_dir(self.name)
        self._socket = places.run / VALKEY_SOCKET

    @property
    def url(self) -> str:
        """redis-py URL of database 0."""
        return f"unix://{self._socket}?db=0"

    def start(self, cancelled: threading.Event) -> None:
        """Start. A damaged append-only file is moved aside, since its content can be lost."""
        try:
            super().start(cancelled)
        except ServiceUnavailable as error:
            if not _DAMAGED.search(error.detail):
                raise
            kept = self._data / "appendonlydir.damaged"
            log.error("Valkey's append-only file is damaged and was moved to %s; starting empty.", kept)
            if kept.exists():
                shutil.rmtree(kept)
            (self._data / "appendonlydir").rename(kept)
            super().start(cancelled)

    def prepare(self, lock: int, cancelled: threading.Event) -> None:  # noqa: ARG002 - nothing is run here
        """Remove a killed server's socket."""
        self._socket.unlink(missing_ok=True)

    def command(self) -> list[str]:
        """The server's command line."""
        options = [part for name, value in _SETTINGS.items() for part in (f"--{name}", value)]
        return [str(self._software.executable), "--dir", str(self._data), "--unixsocket", str(self._socket), *options]

    def probe(self) -> None:
        """Ping."""
        with redis.Redis(unix_socket_path=str(self._socket), socket_timeout=5, retry=Retry(NoBackoff(), 0)) as client:
            try:
                client.ping()
            except redis.exceptions.BusyLoadingError as error:
                raise NotYet(str(error), recovering=True) from error
            except (redis.exceptions.RedisError, OSError) as error:
                raise NotYet(str(error)) from error
