"""The web server: gunicorn's master, with uvicorn in its processes, set up from the settings."""

from __future__ import annotations

import asyncio
import ctypes
import json
import logging
import os
import resource
import shutil
import signal
import socket
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from gunicorn.workers.base import Worker
from prometheus_client.multiprocess import mark_process_dead
from uvicorn import Config, Server

from web.server.bridge import ThreadedApp
from web.server.connection import HEAD_BYTES, Connection, Limits
from yeban.settings import Settings
from yeban.telemetry import metrics, tracing

_GRACEFUL_S = 30
#: Seconds before the master kills a process, at which the process aborts requests in progress.
_CUT_S = 2

_FILES = resource.RLIMIT_NOFILE
_MAX_CONNECTIONS = 2_000
#: Bytes that the kernel takes for a client that reads slowly. By default it takes megabytes, and many slow downloads
#: that start at once would make all of them at once.
_SEND_BUFFER_BYTES = 1 << 17
#: File descriptors of a process that are not connections of clients.
_OTHER_FILES = 400

# A process whose master was killed would keep the port for as long as its requests last.
_PR_SET_PDEATHSIG = 1


def _end_with_master(_arbiter: Arbiter, worker: Any) -> None:
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != worker.ppid:  # the master died before
        os.kill(os.getpid(), signal.SIGKILL)


def _stop_tracing(_arbiter: Arbiter, _worker: Any) -> None:
    tracing.stop()


def _forget_process(_arbiter: Arbiter, worker: Any) -> None:
    mark_process_dead(worker.pid)


class WebServer(BaseApplication):  # type: ignore[misc]
    """``web_processes`` processes with ``web_threads`` threads each, on one listening socket.

    Once it listens, the address is written to standard output and to ``ready_file``, as ``{"url": …}``;
    the file is removed at the end, and so is ``metrics_folder``, in which several processes add up their metrics.
    """

    def __init__(
        self, settings: Settings, make_app: Callable[[], Flask], *, ready_file: Path | None, metrics_folder: Path | None
    ) -> None:
        """``make_app`` is called in each process, so that no connection is shared between them."""
        self.settings = settings
        self._make_app = make_app
        self._ready_file = ready_file
        self._metrics_folder = metrics_folder
        if metrics_folder is not None:
            mark_process_dead(os.getpid())  # this process serves no requests: its memory and gauges do not count
        super().__init__()

    def load_config(self) -> None:
        settings = self.settings
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        options: dict[str, Any] = {
            "bind": f"{host}:{settings.port}",
            "workers": settings.web_processes,
            "worker_class": UvicornWorker,
            "graceful_timeout": _GRACEFUL_S,
            "loglevel": settings.log_level.lower(),
            "accesslog": None,
            "control_socket_disable": True,
            "logger_class": GunicornLog,
            "post_fork": _end_with_master,
            "when_ready": self._announce,
            "worker_exit": _stop_tracing,
            "on_exit": self._retract,
        }
        if self._metrics_folder is not None:
            options["child_exit"] = _forget_process
        for name, value in options.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Flask:
        tracing.start(self.settings, "yeban-web", f"{socket.gethostname()}:{os.getpid()}")
        metrics.WEB_PROCESSES.set(1)
        return self._make_app()

    def _announce(self, arbiter: Arbiter) -> None:
        port = arbiter.LISTENERS[0].sock.getsockname()[1]
        host = f"[{self.settings.host}]" if ":" in self.settings.host else self.settings.host
        url = f"http://{host}:{port}"
        if self._ready_file is not None:
            # Whole or not at all: someone may be waiting for it to appear.
            draft = self._ready_file.with_name(f"{self._ready_file.name}.new")
            draft.write_text(json.dumps({"url": url}), encoding="utf-8")
            draft.replace(self._ready_file)
        print(f"Yeban is at {url}", flush=True)  # noqa: T201

    def _retract(self, _arbiter: Arbiter) -> None:
        if self._ready_file is not None:
            self._ready_file.unlink(missing_ok=True)
        if self._metrics_folder is not None:
            shutil.rmtree(self._metrics_folder, ignore_errors=True)


class UvicornWorker(Worker):  # type: ignore[misc]
    """A process of gunicorn's in which uvicorn serves the app."""

    app: WebServer

    def run(self) -> None:
        """Serve until SIGTERM, then finish the requests in progress."""
        settings = self.app.settings
        limits = Limits(connections=_most_connections(), silence_s=settings.client_timeout_s)
        config = Config(
            ThreadedApp(self.wsgi, threads=settings.web_threads),
            http=partial(Connection, limits=limits),  # type: ignore[arg-type]
            h11_max_incomplete_event_size=HEAD_BYTES,
            loop="asyncio",
            ws="none",
            lifespan="off",
            interface="asgi3",
            # Each request is logged by the app, without what the caller typed.
            access_log=False,
            log_config=None,
            log_level="warning",
            # What a proxy says is the app's to judge (YEBAN_PROXIES).
            proxy_headers=False,
            server_header=False,
            backlog=self.cfg.backlog,
            timeout_notify=int(self.timeout),
            callback_notify=self._beat,
            timeout_graceful_shutdown=_GRACEFUL_S - _CUT_S,
        )
        for listener in self.sockets:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        asyncio.run(Server(config).serve(sockets=self.sockets))

    async def _beat(self) -> None:
        self.notify()


def _most_connections() -> int:
    """Raise the limit of open files as far as is useful. Returns how many of them may be connections."""
    wanted = _MAX_CONNECTIONS + _OTHER_FILES
    soft, hard = (wanted if limit == resource.RLIM_INFINITY else limit for limit in resource.getrlimit(_FILES))
    if soft < wanted:
        soft = min(hard, wanted)
        resource.setrlimit(_FILES, (soft, resource.getrlimit(_FILES)[1]))
    return min(_MAX_CONNECTIONS, max(soft // 2, soft - _OTHER_FILES))


class GunicornLog(Logger):  # type: ignore[misc]
    """A logger that leaves handlers and format to the root logger."""

    def setup(self, cfg: Any) -> None:
        """Called by gunicorn once it knows its configuration, and again when that is reloaded."""
        super().setup(cfg)
        for logger in (self.error_log, self.access_log):
            logger.handlers.clear()
            logger.propagate = True
        # Lower levels log request paths, which callers control.
        self.error_log.setLevel(max(self.error_log.level, logging.INFO))
