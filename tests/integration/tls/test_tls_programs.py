"""Every program on servers with TLS: those it can verify are used, others are refused in words for a person."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.fixtures.fake_classifier import FakeClassifier
from tests.fixtures.jobs import Work
from tests.fixtures.tls import PASSWORD, QUOTED_PASSWORD, Certificate, Certificates, TlsServer
from tests.fixtures.waiting import wait_until
from web.app import create_app
from worker.lifecycle import WorkerProcess
from yeban.chunks import hints
from yeban.database.engine import Database
from yeban.database.migrations import migrate
from yeban.errors import ServiceUnavailable
from yeban.messaging.queues import TaskSender
from yeban.runtime.programs import ROLES, Role
from yeban.runtime.servers import Endpoints
from yeban.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
BAD = ("good by a stranger", "elsewhere", "expired")


@dataclass(frozen=True)
class Urls:
    database: str
    redis: str


@dataclass(frozen=True)
class Servers:
    good: Urls
    bad: dict[str, Urls]


@pytest.fixture(scope="module")
def urls(
    tls_postgres: Callable[[Certificate], TlsServer], tls_redis: Callable[..., TlsServer], certificates: Certificates
) -> Servers:
    def of(certificate: Certificate, ca: Path) -> Urls:
        return Urls(
            database=tls_postgres(certificate).database_url(sslrootcert=ca),
            redis=tls_redis(certificate).redis_url(ssl_ca_certs=ca),
        )

    made = Servers(
        good=of(certificates.good, certificates.ca),
        bad={
            "good by a stranger": of(certificates.good, certificates.stranger),
            "elsewhere": of(certificates.elsewhere, certificates.ca),
            "expired": of(certificates.expired, certificates.ca),
        },
    )
    migrate(made.good.database)
    return made


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a program of ours to its end; nothing it says may hold the password."""

    def run(module: str, *arguments: str, database: str, redis: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("YEBAN_")}
        environment |= {"YEBAN_DATABASE_URL": database, "YEBAN_REDIS_URL": redis, "YEBAN_DATA_DIR": str(tmp_path)}
        ended = subprocess.run(
            [sys.executable, "-P", "-m", module, *arguments],
            cwd=ROOT,
            env=environment | {"PYTHONPATH": str(ROOT), "YEBAN_LOG_LEVEL": "DEBUG"},
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        for secret in (PASSWORD, QUOTED_PASSWORD):
            assert secret not in ended.stdout + ended.stderr
        return ended

    return run


@pytest.fixture
def worker(urls: Servers, tmp_path: Path) -> Iterator[Path]:
    """A bulk worker with the fake model, on the good servers; what it logs."""
    log = tmp_path / "worker.log"
    environment = os.environ | {
        "YEBAN_DATABASE_URL": urls.good.database,
        "YEBAN_REDIS_URL": urls.good.redis,
        "YEBAN_LOG_LEVEL": "DEBUG",
        "YEBAN_SWEEP_INTERVAL_S": "0.3",
        "YEBAN_BULK_NICE": "0",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.fixtures.fake_worker", "bulk", "0", "1"],
            env=environment,
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    yield log
    process.terminate()
    assert process.wait(180) == 0


def test_a_job_is_tagged_over_tls(urls: Servers, worker: Path) -> None:
    database = Database(urls.good.database)
    sender = TaskSender.connect("test", Settings(), urls.good.redis)
    work = Work(database)
    job = work.job(40)
    hints.top_up(database, sender)

    wait_until(lambda: work.view(job).state == "completed", what="the job's end")

    assert len(work.results(job)) == 40
    sender.close()
    database.close()
    assert PASSWORD not in worker.read_text()


def test_migrate_refuses_the_database(urls: Servers, run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    ended = run("yeban.cli", "migrate", database=urls.bad["expired"].database, redis=urls.good.redis)

    assert ended.returncode == 5
    assert ended.stderr.startswith("yeban: Cannot make a trusted TLS connection to the database: ")


def test_a_backup_goes_over_tls_and_so_does_the_restore(
    urls: Servers, run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    file = tmp_path / "yeban.dump"
    database = Database(urls.good.database)
    Work(database).completed(3)

    written = run("yeban.cli", "backup", str(file), database=urls.good.database, redis=urls.good.redis)
    assert written.returncode == 0, written.stderr
    with database.begin() as connection:
        connection.execute(text("UPDATE job SET deleted_at = now()"))  # so that there is room
    database.close()
    read = run("yeban.cli", "restore", str(file), database=urls.good.database, redis=urls.good.redis)

    assert read.returncode == 0, read.stderr
    assert read.stdout.startswith("Restored ")


@pytest.mark.parametrize("bad", BAD)
def test_a_backup_from_a_server_that_cannot_be_verified_is_refused(
    urls: Servers, run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, bad: str
) -> None:
    file = tmp_path / "yeban.dump"

    ended = run("yeban.cli", "backup", str(file), database=urls.bad[bad].database, redis=urls.good.redis)

    assert ended.returncode == 5
    assert "certificate" in ended.stderr
    assert not file.exists()


def test_a_restore_into_a_server_that_cannot_be_verified_is_refused(
    urls: Servers, run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    file = tmp_path / "yeban.dump"
    file.write_bytes(b"PGDMP")

    ended = run("yeban.cli", "restore", str(file), database=urls.bad["expired"].database, redis=urls.good.redis)

    assert ended.returncode == 5
    assert ended.stderr.startswith("yeban: Cannot make a trusted TLS connection to the database: ")


def test_a_worker_ends_with_the_reason(urls: Servers, run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    ended = run("yeban.cli", "worker", "--role", "bulk", database=urls.good.database, redis=urls.bad["elsewhere"].redis)

    assert ended.returncode == 5
    assert "Redis: its certificate was refused: Hostname mismatch" in ended.stderr


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("role", ROLES)
def test_a_worker_refuses_either_server(urls: Servers, role: Role, bad: str) -> None:
    good, wrong = urls.good, urls.bad[bad]

    for database, redis, what in (
        (wrong.database, good.redis, "Cannot make a trusted TLS connection to the database"),
        (good.database, wrong.redis, "its certificate was refused"),
    ):
        endpoints = Endpoints(database_url=database, redis_url=redis)
        process = WorkerProcess(role, Settings(), endpoints, open_model=lambda _name: FakeClassifier())
        with pytest.raises(ServiceUnavailable, match=what):
            process.run()
        process._leave()


def test_doctor_refuses_both(urls: Servers, run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    ended = run("yeban.cli", "doctor", database=urls.bad["expired"].database, redis=urls.bad["expired"].redis)

    assert ended.returncode == 5
    assert "PostgreSQL: Cannot make a trusted TLS connection to the database" in ended.stdout
    assert "TLS connection to Redis: its certificate was refused: certificate has expired" in ended.stdout


@pytest.mark.parametrize("bad", BAD)
def test_the_web_is_not_ready_and_says_why(urls: Servers, tmp_path: Path, bad: str) -> None:
    app = create_app(Settings(data_dir=tmp_path), urls.bad[bad].database, urls.bad[bad].redis)

    answer = app.test_client().get("/readyz")
    asked = app.test_client().post("/api/v1/classify", json={"text": "退款", "labels": ["退款", "物流"]})
    app.extensions["yeban"].close()

    assert (answer.status_code, asked.status_code) == (503, 503)
    parts = answer.get_json()["checks"]
    assert "Cannot make a trusted TLS connection to the database" in parts["database"]["detail"]
    assert "its certificate was refused" in parts["redis"]["detail"]
    assert PASSWORD not in answer.text + asked.text
