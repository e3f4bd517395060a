"""The service as a person starts it, for a browser to look at."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.conftest import Yeban
from tests.fixtures.waiting import wait_until

#: How long an answer may take, in seconds, on a machine that is slow or stands still for a while.
HTTP_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Site:
    """A running service."""

    url: str
    data_dir: Path

    def job(self, file: Path, labels: Sequence[str], **fields: str) -> str:
        """Hand a file in as a program does, and return the id of its job."""
        with file.open("rb") as content:
            made = httpx.post(
                f"{self.url}/api/v1/jobs",
                files={"file": (file.name, content)},
                data={"labels": ",".join(labels), **fields},
                timeout=HTTP_S,
            )
        assert made.status_code == 201, made.text
        return str(made.json()["id"])

    def ended_job(self, file: Path, labels: Sequence[str], **fields: str) -> str:
        """As :meth:`job`, once it has ended."""
        job_id = self.job(file, labels, **fields)
        wait_until(
            lambda: str(self.look_at(job_id)["state"]).startswith("completed"),
            timeout_s=180,
            what="the end of the job",
        )
        return job_id

    def look_at(self, job_id: str) -> Any:
        """What the API tells of a job."""
        return httpx.get(f"{self.url}/api/v1/jobs/{job_id}", timeout=HTTP_S).raise_for_status().json()


@contextmanager
def running_site(model_dir: Path, folder: Path | None = None) -> Iterator[Site]:
    """``yeban up`` on a data directory of its own under ``folder``, with the models that are in ``model_dir``."""
    # Not under pytest's base folder: that one is closed to the account the servers run as under root.
    data_dir = Path(tempfile.mkdtemp(prefix="yeban-browser-", dir=folder))
    data_dir.chmod(0o711)
    (data_dir / "models").symlink_to(model_dir)
    work_dir = data_dir / "work"
    work_dir.mkdir()
    yeban = Yeban(data_dir, work_dir)
    try:
        # The browser, too, is a heavy program, and what it waits for is not to come after it.
        with yeban.start("up", "--port", "0", YEBAN_BULK_NICE="0") as process:
            ready = wait_until(
                lambda: process.poll() is not None or re.search(r"ready: (http://\S+)", yeban.said("stderr")),
                timeout_s=300,
                what="a ready server",
            )
            assert isinstance(ready, re.Match), yeban.said("stderr")
            yield Site(url=ready[1], data_dir=data_dir)
            process.send_signal(signal.SIGTERM)
            assert process.wait(120) == 0, yeban.said("stderr")
    finally:
        shutil.rmtree(data_dir)


@contextmanager
def with_accounts(site: Site, password: str) -> Iterator[Site]:
    """A web server beside that of ``site``, which asks who it is; ``admin`` has that password."""
    work_dir = site.data_dir / "with-accounts"
    work_dir.mkdir()
    ready = work_dir / "ready.json"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("YEBAN_")}
    own = {"YEBAN_DATA_DIR": str(site.data_dir), "YEBAN_ACCOUNTS": "true", "YEBAN_ADMIN_PASSWORD": password}
    command = [sys.executable, "-P", "-m", "yeban.cli", "web", "--port", "0", "--ready-file", str(ready)]
    with (
        (work_dir / "log").open("w") as log,
        subprocess.Popen(command, cwd=work_dir, env=kept | own, stdout=log, stderr=log) as process,
    ):
        try:
            wait_until(lambda: process.poll() is not None or ready.exists(), timeout_s=180, what="a ready server")
            assert process.poll() is None, (work_dir / "log").read_text(encoding="utf-8")
            url = json.loads(ready.read_text(encoding="utf-8"))["url"]
            yield Site(url=url, data_dir=site.data_dir)
        finally:
            process.terminate()
