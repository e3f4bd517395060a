"""Build a cross-encoder from a checkpoint: graphs, int8 scales and parity checks."""

from __future__ import annotations

import dataclasses
import stat
from pathlib import Path

import numpy as np
import onnx

from worker.engine import manifest
from worker.engine.checkpoints.checkpoint import Checkpoint, read_checkpoint
from worker.engine.graphs.bert import Arrays, Geometry
from worker.engine.graphs.linears import FloatLinears
from worker.engine.graphs.nli import build_graph
from worker.engine.manifest import Manifest, NliSpec, Variant, fingerprint, record_file
from worker.engine.nli import int8, parity
from worker.engine.nli.expectations import expect
from worker.engine.nli.samples import questions
from worker.engine.sessions.ranking import ON_CPU
from worker.engine.sessions.selection import open_variant
from worker.engine.tokenisers.pairs import MAX_TOKENS, PairTokeniser, tokenizer_json
from worker.engine.tokenisers.wordpiece import TOKENIZER_FILE

_FP32 = Variant(precision="fp32", sessions=(*ON_CPU, "torch"), graph="fp32.onnx")
_FP16 = Variant(precision="fp16", sessions=("tensorrt", "onnxruntime", "torch"), graph="fp16.onnx")
_INT8 = Variant(precision="int8", sessions=ON_CPU, graph="int8.onnx", bfloat16=True)

_EXTERNAL_FROM_BYTES = 1024


def build_into(folder: Path, source: Path, name: str, *, scheme: str | None = None) -> Manifest:
    """Fill an empty ``folder`` with the model of the checkpoint in ``source`` and describe it.

    ``scheme`` is the way to int8, one of :data:`worker.engine.nli.int8.SCHEMES`; by default the samples decide.

    Raises :class:`~yeban.errors.ModelUnusable` when the checkpoint cannot be used, or a graph does not
    reproduce the checkpoint.
    """
    checkpoint = read_checkpoint(source)
    (folder / TOKENIZER_FILE).write_text(tokenizer_json(source), encoding="utf-8")
    spec, tokeniser = _spec(checkpoint, folder)
    config = checkpoint.config
    geometry = Geometry(layers=config.layers, hidden=config.hidden, heads=config.heads, epsilon=config.epsilon)
    arrays = dict(checkpoint.weights)
    _write_floats(folder, arrays, geometry)
    fitting, verifying = questions(tokeniser)
    expected = expect(arrays, geometry, open_variant(folder, _FP32), verifying, pad=spec.pad)
    expected.save(folder)
    quantisers = int8.fit(arrays, geometry, fitting, pad=spec.pad)

    def write_int8(scheme: str) -> Variant:
        linears = int8.linears(arrays, quantisers, scheme)
        _save(build_graph(arrays, geometry, linears, word_dtype=np.float16), folder / _INT8.graph)
        return dataclasses.replace(_INT8, activation_group=int8.SCHEMES[scheme].activation_group)

    def agreement(scheme: str) -> float:
        session = open_variant(folder, write_int8(scheme))
        return parity.same_top_label(expected.answer_samples(session), expected, spec)

    scheme = scheme or int8.choose_scheme(agreement)
    variants = (write_int8(scheme), _FP16, _FP32)  # the last scheme tried may not be the chosen one
    files = tuple(record_file(folder, path.name) for path in sorted(folder.iterdir()))
    return Manifest(
        name=name,
        kind="nli",
        fingerprint=fingerprint(spec, files),
        spec=spec,
        variants=variants,
        files=files,
        parity=parity.measure(folder, spec, variants),
        origin=_origin(checkpoint, source),
        built={**manifest.versions(), "int8": scheme},
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
    """Save with the weights in a separate file, which runtimes map into memory instead of copying."""
    data = path.with_name(f"{path.name}.data")
    data.unlink(missing_ok=True)  # the library would append
    onnx.save(model, path, save_as_external_data=True, location=data.name, size_threshold=_EXTERNAL_FROM_BYTES)
    # The library makes the data readable by its owner only; weights get the permissions of the graph.
    data.chmod(stat.S_IMODE(path.stat().st_mode))


def _origin(checkpoint: Checkpoint, source: Path) -> dict[str, str]:
    known = {"model": checkpoint.model_id, "licence": checkpoint.licence}
    weights = {f"sha256 of {path.name}": record_file(path.parent, path.name).sha256 for path in checkpoint.weight_files}
    return {**{key: value for key, value in known.items() if value}, "folder": source.name, **weights}
