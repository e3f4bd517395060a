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
from typing import TYPE_CHECKING

from yeban.client import Client, wait_until_ready
from yeban.errors import ConfigurationError, InvalidRequest, ServiceUnavailable, msg
from yeban.runtime.local_url import local_url
from yeban.runtime.programs import (
    BULK_ROLE,
    EXIT_MISCONFIGURED,
    EXIT_RECYCLED,
    INTERACTIVE_ROLE,
    python_command,
    require_extras,
)
from yeban.settings import PREFIX, Settings

if TYPE_CHECKING:
    from yeban.runtime.servers import Endpoints

log = logging.getLogger(__name__)

_STATE = "stack.json"
_READY_TIMEOUT_S = 600.0  # the first start builds the model
_MIN_STOP_S = 45.0  # the web ends what it has begun within 30
_AFTER_DRAIN_S = 15.0
_POLL_S = 0.1
_MAX_RESTARTS = 5
_RESTART_WINDOW_S = 60.0
_QUOTED_LINES = 5
_MAX_PORT = 65_535
_GUARD = Path(__file__).parent / "servers" / "guard.py"


@dataclass
class _Program:
    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)  # beside what all have
    process: subprocess.Popen[bytes] | None = None
    starts: list[float] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A running stack. ``check()`` raises ``ServiceUnavailable`` or ``ConfigurationError`` once a part is given up."""

    url: str
    logs: Path
    check: Callable[[], None]


@contextlib.contextmanager
def run_stack(settings: Settings, *, port: int | None = None) -> Iterator[Stack]:
    """Start everything, wait until it is ready, and stop it in order on leaving.

    ``port`` 0 picks a free one; ``None`` takes the setting. The processes end with this one however it ends.
    Raises ``ConfigurationError`` and ``ServiceUnavailable``, naming the log to look at.
    """
    from yeban.database.migrations import migrate  # noqa: PLC0415 - heavy
    from yeban.runtime.servers import open_servers  # noqa: PLC0415 - heavy, and most commands use a server that runs

    require_extras("web", "worker")
    with open_servers(settings) as endpoints:
        migrate(endpoints.database_url)
        _check_redis(endpoints.redis_url)
        free_port = _free_port(settings.host, settings.port if port is None else port)
        url = local_url(settings.host, free_port)
        programs = _Programs(settings, endpoints, free_port)
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


def _check_redis(url: str) -> None:
    from redis.exceptions import RedisError  # noqa: PLC0415 - heavy

    from yeban.messaging.queues import make_redis, redis_problem  # noqa: PLC0415 - heavy

    with make_redis(url) as redis:
        try:
            redis.ping()
        except RedisError as error:
            raise ServiceUnavailable(redis_problem(error)) from error


def running_url(settings: Settings) -> str | None:
    """The URL of a stack that another process runs on this data directory."""
    try:
        url = str(json.loads((settings.data_dir / _STATE).read_text(encoding="utf-8"))["url"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    from yeban.runtime.servers import running_endpoints  # noqa: PLC0415 - heavy

    if running_endpoints(settings) is None:
        return None
    try:
        with Client(url) as client:
            return url if client.readiness() is not None else None
    except InvalidRequest:  # no URL
        return None


class _Programs:
    """Starts the programs, restarts one that ends, stops them all; on one thread, since the kernel ties a
    process's death signal to the thread that started it."""

    def __init__(self, settings: Settings, endpoints: Endpoints, port: int) -> None:
        self.logs = settings.data_dir / "logs"
        self._stop_timeout_s = max(_MIN_STOP_S, settings.drain_s + _AFTER_DRAIN_S)
        self._environment = os.environ | {
            f"{PREFIX}DATA_DIR": str(settings.data_dir),
            f"{PREFIX}DATABASE_URL": endpoints.database_url,
            f"{PREFIX}REDIS_URL": endpoints.redis_url,
            f"{PREFIX}PORT": str(port),
            f"{PREFIX}MODEL": settings.model,
        }
        for secret in ("DATABASE_URL", "REDIS_URL"):
            self._environment.pop(f"{PREFIX}{secret}_FILE", None)
        self._programs = [
            _Program("web", python_command("web")),
            *(
                _Program(role, python_command("worker", "--role", role), _of_worker(settings, place, role))
                for place, role in enumerate((INTERACTIVE_ROLE, BULK_ROLE))
            ),
        ]
        self._stopping = threading.Event()
        self._failure: ConfigurationError | ServiceUnavailable | None = None
        self._thread = threading.Thread(target=self._run, name="stack", daemon=True)

    def start(self) -> None:
        try:
            self.logs.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                msg(
                    "Cannot write logs to %(logs)s: %(reason)s. Set YEBAN_DATA_DIR to a path of your own.",
                    logs=self.logs,
                    reason=error.strerror,
                )
            ) from error
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
            "argv": program.command,
            "parent": os.getpid(),
            "death_signal": int(signal.SIGTERM),
            "uid": None,
            "gid": None,
            "watch": not sys.platform.startswith("linux"),
        }
        with (self.logs / f"{program.name}.log").open("ab") as output:
            # A session of its own: Ctrl-C in a terminal is for us, and we then stop the programs in order.
            program.process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_GUARD), json.dumps(orders)],
                stdin=subprocess.PIPE if orders["watch"] else subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment | program.environment,
                start_new_session=True,
            )

    def _revive(self, program: _Program, status: int) -> None:
        now = time.monotonic()
        program.starts = [start for start in program.starts if now - start < _RESTART_WINDOW_S]
        log_file = self.logs / f"{program.name}.log"
        if status == EXIT_RECYCLED:  # as it should be; how often says nothing
            program.starts.clear()
        if status == EXIT_MISCONFIGURED or len(program.starts) > _MAX_RESTARTS:
            program.process = None
            kind = ConfigurationError if status == EXIT_MISCONFIGURED else ServiceUnavailable
            lines = _last_lines(log_file)
            self._failure = kind(
                msg(
                    "The %(program)s process cannot run. Its log (%(log)s) ends:\n%(lines)s",
                    program=program.name,
                    log=log_file,
                    lines=lines,
                )
                if status == EXIT_MISCONFIGURED
                else msg(
                    "The %(program)s process keeps ending. Its log (%(log)s) ends:\n%(lines)s",
                    program=program.name,
                    log=log_file,
                    lines=lines,
                ),
                log=str(log_file),
            )
            log.critical("process given up", extra={"program": program.name, "log": log_file})
            return
        level = logging.INFO if status == EXIT_RECYCLED else logging.ERROR
        log.log(level, "process ended, starting it again", extra={"program": program.name, "status": status})
        self._launch(program)

    def _stop_all(self) -> None:
        running = [program.process for program in self._programs if program.process is not None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + self._stop_timeout_s
        for process in running:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _of_worker(settings: Settings, place: int, role: str) -> dict[str, str]:
    """What two workers of one machine cannot share: the bulk worker has the next port, and each a file of its own."""
    own = {}
    if settings.metrics_port is not None:
        if settings.metrics_port + place > _MAX_PORT:
            raise ConfigurationError(
                msg(
                    "YEBAN_METRICS_PORT=%(metrics_port)s leaves no port for the second worker; set it to another.",
                    metrics_port=settings.metrics_port,
                )
            )
        own[f"{PREFIX}METRICS_PORT"] = str(settings.metrics_port + place)
    if settings.heartbeat_file is not None:
        own[f"{PREFIX}HEARTBEAT_FILE"] = f"{settings.heartbeat_file}.{role}"
    return own


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
            probe.bind((host.strip("[]"), port))
        except OSError as error:
            raise ServiceUnavailable(
                msg(
                    "Port %(port)s of %(host)s cannot be used (%(reason)s); set YEBAN_PORT or --port to another.",
                    port=port,
                    host=host,
                    reason=error.strerror,
                )
            ) from error
        return int(probe.getsockname()[1])


def _write(path: Path, state: dict[str, object]) -> None:
    draft = path.with_name(f"{path.name}.new")
    draft.write_text(json.dumps(state), encoding="utf-8")
    draft.replace(path)
