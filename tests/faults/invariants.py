"""What must hold of every job after a run, seen from outside: through the API and in the run's own database."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import psycopg
from psycopg import sql

from tests.faults.predictable import expected_scores, fingerprint_of
from tests.faults.users import Asked, Users
from yeban.labels import LabelSet

_COMPLETED = ("completed", "completed_with_errors")
_MOST_TOLD = 20
_OF_JOBS = ("row", "chunk", "result", "embedding", "refined", "correction")


@dataclass
class Tally:
    """Counts over all jobs, and each violation in a sentence."""

    jobs: int = 0
    rows: int = 0
    scored: int = 0
    pending: int = 0  # of cancelled jobs
    lost: int = 0
    doubled: int = 0
    wrong: int = 0
    errors_expected: int = 0
    errors_found: int = 0
    refined: int = 0
    bisected: int = 0
    deleted: int = 0  # jobs
    told: int = 0  # ends, to a webhook
    received: int = 0  # messages, those that came again among them
    violations: list[str] = field(default_factory=list)

    def violation(self, what: str) -> None:
        self.violations.append(what)

    def add(self, other: Tally) -> None:
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


def check_jobs(connection: psycopg.Connection[dict[str, Any]], users: Users) -> Tally:
    """Check every job that was asked for, that there is no other, and that those deleted left nothing."""
    tally = Tally(deleted=len(users.deleted))
    # By the file: what is handed in at the page has a key that nobody chose.
    stored = {key_of(job): job for job in connection.execute("SELECT * FROM job ORDER BY id").fetchall()}
    count = connection.execute("SELECT count(*) AS jobs FROM job").fetchone()
    if count is None or count["jobs"] != len(stored):
        tally.doubled += 1
        tally.violation(f"{count} for {len(stored)} files")
    if strange := stored.keys() - users.asked.keys():
        tally.violation(f"jobs that nobody asked for: {sorted(strange)}")
    if missing := users.jobs.keys() - users.deleted.keys() - stored.keys():
        tally.lost += sum(len(users.asked[key].texts) for key in missing)
        tally.violation(f"jobs that were accepted and are gone: {sorted(missing)}")
    _check_deleted(connection, tally, users)
    _check_drafts(connection, tally)
    for key, asked in users.asked.items():
        if (job := stored.get(key)) is not None and job["deleted_at"] is None:
            tally.add(check_job(connection, job, asked, users))
    return tally


def key_of(job: dict[str, Any]) -> str:
    """The key of the file that a job was made of."""
    return str(job["source_name"]).removesuffix(".csv")


def _check_drafts(connection: psycopg.Connection[dict[str, Any]], tally: Tally) -> None:
    """Every draft became a job, and then went with all its parts; half a draft is none."""
    for draft in connection.execute("SELECT name, size_bytes FROM draft").fetchall():
        tally.violation(f"the draft {draft['name']} of {draft['size_bytes']} bytes is left")
    (parts,) = connection.execute("SELECT count(*) AS parts FROM draft_part").fetchall()
    if parts["parts"]:
        tally.violation(f"{parts['parts']} parts of drafts are left")


def is_purged(connection: psycopg.Connection[dict[str, Any]]) -> bool:
    """Whether no deleted job is left that is still to be removed."""
    return not connection.execute("SELECT FROM job WHERE deleted_at IS NOT NULL LIMIT 1").fetchall()


def _check_deleted(connection: psycopg.Connection[dict[str, Any]], tally: Tally, users: Users) -> None:
    """Neither the deleted jobs nor anything of a job that is gone may be left in any table."""
    left = connection.execute(
        "SELECT public_id, deleted_at FROM job WHERE deleted_at IS NOT NULL OR public_id = ANY(%s::uuid[])",
        [list(users.deleted.values())],
    ).fetchall()
    tally.violations += [f"job {job['public_id']} was deleted and is left ({job['deleted_at']})" for job in left]
    for table in _OF_JOBS:
        (orphans,) = connection.execute(
            sql.SQL(
                "SELECT count(*) AS rows FROM {} AS held WHERE NOT EXISTS (SELECT FROM job WHERE id = job_id)"
            ).format(sql.Identifier(table))
        ).fetchall()
        if orphans["rows"]:
            tally.violation(f"{orphans['rows']} rows of jobs that are gone are left in {table}")


def check_job(connection: psycopg.Connection[dict[str, Any]], job: dict[str, Any], asked: Asked, users: Users) -> Tally:
    """Check one job: its rows, chunks, results, counts and download."""
    tally = Tally(jobs=1, rows=len(asked.texts))
    name = f"job {job['public_id']} ({asked.key})"

    def rows_of(statement: str) -> list[dict[str, Any]]:
        return connection.execute(statement, {"id": job["id"]}).fetchall()

    texts = [row["text"] for row in rows_of('SELECT text FROM "row" WHERE job_id = %(id)s ORDER BY row_no')]
    if texts != list(asked.texts) or job["row_count"] != len(texts):
        tally.violation(f"{name}: its rows are not those of the file ({len(texts)} of {len(asked.texts)})")
    chunks = rows_of("SELECT * FROM chunk WHERE job_id = %(id)s ORDER BY first_row")
    _check_chunks(tally, name, chunks, len(asked.texts))
    results = rows_of("SELECT * FROM result WHERE job_id = %(id)s ORDER BY row_no")
    _check_results(tally, name, job, results, asked)
    complete = job["state"] in _COMPLETED
    missing = len(asked.texts) - len({result["row_no"] for result in results})
    if complete and missing:
        tally.lost += missing
        tally.violation(f"{name}: {missing} rows have no result")
    if job["state"] == "cancelled":
        tally.pending += missing
    elif not complete:
        tally.violation(f"{name}: ended {job['state']} ({job['error']})")
    if complete and not missing:
        _check_end(tally, name, job, results, rows_of("SELECT * FROM refined WHERE job_id = %(id)s ORDER BY row_no"))
        if asked.refine:
            _check_embeddings(tally, name, chunks, rows_of("SELECT first_row FROM embedding WHERE job_id = %(id)s"))
    _check_api(tally, name, str(job["public_id"]), results, asked, users, complete=complete)
    return tally


def _check_chunks(tally: Tally, name: str, chunks: Sequence[dict[str, Any]], rows: int) -> None:
    next_row = 1
    for chunk in chunks:
        if chunk["first_row"] != next_row or chunk["last_row"] < chunk["first_row"]:
            tally.violation(
                f"{name}: a chunk has rows {chunk['first_row']} to {chunk['last_row']}, not from {next_row}"
            )
        next_row = chunk["last_row"] + 1
        if chunk["state"] == "leased" or chunk["lease_token"] is not None:
            tally.violation(f"{name}: chunk {chunk['id']} is still leased")
    if next_row != rows + 1:
        tally.violation(f"{name}: its chunks end at row {next_row - 1} of {rows}")
    tally.bisected += sum(1 for chunk in chunks if 0 < chunk["last_row"] - chunk["first_row"] + 1 < 8) - (rows % 8 > 0)


def _check_results(
    tally: Tally, name: str, job: dict[str, Any], results: Sequence[dict[str, Any]], asked: Asked
) -> None:
    numbers = [result["row_no"] for result in results]
    tally.doubled += len(numbers) - len(set(numbers))
    tally.scored += len(numbers)
    if numbers and job["model_fingerprint"] != fingerprint_of(asked.model):
        tally.violation(f"{name}: pinned to {job['model_fingerprint']}, which is not {asked.model}")
    label_set = LabelSet.from_json(job["label_set"])
    must_fail = asked.errors
    for result in results:
        row_no = result["row_no"]
        if row_no in must_fail:
            tally.errors_expected += 1
        if result["status"] == "error":
            tally.errors_found += 1
            if row_no not in must_fail or not result["error"] or result["scores"] is not None:
                tally.wrong += 1
                tally.violation(f"{name}: row {row_no} is an error ({result['error']}) and ought not to be")
            continue
        scores = expected_scores(asked.model, asked.labels, asked.texts[row_no - 1])
        decision = label_set.decide(scores)
        found = (result["status"], result["label"], result["scores"])
        if row_no in must_fail or found != (decision.status.value, decision.best, _as_stored(scores)):
            tally.wrong += 1
            tally.violation(f"{name}: row {row_no} has {found}, which is not its own result")


def _check_end(
    tally: Tally,
    name: str,
    job: dict[str, Any],
    results: Sequence[dict[str, Any]],
    refined: Sequence[dict[str, Any]],
) -> None:
    final = {result["row_no"]: result["status"] for result in results} | {
        row["row_no"]: row["status"] for row in refined
    }
    counts = {status: sum(value == status for value in final.values()) for status in ("ok", "abstained", "error")}
    summary = job["summary"] or {}
    told = {"ok": summary.get("ok"), "abstained": summary.get("abstained"), "error": summary.get("errors")}
    if told != counts or summary.get("rows") != len(results):
        tally.violation(f"{name}: the summary says {told} and the rows are {counts}")
    scored = [result["row_no"] for result in results if result["status"] != "error"]
    report = job["refinement"]
    if report is not None and report["state"] == "done":
        tally.refined += 1
        if [row["row_no"] for row in refined] != scored:
            tally.violation(f"{name}: {len(refined)} refined rows for {len(scored)} scored ones")
    elif refined:
        tally.violation(f"{name}: {len(refined)} refined rows though its refinement is {report}")
    if job["ender_token"] is not None:
        tally.violation(f"{name}: somebody still holds its end")


def _check_embeddings(
    tally: Tally, name: str, chunks: Sequence[dict[str, Any]], embeddings: Sequence[dict[str, Any]]
) -> None:
    """The embeddings of each chunk with a scored row are kept, whatever is removed of other jobs."""
    wanted = {chunk["first_row"] for chunk in chunks if chunk["ok"] or chunk["abstained"]}
    missing = wanted - {embedding["first_row"] for embedding in embeddings}
    if missing:
        tally.violation(f"{name}: {len(missing)} chunks have no embeddings")


def _check_api(
    tally: Tally,
    name: str,
    job_id: str,
    results: Sequence[dict[str, Any]],
    asked: Asked,
    users: Users,
    *,
    complete: bool,
) -> None:
    progress = users.api.call("GET", f"/jobs/{job_id}").json()["progress"]
    by_status = sum(progress[status] for status in ("ok", "abstained", "errors"))
    if progress["done"] != len(results) or by_status != len(results) or progress["rows"] != len(asked.texts):
        tally.violation(f"{name}: progress says {progress} with {len(results)} results")
    text = users.api.call("GET", f"/jobs/{job_id}/results.csv", params={"bom": "false"}).text
    rows = list(csv.DictReader(io.StringIO(text)))
    if [row["number"] for row in rows] != [str(row) for row in range(1, len(asked.texts) + 1)]:
        tally.violation(f"{name}: the download has {len(rows)} rows of {len(asked.texts)}, or not in order")
    if [row["text"] for row in rows] != list(asked.texts):
        tally.violation(f"{name}: the download has other texts than the file")
    pending = sum(row["yeban_status"] == "pending" for row in rows)
    if complete and pending:
        tally.violation(f"{name}: the download has {pending} pending rows")


def _as_stored(scores: Sequence[float]) -> list[float]:
    return [float(str(np.float32(score))) for score in scores]


def told(violations: Sequence[str]) -> list[str]:
    """The first violations, and how many more there are."""
    more = len(violations) - _MOST_TOLD
    return [*violations[:_MOST_TOLD], *([f"… and {more} more"] if more > 0 else [])]
