"""Everything on one machine: the bundled servers, the web and both workers, as supervised processes."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from yeban.client import Client, wait_until_ready
from yeban.embedded import Endpoints, open_servers, running_endpoints
from yeban.embedded.guard import __file__ as _guard_file
from yeban.errors import ServiceUnavailable
from yeban.schema import migrate
from yeban.settings import PREFIX, Settings

log = logging.getLogger(__name__)

_STATE = "stack.json"
_READY_TIMEOUT_S = 600.0  # the first start builds the model
_STOP_TIMEOUT_S = 45.0
_POLL_S = 0.1
_MAX_RESTARTS = 5
_RESTART_WINDOW_S = 60.0
_QUOTED_LINES = 5


@dataclass
class _Program:
    name: str
    arguments: list[str]
    process: subprocess.Popen[bytes] | None = None
    starts: list[float] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A running stack. ``check()`` raises ``ServiceUnavailable`` once a part of it has been given up."""

    url: str
    logs: Path
    check: Callable[[], None]


@contextlib.contextmanager
def run_stack(settings: Settings, *, port: int | None = None) -> Iterator[Stack]:
    """Start everything, wait until it is ready, and stop it in order on leaving.

    ``port`` 0 picks a free one; ``None`` takes the setting. The processes end with this one however it ends.
    Raises ``ConfigurationError`` and ``ServiceUnavailable``, naming the log to look at.
    """
    with open_servers(settings) as endpoints:
        migrate(endpoints.database_url)
        host = settings.host
        url = f"http://{host}:{_free_port(host, settings.port if port is None else port)}"
        programs = _Programs(settings, endpoints, url)
        programs.start()
        state = settings.data_dir / _STATE
        try:
            with Client(url) as client:
                wait_until_ready(client, _READY_TIMEOUT_S, programs.check)
            _write(state, {"url": url, "pid": os.getpid()})
            yield Stack(url=url, logs=programs.logs, check=programs.check)
        finally:
            state.unlink(missing_ok=True)
            programs.stop()


def running_url(settings: Settings) -> str | None:
    """The URL of a stack that another process runs on this data directory."""
    if running_endpoints(settings) is None:
        return None
    try:
        url = str(json.loads((settings.data_dir / _STATE).read_text(encoding="utf-8"))["url"])
    except (OSError, ValueError, KeyError):
        return None
    with Client(url) as client:
        return url if client.readiness() is not None else None


class _Programs:
    """Starts the programs, restarts one that ends, stops them all; on one thread, since the kernel ties a
    process's death signal to the thread that started it."""

    def __init__(self, settings: Settings, endpoints: Endpoints, url: str) -> None:
        port = url.rpartition(":")[2]
        self.logs = settings.data_dir / "logs"
        self._environment = os.environ | {
            f"{PREFIX}DATA_DIR": str(settings.data_dir),
            f"{PREFIX}DATABASE_URL": endpoints.database_url,
            f"{PREFIX}REDIS_URL": endpoints.redis_url,
            f"{PREFIX}PORT": port,
            f"{PREFIX}MODEL": settings.model,
        }
        for secret in ("DATABASE_URL", "REDIS_URL"):
            self._environment.pop(f"{PREFIX}{secret}_FILE", None)
        self._programs = [
            _Program("web", ["-m", "web"]),
            _Program("interactive", ["-m", "worker", "--role", "interactive"]),
            _Program("bulk", ["-m", "worker", "--role", "bulk"]),
        ]
        self._stopping = threading.Event()
        self._failure: ServiceUnavailable | None = None
        self._thread = threading.Thread(target=self._run, name="stack", daemon=True)

    def start(self) -> None:
        self.logs.mkdir(parents=True, exist_ok=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def check(self) -> None:
        """Raise if a program keeps ending."""
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            for program in self._programs:
                self._launch(program)
            while not self._stopping.wait(_POLL_S):
                for program in self._programs:
                    if program.process is not None and program.process.poll() is not None:
                        self._revive(program, program.process.returncode)
        finally:
            self._stop_all()

    def _launch(self, program: _Program) -> None:
        program.starts.append(time.monotonic())
        orders = {
            "argv": [sys.executable, *program.arguments],
            "parent": os.getpid(),
            "death_signal": int(signal.SIGTERM),
            "uid": None,
            "gid": None,
            "watch": not sys.platform.startswith("linux"),
        }
        with (self.logs / f"{program.name}.log").open("ab") as output:
            # A session of its own: Ctrl-C in a terminal is for us, and we then stop the programs in order.
            program.process = subprocess.Popen(
                [sys.executable, "-I", "-S", _guard_file, json.dumps(orders)],
                stdin=subprocess.PIPE if orders["watch"] else subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
            )

    def _revive(self, program: _Program, status: int) -> None:
        now = time.monotonic()
        program.starts = [start for start in program.starts if now - start < _RESTART_WINDOW_S]
        log_file = self.logs / f"{program.name}.log"
        if len(program.starts) > _MAX_RESTARTS:
            program.process = None
            self._failure = ServiceUnavailable(
                f"The {program.name} process keeps ending. Its log ({log_file}) ends:\n{_last_lines(log_file)}",
                log=str(log_file),
            )
            log.critical("process given up", extra={"program": program.name, "log": log_file})
            return
        log.error("process ended, starting it again", extra={"program": program.name, "status": status})
        self._launch(program)

    def _stop_all(self) -> None:
        running = [program.process for program in self._programs if program.process is not None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + _STOP_TIMEOUT_S
        for process in running:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _last_lines(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4096))
        lines = file.read().decode("utf-8", "replace").splitlines()
    return "\n".join(f"  {line}" for line in lines[-_QUOTED_LINES:])


def _free_port(host: str, port: int) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ServiceUnavailable(
                f"Port {port} of {host} cannot be used ({error.strerror}); set YEBAN_PORT or --port to another."
            ) from error
        return int(probe.getsockname()[1])


def _write(path: Path, state: dict[str, object]) -> None:
    draft = path.with_name(f"{path.name}.new")
    draft.write_text(json.dumps(state), encoding="utf-8")
    draft.replace(path)
