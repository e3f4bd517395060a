"""The stack of one machine: bundled servers, web and workers, as supervised processes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from yeban.client import Client, wait_until_ready
from yeban.errors import ConfigurationError, InvalidRequest, ServiceUnavailable, msg
from yeban.runtime.local_url import local_url
from yeban.runtime.process import SupervisedProcess
from yeban.runtime.programs import (
    BULK_ROLE,
    EXIT_MISCONFIGURED,
    EXIT_RECYCLED,
    INTERACTIVE_ROLE,
    python_command,
    require_extras,
)
from yeban.runtime.supervisor import Supervisor
from yeban.settings import PREFIX, Settings

if TYPE_CHECKING:
    from yeban.runtime.servers import Endpoints

_STATE = "stack.json"
_READY_TIMEOUT_S = 600.0  # the first start builds the model
_MIN_STOP_S = 45.0  # the web finishes its requests within 30
_AFTER_DRAIN_S = 15.0
_MAX_PORT = 65_535


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A running stack. ``check()`` raises ``ConfigurationError`` once a restart cannot help a part of it."""

    url: str
    logs: Path
    check: Callable[[], None]


@contextlib.contextmanager
def run_stack(settings: Settings, *, port: int | None = None) -> Iterator[Stack]:
    """Start everything, wait until it is ready, and stop it on exit.

    ``port`` 0 picks a free one; ``None`` uses the setting. The processes never outlive this one.
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
        logs = _make_logs(settings)
        supervisor = Supervisor(_programs(settings, endpoints, free_port, logs))
        supervisor.start()
        state = settings.data_dir / _STATE
        try:
            with Client(url) as client:
                wait_until_ready(client, _READY_TIMEOUT_S, partial(supervisor.check, starting=True))
            _write(state, {"url": url, "pid": os.getpid()})
            yield Stack(url=url, logs=logs, check=supervisor.check)
        finally:
            state.unlink(missing_ok=True)
            supervisor.stop()


def _check_redis(url: str) -> None:
    from redis.exceptions import RedisError  # noqa: PLC0415 - heavy

    from yeban.messaging.queues import make_redis, redis_problem  # noqa: PLC0415 - heavy

    with make_redis(url) as redis:
        try:
            redis.ping()
        except RedisError as error:
            raise ServiceUnavailable(redis_problem(error)) from error


def running_url(settings: Settings) -> str | None:
    """The URL of the stack that runs on this data directory, if any."""
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


class Program(SupervisedProcess):
    """A ``yeban`` process of the stack."""

    recycled_status = EXIT_RECYCLED
    hopeless_status = EXIT_MISCONFIGURED

    def __init__(
        self, name: str, command: list[str], environment: Mapping[str, str], *, logs: Path, stop_s: float
    ) -> None:
        """``stop_s`` is the time that the process has to stop, in seconds."""
        super().__init__(logs / f"{name}.log")
        self.title = f"The {name} process"
        self.stop_steps = ((signal.SIGTERM, stop_s),)
        self._command = command
        self._environment = environment

    def start(self, cancelled: threading.Event) -> None:  # noqa: ARG002 - readiness is that of the whole stack
        """Start the process without waiting for it."""
        self.mark_log()
        self._process = self.launch(self._command, environment=self._environment)


def _programs(settings: Settings, endpoints: Endpoints, port: int, logs: Path) -> list[Program]:
    environment = os.environ | {
        f"{PREFIX}DATA_DIR": str(settings.data_dir),
        f"{PREFIX}DATABASE_URL": endpoints.database_url,
        f"{PREFIX}REDIS_URL": endpoints.redis_url,
        f"{PREFIX}PORT": str(port),
        f"{PREFIX}MODEL": settings.model,
    }
    for secret in ("DATABASE_URL", "REDIS_URL"):
        environment.pop(f"{PREFIX}{secret}_FILE", None)
    stop_s = max(_MIN_STOP_S, settings.drain_s + _AFTER_DRAIN_S)
    workers = [
        Program(
            role,
            python_command("worker", "--role", role),
            environment | _worker_environment(settings, place, role),
            logs=logs,
            stop_s=stop_s,
        )
        for place, role in enumerate((INTERACTIVE_ROLE, BULK_ROLE))
    ]
    return [Program("web", python_command("web"), environment, logs=logs, stop_s=stop_s), *workers]


def _make_logs(settings: Settings) -> Path:
    logs = settings.data_dir / "logs"
    try:
        logs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            msg(
                "Cannot write logs to %(logs)s: %(reason)s. Set YEBAN_DATA_DIR to a folder you can write to.",
                logs=logs,
                reason=error.strerror,
            )
        ) from error
    return logs


def _worker_environment(settings: Settings, place: int, role: str) -> dict[str, str]:
    """Metrics port and heartbeat file of one worker: two on a machine cannot share them."""
    own = {}
    if settings.metrics_port is not None:
        if settings.metrics_port + place > _MAX_PORT:
            raise ConfigurationError(
                msg(
                    "YEBAN_METRICS_PORT=%(metrics_port)s leaves no port for the second worker. Set it to another port.",
                    metrics_port=settings.metrics_port,
                )
            )
        own[f"{PREFIX}METRICS_PORT"] = str(settings.metrics_port + place)
    if settings.heartbeat_file is not None:
        own[f"{PREFIX}HEARTBEAT_FILE"] = f"{settings.heartbeat_file}.{role}"
    return own


def _free_port(host: str, port: int) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), port))
        except OSError as error:
            raise ServiceUnavailable(
                msg(
                    "Cannot use port %(port)s of %(host)s (%(reason)s). Choose another port with YEBAN_PORT or --port.",
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
