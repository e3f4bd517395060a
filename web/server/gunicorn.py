"""The web server process: gunicorn, set up from the settings."""

from __future__ import annotations

import ctypes
import json
import logging
import os
import shutil
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from prometheus_client.multiprocess import mark_process_dead

from web.server.slow_clients import DEADLINES
from yeban.settings import Settings
from yeban.telemetry import metrics, tracing

_GRACEFUL_S = 30

# A process whose master was killed would keep the port for as long as its requests last.
_PR_SET_PDEATHSIG = 1


def _end_with_master(_arbiter: Arbiter, _worker: Any) -> None:
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


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
        self._settings = settings
        self._make_app = make_app
        self._ready_file = ready_file
        DEADLINES.shorten(settings.client_timeout_s)
        self._metrics_folder = metrics_folder
        if metrics_folder is not None:
            mark_process_dead(os.getpid())  # this process serves no requests: its memory and gauges do not count
        super().__init__()

    def load_config(self) -> None:
        settings = self._settings
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        options: dict[str, Any] = {
            "bind": f"{host}:{settings.port}",
            "workers": settings.web_processes,
            "threads": settings.web_threads,
            "worker_class": "web.server.slow_clients.PatientWorker",
            # What a proxy says is the app's to judge (YEBAN_PROXIES): by default gunicorn believes this whole machine.
            "forwarded_allow_ips": "",
            "forwarder_headers": "",
            "secure_scheme_headers": {},
            "graceful_timeout": _GRACEFUL_S,
            "loglevel": settings.log_level.lower(),
            # Each request is logged by the app, without what the caller typed.
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
        tracing.start(self._settings, "yeban-web", f"{socket.gethostname()}:{os.getpid()}")
        metrics.WEB_PROCESSES.set(1)
        return self._make_app()

    def _announce(self, arbiter: Arbiter) -> None:
        port = arbiter.LISTENERS[0].sock.getsockname()[1]
        host = f"[{self._settings.host}]" if ":" in self._settings.host else self._settings.host
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


class GunicornLog(Logger):  # type: ignore[misc]
    """Leaves handlers and form to the root logger."""

    def setup(self, cfg: Any) -> None:
        """Called by gunicorn once it knows its configuration, and again when that is reloaded."""
        super().setup(cfg)
        for logger in (self.error_log, self.access_log):
            logger.handlers.clear()
            logger.propagate = True
        # Below that it tells the paths of requests, which are whatever the caller typed.
        self.error_log.setLevel(max(self.error_log.level, logging.INFO))
