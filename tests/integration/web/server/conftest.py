"""The server as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

REPOSITORY = Path(__file__).resolve().parents[4]
PATIENCE_S = 120.0


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "yeban.cli", "web", *arguments]


@pytest.fixture
def environment(database_url: str, redis_url: str, tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("YEBAN_")}
    return {
        **kept,
        "YEBAN_DATABASE_URL": database_url,
        "YEBAN_REDIS_URL": redis_url,
        "YEBAN_DATA_DIR": str(tmp_path),
        "YEBAN_MAX_UPLOAD_MB": "8",
    }


@pytest.fixture
def serve(environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Start the server and wait until it says where it is; returns the process, its ready file and a client."""
    processes: list[subprocess.Popen[str]] = []
    clients: list[httpx.Client] = []

    def start(**changes: str) -> tuple[subprocess.Popen[str], Path, httpx.Client]:
        ready = tmp_path / "ready.json"
        process = subprocess.Popen(
            command("--port", "0", "--ready-file", str(ready)),
            env={**environment, **changes},
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        processes.append(process)
        said = []
        while not said or "Yeban is at" not in said[-1]:
            said.append(process.stdout.readline())
            assert said[-1], "".join(said)
        clients.append(httpx.Client(base_url=json.loads(ready.read_text())["url"], timeout=PATIENCE_S, trust_env=False))
        return process, ready, clients[-1]

    yield start
    for client in clients:
        client.close()
    for process in processes:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=PATIENCE_S)
