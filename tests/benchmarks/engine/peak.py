"""The machine's own limit: its fastest matrix products, and how near to them our graphs come at fixed lengths.

``python -m tests.benchmarks.engine.peak MODEL_DIR SCHEME THREADS SECONDS`` measures both in one process, in turn,
and prints JSON.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.engine.arithmetic import full_flops, needed_flops
from tests.benchmarks.engine.contenders import EXACT, Place
from tests.benchmarks.engine.material import SIZES, VOCABULARY

LENGTHS = (32, 64, 128, 256, 512)

STATIC = "static"
"""The series of our graph with fixed scales, which are the fastest, beside that of the way that is compared."""

_PRECISIONS = ("int8", "fp32")
_BESIDE = {STATIC: (EXACT, "int8"), "fp32": (EXACT, "fp32")}
_ROUNDS = 5
_MATRICES = ((512, 1024, 1024), (512, 768, 3072), (1024, 2048, 2048))
"""Rows, inputs and outputs of the products tried: of the sizes of these models, and larger."""

_CHAIN = 4
_RANGE = np.float32(4.0)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Operations a second, each round by round: the best matrix product, and our graph by series and length.

    ``full`` counts the arithmetic of a full model, ``needed`` that which is left when the last layer computes its
    first token only.
    """

    peak: Mapping[str, tuple[float, ...]]
    full: Mapping[tuple[str, int], tuple[float, ...]]
    needed: Mapping[tuple[str, int], tuple[float, ...]]


def measure(place: Place, geometry: str) -> Limits:
    """Measure in a process of its own."""
    size = SIZES[geometry]
    arguments = [str(place.model_dir), place.scheme, str(place.threads), str(size.limit_s)]
    command = [sys.executable, "-m", "tests.benchmarks.engine.peak", *arguments]
    found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    rates: dict[str, dict[tuple[str, int], tuple[float, ...]]] = {"full": {}, "needed": {}}
    for name, times in found["graph"].items():
        series, tokens, rows = name.split()
        lengths = [int(tokens)] * int(rows)
        for way, flops in (("full", full_flops(size, lengths)), ("needed", needed_flops(size, lengths))):
            rates[way][series, int(tokens)] = tuple(flops / took for took in times)
    return Limits(peak={key: tuple(value) for key, value in found["peak"].items()}, **rates)


def matrix_product(precision: str, rows: int, inputs: int, outputs: int, threads: int) -> Callable[[], object]:
    """A chain of products there and back between two widths, ready to be run."""
    from worker.engine.sessions import openvino as session

    openvino = session.openvino
    op = openvino.opset13
    random = np.random.default_rng(0)
    entry = hidden = op.parameter([rows, inputs], np.float32)
    for at in range(_CHAIN):
        width = (outputs, inputs) if at % 2 == 0 else (inputs, outputs)
        weights = random.standard_normal(width, np.float32) * np.float32(0.05)
        factor = op.constant(weights)
        if precision == "int8":
            # Quantised on both sides with fixed scales, which makes the plugin multiply bytes.
            low, high = op.constant(-_RANGE), op.constant(_RANGE * np.float32(127 / 128))
            hidden = op.fake_quantize(hidden, low, high, low, high, 256)
            sizes = np.abs(weights).max(axis=1, keepdims=True)
            edges = [op.constant(-sizes), op.constant(sizes)]
            factor = op.fake_quantize(factor, *edges, *edges, 255)
        hidden = op.matmul(hidden, factor, False, True)
    config = {
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
    }
    model = openvino.Model([hidden], [entry], "products")
    request = openvino.Core().compile_model(model, "CPU", config).create_infer_request()
    values = random.standard_normal((rows, inputs), np.float32)
    return lambda: request.infer([values], share_inputs=True)


def time_calls(call: Callable[[], object], seconds: float) -> float:
    """Median seconds of a call, over as many as fit."""
    times: list[float] = []
    ends = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < ends:
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def block(rows: int, tokens: int) -> dict[str, Any]:
    """A call without padding: random ids in two segments."""
    ids = np.random.default_rng(tokens).integers(1000, VOCABULARY // 4, (rows, tokens))
    types = np.zeros((rows, tokens), np.int64)
    types[:, tokens * 4 // 5 :] = 1
    return {"input_ids": ids, "attention_mask": np.ones((rows, tokens), np.int64), "token_type_ids": types}


def main() -> None:
    """Measure products and graphs in turn, after a warm-up, and print seconds and rates as JSON."""
    from worker.engine.models import store
    from worker.engine.sessions import open_session
    from worker.engine.sessions.selection import select

    model_dir, scheme, threads, seconds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    calls: dict[str, Callable[[], object]] = {}
    flops: dict[str, float] = {}
    for precision in _PRECISIONS:
        for rows, inputs, outputs in _MATRICES:
            name = f"peak {precision} {rows}×{inputs}×{outputs}"
            calls[name] = matrix_product(precision, rows, inputs, outputs, threads)
            flops[name] = 2.0 * rows * inputs * outputs * _CHAIN
    for series, (model, precision) in {"int8": (scheme, "int8"), **_BESIDE}.items():
        folder = store.find(model, model_dir)
        choice, graph = select(
            folder, store.load(folder), precision=precision, device="cpu", session="openvino", threads=threads
        )
        session = open_session(graph, choice)
        for tokens in LENGTHS:
            rows = max(1, session.block_tokens // tokens)
            inputs = block(rows, tokens)
            calls[f"{series} {tokens} {rows}"] = lambda session=session, inputs=inputs: session.run([inputs])
    for call in calls.values():
        time_calls(call, 0.0)
    rounds = [{name: time_calls(call, seconds) for name, call in calls.items()} for _ in range(_ROUNDS)]
    peak = {
        precision: [
            max(flops[name] / times[name] for name in flops if name.split()[1] == precision) for times in rounds
        ]
        for precision in _PRECISIONS
    }
    graph_times = {name: [times[name] for times in rounds] for name in calls if name not in flops}
    json.dump({"peak": peak, "graph": graph_times}, sys.stdout)


if __name__ == "__main__":
    main()
