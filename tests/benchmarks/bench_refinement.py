"""The end of a large job: refining and storing 100,000 rows, and more with ``--rows``, from what the database keeps.

Rows, scores and embeddings are made from those of the sample tickets by adding noise, and stored as a worker stores
them; the time is that of :class:`~worker.tasks.finish_job.JobFinisher`, from the call to the committed end.
"""

from __future__ import annotations

import resource
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from sqlalchemy import text

from tests.benchmarks.harness import Measured, Target, bench_settings, report
from tests.benchmarks.texts import distinct, tickets, write_csv
from worker.engine import Batch, open_classifier
from worker.refinement.vectors import pack
from worker.tasks.finish_job import JobFinisher
from worker.tasks.models import Models
from yeban.accounts.viewer import UNRESTRICTED
from yeban.chunks import leases, outcomes
from yeban.chunks.outcomes import ChunkOutcome, Embedded, RowResult
from yeban.database.engine import Database
from yeban.database.migrations import migrate
from yeban.jobs.creation import NewJob, create_job
from yeban.jobs.views import get_job
from yeban.labels import LabelSet
from yeban.results import refinement_data
from yeban.runtime.servers import open_servers
from yeban.tabular import ReadOptions, open_table

ROUNDS = 3
LABELS = (
    "物流配送,退款退货,软件故障,产品咨询,账号登录,账单支付,优惠活动,发票,服务投诉,表扬感谢,安装调试,维修保养,质量问题,缺货补货,"
    "订单修改,会员积分,隐私安全,门店自提,海外购,以旧换新"
)
_TARGET_S = 10.0
_CHUNK_ROWS = 128
_STORED_AT_ONCE = 64


def main() -> None:
    """Make a job of ``--rows`` rows and end it several times."""
    row_count = int(sys.argv[sys.argv.index("--rows") + 1]) if "--rows" in sys.argv else 100_000
    with bench_settings(log_level="WARNING") as settings, open_servers(settings) as endpoints:
        migrate(endpoints.database_url)
        database = Database(endpoints.database_url)
        ender = JobFinisher(database=database, models=Models(_no_model))
        public_id = _make(database, row_count, settings.data_dir, settings.model_dir)
        seconds = []
        for _ in range(ROUNDS + 1):
            job = get_job(database, public_id, viewer=UNRESTRICTED)
            started = time.perf_counter()
            if not ender(job.internal_id):
                raise SystemExit("the job could not be ended")
            seconds.append(time.perf_counter() - started)
            refinement = get_job(database, public_id, viewer=UNRESTRICTED).refinement
            if refinement is None or refinement.state != "done":
                raise SystemExit(f"not refined: {refinement}")
            refinement_data.ask_again(database, public_id, viewer=UNRESTRICTED)
        with database.begin() as connection:
            stored = connection.scalar(text("SELECT pg_total_relation_size('embedding')"))
        database.close()
    measured = Measured(tuple(seconds[1:]))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    report(
        "refinement",
        f"A job of {row_count:,} rows and {len(LabelSet.of(LABELS))} labels, ended {ROUNDS} times after a first one: "
        "median (least–most). Texts are sample tickets with a number, embeddings and scores those of the ticket with "
        "noise. Timed are reading, learning, deciding, storing and the summary, with PostgreSQL on the same cores.",
        ["what", "measured"],
        [
            ["seconds to the committed end", str(measured)],
            ["rows/s", f"{row_count / measured.median:,.0f}"],
            ["peak memory of the process, the making of the job included, MB", f"{peak_mb:,.0f}"],
            ["embeddings in the database, bytes a row", f"{int(stored or 0) / row_count:,.0f}"],
        ],
        [
            Target(
                f"≤ {_TARGET_S:g} s for 100,000 rows and 20 labels", measured.median <= _TARGET_S * row_count / 100_000
            )
        ],
    )


def _no_model(name: str) -> object:
    raise AssertionError(f"no model is needed, {name} was asked for")


def _make(database: Database, row_count: int, folder: Path, model_dir: Path) -> uuid.UUID:
    label_set = LabelSet.of(LABELS)
    file = folder / "made.csv"
    write_csv(file, distinct(row_count, "r"))
    new = NewJob(
        label_set=label_set,
        model="e5-small",
        source_name="made.csv",
        source_sha256="0" * 64,
        chunk_rows=_CHUNK_ROWS,
        owner="",
        team="",
    )
    read = ReadOptions(text_column="text")
    with file.open("rb") as source, open_table(source, file.name, read) as table:
        public_id = create_job(database, new, table, "0" * 64).public_id
    job_id = get_job(database, public_id, viewer=UNRESTRICTED).internal_id
    with database.begin() as connection:
        chunk_ids = list(
            connection.scalars(text("SELECT id FROM chunk WHERE job_id = :id ORDER BY id"), {"id": job_id})
        )
    made = _made(label_set, row_count, model_dir)
    worker = uuid.uuid4()
    for first in range(0, len(chunk_ids), _STORED_AT_ONCE):
        claimed = leases.claim(database, chunk_ids[first : first + _STORED_AT_ONCE], worker_id=worker, lease_s=600)
        outcomes.finish_chunks(database, [_outcome(lease, label_set, *next(made)) for lease in claimed])
    return public_id


def _made(label_set: LabelSet, row_count: int, model_dir: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Vectors and scores of chunk after chunk."""
    classifier = open_classifier("e5-small", model_dir=model_dir)
    sample = tickets()
    scored = classifier.score([Batch(texts=tuple(sample), label_set=label_set, embed=True)])
    vectors, scores = scored.vectors[0], scored.scores[0]
    random = np.random.default_rng(0)
    for first in range(0, row_count, _CHUNK_ROWS):
        at = np.arange(first, min(first + _CHUNK_ROWS, row_count)) % len(sample)
        near = vectors[at] + 0.02 * random.standard_normal((len(at), vectors.shape[1]))
        logits = np.log(scores[at] + 1e-6) + 0.5 * random.standard_normal((len(at), len(label_set)))
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        yield near / np.linalg.norm(near, axis=1, keepdims=True), weights / weights.sum(axis=1, keepdims=True)


def _outcome(lease: leases.Lease, label_set: LabelSet, vectors: np.ndarray, scores: np.ndarray) -> ChunkOutcome:
    results = []
    for row_no, row in zip(range(lease.first_row, lease.last_row + 1), np.round(scores, 6).tolist(), strict=True):
        decision = label_set.decide(row)
        results.append(RowResult(row_no, decision.status, decision.best, decision.score, decision.margin, row))
    return ChunkOutcome(
        lease=lease, results=results, embedded=Embedded(encoder="made", vectors=pack(vectors.astype(np.float32)))
    )


if __name__ == "__main__":
    main()
