"""Each GPU session beside the others: latency and throughput by shape, share of the card's matrix rate, memory."""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from tests.benchmarks.harness import ROOT, Target, percentile, report
from tests.fixtures.agreement import agree, pairs
from worker.engine.graphs.bert import Geometry
from worker.engine.graphs.linears import FloatLinears
from worker.engine.graphs.nli import build_graph
from worker.engine.manifest import Manifest, NliSpec, Variant
from worker.engine.sessions import Session, choose, open_session, trt_engines
from worker.engine.sessions.base import GPU_BLOCK_TOKENS
from worker.engine.sessions.machine import Machine, this_machine
from yeban.errors import YebanError

BATCHES, LENGTHS = (1, 8, 32, 128), (32, 128)
WIDE_SHARE = 0.5
"""Of the card's matrix rate: what the best session should reach on full blocks."""

_GEOMETRIES = {
    "base": Geometry(layers=12, hidden=768, heads=12, epsilon=1e-12),
    "large": Geometry(layers=24, hidden=1024, heads=16, epsilon=1e-12),
}
_VOCABULARY, _POSITIONS, _CLASSES = 21_128, 512, 3
_WARM_UPS, _ROUNDS, _BLOCKS = 10, 50, 20
_MATMUL_SIZE, _MATMUL_ROUNDS = 8192, 20
_WANTED = (("tensorrt", "fp16"), ("onnxruntime", "fp16"), ("torch", "fp16"), ("torch", "bf16"))
_MISSING = 2


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A session that is ready, and the memory of the card that opening it took."""

    name: str
    precision: str
    session: Session
    memory_bytes: int


def main() -> int:
    """Measure what can be measured; say what is missing and return 2 where there is no GPU."""
    parser = argparse.ArgumentParser(prog="scripts/bench gpu")
    parser.add_argument("--geometry", choices=_GEOMETRIES, default="base", help="the size of the random StructBERT")
    parser.add_argument("--record", action="store_true", help="keep the report under docs/benchmarks")
    geometry_name = parser.parse_args().geometry
    machine = this_machine()
    missing = [
        *([] if machine.gpu else [f"an NVIDIA GPU: {machine.devices.reason}"]),
        *([] if "torch" in machine.with_cuda else ["torch with CUDA, which measures the card: yeban[models]"]),
    ]
    if missing:
        print(f"Nothing was measured. Missing: {'; '.join(missing)}.", file=sys.stderr)
        return _MISSING
    geometry = _GEOMETRIES[geometry_name]
    folder = ROOT / ".bench" / "gpu" / geometry_name
    manifest = _model(folder, geometry, geometry_name)
    rates = {precision: matrix_rate(precision) for precision in ("fp16", "bf16")}
    rows: list[list[str]] = []
    shares: list[float] = []
    for name, precision in _WANTED:
        try:
            opened = _open(name, precision, folder, manifest, machine)
        except YebanError as error:
            rows.append([f"{name} {precision}", f"not measured: {error.detail}", *[""] * 6])
            continue
        rows += list(_measure(opened, geometry, rates[precision], shares))
    header = ("session", "call", "ms, median", "ms, 95 %", "pairs/s", "TFLOP/s", "share of matrix rate", "memory, GiB")
    method = (
        f"Card: {machine.gpu}, driver {machine.devices.driver}. A cross-encoder of the geometry {geometry_name} with "
        f"random weights. Each call is timed from NumPy arrays to NumPy arrays, {_ROUNDS} times after {_WARM_UPS} "
        f"warm-ups; a full block has {GPU_BLOCK_TOKENS:,} tokens and is run {_BLOCKS} times. The matrix rate is that "
        f"of a product of {_MATMUL_SIZE} × {_MATMUL_SIZE} matrices in torch in this run: {rates['fp16'] / 1e12:.0f} "
        f"TFLOP/s in fp16, {rates['bf16'] / 1e12:.0f} in bf16. Memory is what the card lost since before the session "
        "was opened."
    )
    best = max(shares, default=0.0)
    wanted = f"a session reaches {WIDE_SHARE:.0%} of the matrix rate on full blocks ({best:.0%})"
    report("gpu", method, header, rows, [Target(wanted, best >= WIDE_SHARE)])
    return 0


def matrix_rate(precision: str) -> float:
    """FLOP/s of a large matrix product."""
    import torch

    dtype = {"fp16": torch.float16, "bf16": torch.bfloat16}[precision]
    left, right = (torch.randn(_MATMUL_SIZE, _MATMUL_SIZE, device="cuda", dtype=dtype) for _ in range(2))
    for _ in range(3):
        left @ right
    torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(_MATMUL_ROUNDS):
        left @ right
    torch.cuda.synchronize()
    return 2 * _MATMUL_SIZE**3 * _MATMUL_ROUNDS / (time.perf_counter() - started)


def flops(geometry: Geometry, rows: int, tokens: int) -> float:
    """Multiplications and additions of a call; of the last layer only what the first token needs."""
    hidden = geometry.hidden
    matrices = 2 * 12 * hidden**2
    attention = 4 * tokens * hidden
    last = tokens * 2 * 2 * hidden**2 + (matrices - 2 * 2 * hidden**2) + attention
    return rows * ((geometry.layers - 1) * tokens * (matrices + attention) + last)


def _measure(opened: Opened, geometry: Geometry, rate: float, shares: list[float]) -> Iterator[list[str]]:
    free_before = _free_bytes() + opened.memory_bytes
    what = f"{opened.name} {opened.precision}"
    for tokens in LENGTHS:
        for rows in BATCHES:
            times = _times(opened.session, rows, tokens)
            median = statistics.median(times)
            speed = flops(geometry, rows, tokens) / median
            yield [
                what,
                f"{rows} × {tokens}",
                f"{median * 1e3:.2f}",
                f"{percentile(times, 0.95) * 1e3:.2f}",
                f"{rows / median:,.0f}",
                f"{speed / 1e12:.1f}",
                f"{speed / rate:.0%}",
                "",
            ]
        rows = GPU_BLOCK_TOKENS // tokens
        calls = [pairs(rows, tokens)] * _BLOCKS
        opened.session.run(calls[:2])
        started = time.perf_counter()
        opened.session.run(calls)
        took = time.perf_counter() - started
        speed = flops(geometry, rows, tokens) * _BLOCKS / took
        shares.append(speed / rate)
        yield [
            what,
            f"{rows} × {tokens}, a full block",
            f"{took / _BLOCKS * 1e3:.2f}",
            "",
            f"{rows * _BLOCKS / took:,.0f}",
            f"{speed / 1e12:.1f}",
            f"{speed / rate:.0%}",
            f"{(free_before - _free_bytes()) / 2**30:.1f}",
        ]


def _times(session: Session, rows: int, tokens: int) -> list[float]:
    call = [pairs(rows, tokens)]
    for _ in range(_WARM_UPS):
        session.run(call)
    times = []
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        session.run(call)
        times.append(time.perf_counter() - started)
    return times


def _open(name: str, precision: str, folder: Path, manifest: Manifest, machine: Machine) -> Opened:
    path = folder / ("fp32.onnx" if precision == "bf16" else "fp16.onnx")
    engines: tuple[str, ...] = ()
    if name == "tensorrt" and "tensorrt" in machine.with_cuda:
        path, engines = _engine(folder, manifest, machine), (trt_engines.PRECISION,)
    built = {each: manifest.precisions(each) for each in ("tensorrt", "onnxruntime", "torch")}
    choice = choose(built, session=name, precision=precision, device="cuda", engines=engines, machine=machine)
    before = _free_bytes()
    session = open_session(path, choice)
    agree(session, _reference(folder), max_tokens=128)
    return Opened(name=name, precision=precision, session=session, memory_bytes=before - _free_bytes())


def _reference(folder: Path) -> Session:
    return open_session(folder / "fp32.onnx", choose({"openvino": ("fp32",)}, device="cpu"))


def _engine(folder: Path, manifest: Manifest, machine: Machine) -> Path:
    """The engine of an earlier run, or a new one."""
    found = trt_engines.find(folder, manifest.fingerprint, machine)
    if found is not None:
        return found
    from worker.engine.sessions.trt_build import build_engine

    print("Building a TensorRT engine; this takes minutes …", file=sys.stderr)

    def verify(session: Session, model: Path) -> None:
        agree(session, _reference(model), max_tokens=128)

    return build_engine(folder, manifest, machine, verify=verify)


def _model(folder: Path, geometry: Geometry, name: str) -> Manifest:
    """A cross-encoder with random weights, written once."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = _arrays(geometry)
    dtypes: dict[str, type[np.floating[Any]]] = {"fp32": np.float32, "fp16": np.float16}
    for precision, dtype in dtypes.items():
        if not (folder / f"{precision}.onnx").exists():
            linears = FloatLinears(arrays, dtype)
            model = build_graph(arrays, geometry, linears, dtype=dtype, word_dtype=dtype)
            onnx.save(model, folder / f"{precision}.onnx")
    return Manifest(
        name=f"random-{name}",
        kind="nli",
        fingerprint=name.encode().hex().ljust(64, "0"),
        spec=NliSpec(max_tokens=_POSITIONS, pad=0, classes=_CLASSES, entailment=0, contradiction=2),
        variants=(
            Variant(precision="fp32", sessions=("torch", "openvino"), graph="fp32.onnx"),
            Variant(precision="fp16", sessions=("tensorrt", "onnxruntime", "torch"), graph="fp16.onnx"),
        ),
        files=(),
        parity=(),
        origin={},
        built={},
    )


def _arrays(geometry: Geometry) -> dict[str, np.ndarray[Any, Any]]:
    random = np.random.default_rng(0)
    hidden = geometry.hidden

    def some(*shape: int) -> np.ndarray[Any, Any]:
        return random.standard_normal(shape, np.float32) * np.float32(0.04)

    arrays = {
        "emb.word": some(_VOCABULARY, hidden),
        "emb.pos": some(_POSITIONS, hidden),
        "emb.type": some(2, hidden),
        "pooler.w": some(hidden, hidden),
        "pooler.b": some(hidden),
        "cls.w": some(_CLASSES, hidden),
        "cls.b": some(_CLASSES),
    }
    norms = ["emb.ln"]
    for at in range(geometry.layers):
        sizes = dict.fromkeys(("q", "k", "v", "ao"), (hidden, hidden))
        sizes |= {"fi": (4 * hidden, hidden), "fo": (hidden, 4 * hidden)}
        for matrix, shape in sizes.items():
            arrays[f"l{at}.{matrix}.w"], arrays[f"l{at}.{matrix}.b"] = some(*shape), some(shape[0])
        norms += [f"l{at}.aln", f"l{at}.oln"]
    for norm in norms:
        arrays[f"{norm}.w"], arrays[f"{norm}.b"] = 1 + some(hidden), some(hidden)
    return arrays


def _free_bytes() -> int:
    import torch

    torch.cuda.synchronize()
    return int(torch.cuda.mem_get_info()[0])


if __name__ == "__main__":
    sys.exit(main())
