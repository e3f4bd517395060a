"""Rows/s of the whole pipeline beside the classifier alone, on the same rows in the same run."""

from __future__ import annotations

import time
from pathlib import Path

from tests.benchmarks.harness import LABELS, Measured, Target, bench_settings, report
from tests.benchmarks.jobs import await_end, submit
from tests.benchmarks.texts import distinct, repeating, write_csv
from worker.engine import Batch, open_classifier
from yeban.client import Client
from yeban.labels import LabelSet
from yeban.runtime.stack import Stack, run_stack
from yeban.settings import Settings

ROUNDS = 5
ROWS = 12_000
CACHED_ROWS = 60_000


def main() -> None:
    """Alternate the two, so that a change of the machine's mood meets both."""
    with bench_settings(log_level="WARNING") as settings, run_stack(settings, port=0) as stack:
        classifier = open_classifier(settings.model, model_dir=settings.model_dir)
        classifier.warm_up()
        alone, whole, whole_cached = [], [], []
        with Client(stack.url) as client:
            _job(stack, client, settings.data_dir, list(distinct(2_000, "warm")))
            _job(stack, client, settings.data_dir, list(repeating(2_000)))
            for number in range(ROUNDS):
                texts = list(distinct(ROWS, f"r{number}-"))
                alone.append(_alone(classifier, settings, texts))
                whole.append(_job(stack, client, settings.data_dir, texts))
                whole_cached.append(_job(stack, client, settings.data_dir, list(repeating(CACHED_ROWS))))
    share = Measured(tuple(b / a for a, b in zip(alone, whole, strict=True)))
    cached = Measured(tuple(whole_cached))
    report(
        "pipeline",
        f"{ROUNDS} rounds after a warm-up, medians (least–most). Each round scores {ROWS:,} tickets, made distinct, "
        "against 10 labels: by the classifier alone in one process, in groups of the size a worker uses, and as a job "
        "through web, PostgreSQL, queue and one bulk worker, timed from the first claim to the job's end. Then a job "
        f"of {CACHED_ROWS:,} rows whose texts are all in the worker's cache, so that scoring costs next to nothing.",
        ["what", "rows/s"],
        [
            ["classifier alone", str(Measured(tuple(alone)))],
            ["whole pipeline", str(Measured(tuple(whole)))],
            ["whole pipeline, share of the classifier alone", str(share)],
            ["whole pipeline, everything cached", str(cached)],
        ],
        [
            Target("the pipeline reaches 90 % of the classifier alone", share.median >= 0.9),
            Target("5,000 rows/s with scoring free", cached.median >= 5_000),
        ],
    )


def _alone(classifier: object, settings: Settings, texts: list[str]) -> float:
    label_set = LabelSet.of(LABELS)
    size = settings.chunk_rows * settings.group_chunks
    started = time.perf_counter()
    for first in range(0, len(texts), size):
        classifier.score([Batch(texts=tuple(texts[first : first + size]), label_set=label_set)])
    return len(texts) / (time.perf_counter() - started)


def _job(stack: Stack, client: Client, folder: Path, texts: list[str]) -> float:
    file = folder / "bench.csv"
    write_csv(file, iter(texts))
    job = await_end(stack, client, submit(client, file)["id"])
    return len(texts) / job["summary"]["seconds"]


if __name__ == "__main__":
    main()
