"""A whole stack on servers with passwords, and every place where one might be seen."""

from __future__ import annotations

import re
import signal
from pathlib import Path

from sqlalchemy import make_url

from tests.e2e.conftest import Yeban
from tests.fixtures.waiting import wait_until

SECRET = "Gehe1m-7Zq"


def test_nothing_of_a_running_stack_shows_a_password(yeban: Yeban, database_url: str, redis_url: str) -> None:
    path = redis_url.partition("://")[2]
    secrets = {
        "YEBAN_DATABASE_URL": make_url(database_url).set(password=SECRET).render_as_string(hide_password=False),
        "YEBAN_REDIS_URL": f"unix://default:{SECRET}@{path}",
        "YEBAN_LOG_LEVEL": "DEBUG",
    }

    with yeban.start("up", "--port", "0", **secrets) as process:
        wait_until(
            lambda: process.poll() is not None or re.search(r"ready: http://\S+", yeban.said("stderr")),
            timeout_s=300,
            what="a ready server",
        )
        url = yeban.running_url()
        assert url is not None, yeban.said("stderr")
        answered = yeban.run("classify", "包裹三天没动了", "--labels", "物流,退款", "--server", url)
        doctor = yeban.run("doctor", **secrets)
        commands = yeban.processes()
        while_running = _files_with_the_secret(yeban.data_dir)
        assert (yeban.data_dir / "stack.json").is_file()
        process.send_signal(signal.SIGTERM)
        assert process.wait(180) == 0

    assert answered.returncode == 0, answered.stderr
    assert len(commands) >= 4
    assert not any(SECRET in command for command in commands)
    assert SECRET not in yeban.said("stdout") + yeban.said("stderr")
    assert SECRET not in doctor.stdout + doctor.stderr
    assert not while_running
    assert not _files_with_the_secret(yeban.data_dir)
    assert {"web.log", "bulk.log", "interactive.log"} <= {file.name for file in _files(yeban.data_dir)}


def _files_with_the_secret(folder: Path) -> list[Path]:
    return [file for file in _files(folder) if SECRET.encode() in file.read_bytes()]


def _files(folder: Path) -> list[Path]:
    """What the stack has written, logs above all; not the model, which is a link."""
    return [file for file in folder.rglob("*") if file.is_file() and "models" not in file.parts]
