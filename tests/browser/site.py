"""The service as a person starts it, for a browser to look at."""

from __future__ import annotations

import re
import shutil
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.conftest import Yeban
from tests.fixtures.waiting import wait_until


@dataclass(frozen=True, kw_only=True)
class Site:
    """A running service."""

    url: str

    def job(self, file: Path, labels: Sequence[str], **fields: str) -> str:
        """Hand a file in as a program does, and return the id of its job once it has ended."""
        with file.open("rb") as content:
            made = httpx.post(
                f"{self.url}/api/v1/jobs",
                files={"file": (file.name, content)},
                data={"labels": ",".join(labels), **fields},
            )
        assert made.status_code == 201, made.text
        job_id = str(made.json()["id"])
        wait_until(lambda: str(self.look_at(job_id)["state"]).startswith("completed"), what="the end of the job")
        return job_id

    def look_at(self, job_id: str) -> Any:
        """What the API tells of a job."""
        return httpx.get(f"{self.url}/api/v1/jobs/{job_id}").raise_for_status().json()


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
        with yeban.start("up", "--port", "0") as process:
            ready = wait_until(
                lambda: process.poll() is not None or re.search(r"ready: (http://\S+)", yeban.said("stderr")),
                timeout_s=60,
                what="a ready server",
            )
            assert isinstance(ready, re.Match), yeban.said("stderr")
            yield Site(url=ready[1])
            process.send_signal(signal.SIGTERM)
            assert process.wait(40) == 0, yeban.said("stderr")
    finally:
        shutil.rmtree(data_dir)
