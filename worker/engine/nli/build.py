"""Building a cross-encoder from a checkpoint: graphs, int8 scales, and the proof that they agree."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx

from worker.engine import built_with
from worker.engine.checkpoint import Checkpoint, read_checkpoint
from worker.engine.graphs.bert import Arrays, Geometry
from worker.engine.graphs.linears import FloatLinears
from worker.engine.graphs.nli import build_graph
from worker.engine.manifest import Manifest, NliSpec, Variant, fingerprint, record_file
from worker.engine.nli import int8, parity
from worker.engine.nli.expected import expect
from worker.engine.nli.samples import questions
from worker.engine.pairs import MAX_TOKENS, PairTokeniser, tokenizer_json
from worker.engine.sessions.choosing import ON_CPU
from worker.engine.wordpiece import TOKENIZER_FILE

_FP32 = Variant(precision="fp32", sessions=(*ON_CPU, "torch"), graph="fp32.onnx")
_FP16 = Variant(precision="fp16", sessions=("tensorrt", "onnxruntime", "torch"), graph="fp16.onnx")
_INT8 = Variant(precision="int8", sessions=ON_CPU, graph="int8.onnx", activation_group=int8.ACTIVATION_GROUP)
_VARIANTS = (_INT8, _FP16, _FP32)

_EXTERNAL_FROM_BYTES = 1024


def build_into(folder: Path, source: Path, name: str) -> Manifest:
    """Fill an empty ``folder`` with the model of the checkpoint in ``source`` and describe it.

    Raises :class:`~yeban.errors.ModelUnusable` when the checkpoint cannot be used, or a graph does not say what the
    checkpoint says.
    """
    checkpoint = read_checkpoint(source)
    (folder / TOKENIZER_FILE).write_text(tokenizer_json(source), encoding="utf-8")
    spec, tokeniser = _spec(checkpoint, folder)
    config = checkpoint.config
    geometry = Geometry(layers=config.layers, hidden=config.hidden, heads=config.heads, epsilon=config.epsilon)
    arrays = dict(checkpoint.weights)
    _write_floats(folder, arrays, geometry)
    fitting, verifying = questions(tokeniser)
    reference = parity.open_variant(folder, _FP32)
    expected = expect(arrays, geometry, reference, verifying, pad=spec.pad)
    expected.save(folder)
    quantisers = int8.fit(arrays, geometry, fitting, pad=spec.pad)

    def agreement(scheme: str) -> float:
        linears = int8.linears(arrays, quantisers, scheme)
        _save(build_graph(arrays, geometry, linears, word_dtype=np.float16), folder / _INT8.graph)
        return parity.same_top_label(expected.answer_samples(parity.open_variant(folder, _INT8)), expected, spec)

    scheme = int8.choose_scheme(agreement)
    files = tuple(record_file(folder, path.name) for path in sorted(folder.iterdir()))
    return Manifest(
        name=name,
        kind="nli",
        fingerprint=fingerprint(spec, files),
        spec=spec,
        variants=_VARIANTS,
        files=files,
        parity=parity.measure(folder, spec, _VARIANTS),
        origin=_origin(checkpoint, source),
        built={**built_with.versions(), "int8": scheme},
    )


def _spec(checkpoint: Checkpoint, folder: Path) -> tuple[NliSpec, PairTokeniser]:
    config = checkpoint.config
    tokeniser = PairTokeniser.load(folder, max_tokens=min(MAX_TOKENS, config.positions))
    spec = NliSpec(
        max_tokens=tokeniser.max_tokens,
        pad=tokeniser.pad,
        classes=config.classes,
        entailment=config.entailment,
        contradiction=config.contradiction,
    )
    return spec, tokeniser


def _write_floats(folder: Path, arrays: Arrays, geometry: Geometry) -> None:
    _save(build_graph(arrays, geometry, FloatLinears(arrays)), folder / _FP32.graph)
    halves = FloatLinears(arrays, np.float16)
    _save(
        build_graph(arrays, geometry, halves, dtype=np.float16, word_dtype=np.float16),
        folder / _FP16.graph,
    )


def _save(model: onnx.ModelProto, path: Path) -> None:
    """With the weights in a file of their own, which runtimes map into memory instead of copying."""
    data = path.with_name(f"{path.name}.data")
    data.unlink(missing_ok=True)  # the library would append
    onnx.save(model, path, save_as_external_data=True, location=data.name, size_threshold=_EXTERNAL_FROM_BYTES)


def _origin(checkpoint: Checkpoint, source: Path) -> dict[str, str]:
    known = {"model": checkpoint.model_id, "licence": checkpoint.licence}
    weights = {f"sha256 of {path.name}": record_file(path.parent, path.name).sha256 for path in checkpoint.weight_files}
    return {**{key: value for key, value in known.items() if value}, "folder": source.name, **weights}
