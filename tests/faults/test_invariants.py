"""The invariants find each way in which a job can go wrong; otherwise a clean run would mean nothing."""

from __future__ import annotations

import pytest


def test_a_job_that_went_well_has_no_violation(check, tagged):
    tally = check()
    assert tally.violations == []
    assert (tally.jobs, tally.rows, tally.scored, tally.lost, tally.doubled, tally.wrong) == (1, 60, 60, 0, 0, 0)
    assert tally.errors_found == tally.errors_expected == len(tagged.asked.errors) > 1


_OK_ROW = "(SELECT min(row_no) FROM result WHERE status <> 'error')"
_REASON = '{"id": "gone", "parameters": {}}'

TAMPERINGS = {
    "a result is lost": "DELETE FROM result WHERE row_no = OK_ROW",
    "a result has another's scores": "UPDATE result SET scores = (SELECT scores FROM result WHERE status <> 'error'"
    " ORDER BY row_no DESC LIMIT 1) WHERE row_no = OK_ROW",
    "a result has another label": "UPDATE result SET label = 1 - sign(label) WHERE row_no = OK_ROW",
    "a good row is an error": "UPDATE result SET status = 'error', error = 'REASON', scores = NULL"
    " WHERE row_no = OK_ROW",
    "a poison row has a result": "UPDATE result SET status = 'ok', label = 0, scores = '{1}' WHERE status = 'error'",
    "an error without a reason": "UPDATE result SET error = NULL WHERE status = 'error'",
    "a row has another text": "UPDATE \"row\" SET text = 'foreign' WHERE row_no = 7",
    "a row is gone": 'DELETE FROM "row" WHERE row_no = 60',
    "a chunk is gone": "DELETE FROM chunk WHERE first_row = (SELECT max(first_row) FROM chunk)",
    "chunks overlap": "UPDATE chunk SET last_row = last_row + 1 WHERE first_row = 1",
    "a chunk counts wrongly": "UPDATE job SET summary = NULL; UPDATE chunk SET ok = ok + 1 WHERE first_row = 1",
    "a lease is left": "UPDATE chunk SET lease_token = gen_random_uuid() WHERE first_row = 1",
    "the summary counts wrongly": "UPDATE job SET summary = jsonb_set(summary, '{ok}', '1')",
    "another model": "UPDATE job SET model_fingerprint = 'another'",
    "not ended": "UPDATE job SET state = 'running'",
    "failed": "UPDATE job SET state = 'failed', error = 'REASON'",
    "its end is held": "UPDATE job SET ender_token = gen_random_uuid()",
    "refined in part": "INSERT INTO refined SELECT job_id, row_no, status, label, score, margin FROM result"
    " WHERE row_no = OK_ROW",
    "embeddings are gone": "DELETE FROM embedding WHERE first_row = 9",
    "a job is gone": "DELETE FROM job",
    "a job that nobody asked for": "UPDATE job SET source_name = 'strange.csv'",
    "a draft is left": "INSERT INTO draft (name, sha256, size_bytes) VALUES ('a.csv', '', 0)",
}


@pytest.mark.parametrize("statements", TAMPERINGS.values(), ids=TAMPERINGS.keys())
def test_a_violation_is_found(check, work, statements):
    for statement in statements.split("; "):
        work.execute(statement.replace("OK_ROW", _OK_ROW).replace("REASON", _REASON))
    assert check().violations


def test_lost_and_wrong_rows_are_counted(check, work):
    work.execute("DELETE FROM result WHERE row_no IN (SELECT row_no FROM result WHERE status <> 'error' LIMIT 3)")
    work.execute(TAMPERINGS["a result has another label"].replace("OK_ROW", _OK_ROW))
    tally = check()
    assert (tally.lost, tally.wrong) == (3, 1)


def test_a_deleted_job_must_be_gone(check, tagged, work):
    tagged.users.deleted |= tagged.users.jobs
    work.execute("UPDATE job SET deleted_at = now(), idempotency_key = NULL")
    assert any("was deleted and is left" in violation for violation in check().violations)
    work.execute("DELETE FROM job")
    assert check().violations == []


@pytest.mark.parametrize("table", ["row", "chunk", "result", "embedding"])
def test_a_deleted_job_must_leave_nothing(check, tagged, work, table):
    tagged.users.deleted |= tagged.users.jobs
    constraints = work.column(
        "SELECT conname FROM pg_constraint WHERE contype = 'f' AND conrelid = CAST(:table AS regclass)",
        table=f'"{table}"',
    )
    for constraint in constraints:
        work.execute(f'ALTER TABLE "{table}" DROP CONSTRAINT {constraint}')
    work.execute("DELETE FROM job")
    (violation,) = check().violations
    assert violation.endswith(f"rows of jobs that are gone are left in {table}")
