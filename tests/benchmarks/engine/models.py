"""The models of one run, all made from the same checkpoint."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import onnx

from tests.benchmarks.engine.contenders import EXACT, Place
from tests.benchmarks.engine.material import SIZES, make_checkpoint
from worker.engine.checkpoints.checkpoint import read_checkpoint
from worker.engine.graphs.bert import Geometry
from worker.engine.graphs.linears import InputQuantiser
from worker.engine.graphs.nli import build_graph
from worker.engine.manifest import MANIFEST_FILE, Manifest, record_file
from worker.engine.models import store
from worker.engine.nli import int8, parity
from worker.engine.tokenisers.wordpiece import TOKENIZER_FILE

_TIMES = "times.json"


def prepare(folder: Path, geometry: str, *, scheme: str, threads: int) -> tuple[Place, float]:
    """Make in ``folder`` what is not there yet; where it all is, and the seconds that building ours took.

    There is one model for each of our ways to int8, named after it; ``scheme`` is the one that is compared.
    """
    place = Place(
        checkpoint=folder / "checkpoint",
        model_dir=folder / "models",
        onnx_int8=folder / "dynamic.onnx",
        scheme=scheme,
        threads=threads,
    )
    times = folder / _TIMES
    if not times.exists():
        make_checkpoint(place.checkpoint, SIZES[geometry])
        started = time.perf_counter()
        manifest, fitted = _build(place)
        took = time.perf_counter() - started
        for other in int8.SCHEMES:
            if other != EXACT:
                _write_other(place, manifest, other, fitted)
        quantise_dynamically(place.model_dir / EXACT / "fp32.onnx", place.onnx_int8)
        times.write_text(json.dumps({"build_s": took}), encoding="utf-8")
    return place, float(json.loads(times.read_text(encoding="utf-8"))["build_s"])


def quantise_dynamically(fp32: Path, into: Path) -> None:
    """ONNX Runtime's own recipe for a transformer on a CPU: weights in INT8, scales of activations at run time."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(fp32, into, weight_type=QuantType.QInt8)


def _build(place: Place) -> tuple[Manifest, dict[str, InputQuantiser]]:
    """Our model of the checkpoint, and the quantisers that were fitted on the way."""
    fitted: dict[str, InputQuantiser] = {}
    fit = int8.fit

    def keep(*args: Any, **kwargs: Any) -> dict[str, InputQuantiser]:
        fitted.update(fit(*args, **kwargs))
        return fitted

    # Under random weights, labels are too close together to tell which int8 would do.
    with patch.object(int8, "fit", keep), patch.object(parity, "SAME_TOP_LABEL", 0.0):
        return store.build(str(place.checkpoint), place.model_dir, called=EXACT, scheme=EXACT), fitted


def _write_other(place: Place, manifest: Manifest, scheme: str, fitted: Mapping[str, InputQuantiser]) -> None:
    """The model of ``manifest`` with another way to int8, and nothing but its int8 graph."""
    source, folder = place.model_dir / EXACT, place.model_dir / scheme
    folder.mkdir()
    checkpoint = read_checkpoint(place.checkpoint)
    config = checkpoint.config
    geometry = Geometry(layers=config.layers, hidden=config.hidden, heads=config.heads, epsilon=config.epsilon)
    arrays = dict(checkpoint.weights)
    variant = dataclasses.replace(
        manifest.variant("int8", "openvino"), activation_group=int8.SCHEMES[scheme].activation_group
    )
    graph = build_graph(arrays, geometry, int8.linears(arrays, fitted, scheme), word_dtype=np.float16)
    onnx.save(graph, folder / variant.graph, save_as_external_data=True, location=f"{variant.graph}.data")
    (folder / TOKENIZER_FILE).write_bytes((source / TOKENIZER_FILE).read_bytes())
    files = tuple(record_file(folder, path.name) for path in sorted(folder.iterdir()))
    described = dataclasses.replace(
        manifest, name=scheme, variants=(variant,), files=files, built={**manifest.built, "int8": scheme}
    )
    (folder / MANIFEST_FILE).write_text(described.to_json(), encoding="utf-8")
