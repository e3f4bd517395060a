"""The models of one run, all made from the same checkpoint."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import numpy as np
import onnx

from tests.benchmarks.engine.contenders import Place
from tests.benchmarks.engine.material import SIZES, make_checkpoint
from worker.engine import artifacts
from worker.engine.checkpoint import read_checkpoint
from worker.engine.graphs.bert import Geometry
from worker.engine.graphs.linears import Int8Linears
from worker.engine.graphs.nli import build_graph
from worker.engine.manifest import MANIFEST_FILE, Manifest, record_file
from worker.engine.nli import int8, parity

STATIC, DYNAMIC = "static", "dynamic"
"""Our model with the fastest way to int8, and with the slowest, which builds fall back to."""

_TIMES = "times.json"


def prepare(folder: Path, geometry: str, *, threads: int) -> tuple[Place, float]:
    """Make in ``folder`` what is not there yet; where it all is, and the seconds that building ours took."""
    place = Place(
        checkpoint=folder / "checkpoint",
        model_dir=folder / "models",
        onnx_int8=folder / "dynamic.onnx",
        threads=threads,
    )
    times = folder / _TIMES
    if not times.exists():
        make_checkpoint(place.checkpoint, SIZES[geometry])
        started = time.perf_counter()
        with _any_agreement():
            manifest = artifacts.build(str(place.checkpoint), place.model_dir, called=STATIC)
        took = time.perf_counter() - started
        _write_dynamic(place, manifest)
        quantise_dynamically(place.model_dir / STATIC / "fp32.onnx", place.onnx_int8)
        times.write_text(json.dumps({"build_s": took}), encoding="utf-8")
    return place, float(json.loads(times.read_text(encoding="utf-8"))["build_s"])


def quantise_dynamically(fp32: Path, into: Path) -> None:
    """ONNX Runtime's own recipe for a transformer on a CPU: weights in INT8, scales of activations at run time."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(fp32, into, weight_type=QuantType.QInt8)


@contextmanager
def _any_agreement() -> Iterator[None]:
    """Take the first scheme: the labels of random weights are too close together to tell which one would do."""
    with patch.object(int8, "WANTED_AGREEMENT", 0.0), patch.object(parity, "SAME_TOP_LABEL", 0.0):
        yield


def _write_dynamic(place: Place, manifest: Manifest) -> None:
    """The model of ``manifest`` with a dynamic int8 graph, and no other."""
    source, folder = place.model_dir / STATIC, place.model_dir / DYNAMIC
    folder.mkdir()
    checkpoint = read_checkpoint(place.checkpoint)
    config = checkpoint.config
    geometry = Geometry(layers=config.layers, hidden=config.hidden, heads=config.heads, epsilon=config.epsilon)
    arrays = dict(checkpoint.weights)
    variant = manifest.variant("int8", "openvino")
    graph = build_graph(arrays, geometry, Int8Linears(arrays, {}), word_dtype=np.float16)
    onnx.save(graph, folder / variant.graph, save_as_external_data=True, location=f"{variant.graph}.data")
    (folder / "tokenizer.json").write_bytes((source / "tokenizer.json").read_bytes())
    files = tuple(record_file(folder, path.name) for path in sorted(folder.iterdir()))
    described = dataclasses.replace(
        manifest, name=DYNAMIC, variants=(variant,), files=files, built={**manifest.built, "int8": DYNAMIC}
    )
    (folder / MANIFEST_FILE).write_text(described.to_json(), encoding="utf-8")
