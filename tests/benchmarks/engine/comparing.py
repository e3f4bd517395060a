"""One geometry: every contender on the same checkpoint and the same rows, and the machine's limit beside them."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.engine import measuring, tables
from tests.benchmarks.engine.arithmetic import full_flops
from tests.benchmarks.engine.contenders import EXACT, Place
from tests.benchmarks.engine.figures import BASELINE, BEST, Comparison
from tests.benchmarks.engine.material import SIZES, Setting, settings
from tests.benchmarks.engine.models import prepare
from tests.benchmarks.engine.peak import measure
from worker.engine.tokenisers.pairs import PairTokeniser

COMPARED = (
    BASELINE,
    "transformers",
    "transformers-batched",
    "torch-int8",
    "onnxruntime-int8",
    "ours-fp32",
    BEST,
    "ours-int8-static",
    "ours-int8-mixed",
    "ours-int8-dynamic",
    "ours-int8-one-by-one",
)

_CACHED = "ours-int8-cached"


def compare(folder: Path, geometry: str, names: Sequence[str], *, scheme: str, rounds: int, threads: int) -> list[str]:
    """Measure ``names`` and the baseline; the page's lines."""
    size = SIZES[geometry]
    same_as_best = f"{BEST}-{scheme}"
    names = [name for name in COMPARED if name in {*names, BASELINE, BEST} and name != same_as_best]
    progress = _Progress()
    place, build_s = prepare(folder, geometry, scheme=scheme, threads=threads)
    progress("models made")
    cases = settings(size, rounds)
    limits = measure(place, geometry)
    progress("limits measured")
    # One text at a time is what the first call is anyway.
    loads = measuring.loads([name for name in names if name != "ours-int8-one-by-one"], place, rounds)
    progress("loads measured")
    first = measuring.first_requests(BEST, place, rounds)
    progress("first requests measured")
    with measuring.running(names, place) as children:
        rates = measuring.throughput(children, cases)
        progress("throughput measured")
        alone = {name: child for name, child in children.items() if name in loads}
        latency = measuring.latency(alone, rounds)
        progress("latency measured")
        peak_mb = {name: child.ask("peak_bytes") / 2**20 for name, child in alone.items()}
        agreement = measuring.agreement(alone) if measuring.REFERENCE in alone else {}
        progress("agreement measured")
    streams = measuring.streams(_CACHED, place, size.stream_rows)
    progress("streams measured")
    found = Comparison(
        geometry=geometry,
        scheme=scheme,
        settings=cases,
        build_s=build_s,
        loads=loads,
        first=first,
        rates=rates,
        flops=_flops(place, geometry, cases),
        latency=latency,
        agreement=agreement,
        peak_mb=peak_mb,
        streams=streams,
        limits=limits,
    )
    return tables.lines(found, rounds=rounds, threads=threads)


def _flops(place: Place, geometry: str, cases: Sequence[Setting]) -> dict[str, tuple[float, ...]]:
    """Arithmetic of a full model for a text of each setting on average, without padding, round by round."""
    tokeniser = PairTokeniser.load(place.model_dir / EXACT)

    def per_text(texts: Sequence[str], labels: Sequence[str]) -> float:
        hypotheses = tokeniser.encode(labels)
        pairs = [tokeniser.frame(text, label) for text in tokeniser.encode(texts) for label in hypotheses]
        return full_flops(SIZES[geometry], [len(pair.input_ids) for pair in pairs]) / len(texts)

    return {case.name: tuple(per_text(texts, case.labels) for texts in case.rounds) for case in cases}


class _Progress:
    """Says on standard error how long each part took."""

    def __init__(self) -> None:
        self._started = self._last = time.monotonic()

    def __call__(self, what: str) -> None:
        now = time.monotonic()
        print(f"{now - self._started:6.0f} s  {what} ({now - self._last:.0f} s)", file=sys.stderr, flush=True)
        self._last = now
