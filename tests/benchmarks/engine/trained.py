"""What int8 costs trained weights: labels that stay the same on held-out rows, beside the usual other ways to int8."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.engine.models import quantise_dynamically
from tests.benchmarks.engine.page import table
from worker.engine.classifier import Batch
from worker.engine.manifest import Manifest
from worker.engine.models import store
from worker.engine.models.loader import open_classifier
from worker.engine.nli.blocks import cut
from worker.engine.sessions import Inputs, open_session
from worker.engine.sessions.selection import select
from worker.engine.tokenisers.pairs import PairTokeniser
from yeban.labels import LabelSet

Floats = NDArray[np.float32]
Model = Callable[[Inputs], Floats]
"""``(batch, classes)`` logits of one call."""

_NAME, _E5 = "trained", "e5-small"
_BLOCK_TOKENS = 512
_WAYS = {
    "ours": "ours, INT8",
    "onnxruntime": "ONNX Runtime dynamic INT8",
    "torch": "torch dynamic INT8",
}


def measure(folder: Path, checkpoint: Path, files: Sequence[Path], *, rows: int, threads: int) -> list[str]:
    """Build the model in ``checkpoint`` and ask about up to ``rows`` held-out rows of each file; the page's lines."""
    from tests.benchmarks.train_cross_encoder import MAX_TOKENS, read_labelled

    manifest = store.build(str(checkpoint), folder / "models", called=_NAME)
    models = _models(folder, manifest, checkpoint, threads)
    tokeniser = PairTokeniser.load(folder / "models" / _NAME, max_tokens=MAX_TOKENS)
    embedders = {
        precision: open_classifier(_E5, precision=precision, device="cpu", model_dir=folder / "models", threads=threads)
        for precision in ("fp32", "int8")
    }
    crossed, embedded = [], []
    for file in map(read_labelled, files):
        held_out = file.held_out[:rows]
        texts, gold = [text for text, _ in held_out], np.array([label for _, label in held_out])
        logits = {name: _ask(model, tokeniser, texts, file.labels) for name, model in models.items()}
        crossed.append([file.name, str(len(texts)), str(len(file.labels)), *_compare(logits, gold, manifest)])
        batch = Batch(texts=tuple(texts), label_set=LabelSet.of(file.labels))
        scores = {precision: each.score([batch]).scores[0] for precision, each in embedders.items()}
        best = {precision: each.argmax(axis=1) for precision, each in scores.items()}
        embedded.append(
            [
                file.name,
                f"{np.mean(best['fp32'] == gold):.3f}",
                f"{np.mean(best['int8'] == gold):.3f}",
                f"{np.mean(best['int8'] == best['fp32']):.3f}",
            ]
        )
    method = (
        "A cross-encoder trained by `tests/benchmarks/train_cross_encoder.py` on half of each file's rows; up to "
        f"{rows} rows of the other half, all labels of the file, the template `{{}}`, texts cut so that pairs have at "
        f"most {MAX_TOKENS} tokens. Every way gets the same tokens in the same blocks. The build chose the way to "
        f"int8 itself: “{manifest.built['int8']}”. Same: the share of rows whose best label is that of torch in fp32."
    )
    titles = ["file", "rows", "labels", "accuracy, fp32", "accuracy, ours INT8"]
    titles += [f"same, {title}" for title in _WAYS.values()]
    titles += [f"max \\|Δlogit\\|, {title}" for title in _WAYS.values()]
    return [
        method,
        "",
        *table(titles, [*crossed, ["**mean**", "", "", *_means(crossed, 3)]]),
        f"The embedding classifier {_E5}, on the same rows, default template:",
        "",
        *table(
            ["file", "accuracy, fp32", "accuracy, INT8", "same top label as fp32"],
            [*embedded, ["**mean**", *_means(embedded, 1)]],
        ),
    ]


def _models(folder: Path, manifest: Manifest, checkpoint: Path, threads: int) -> dict[str, Model]:
    import onnxruntime
    import torch
    from transformers import AutoModelForSequenceClassification

    torch.set_num_threads(threads)
    exact = AutoModelForSequenceClassification.from_pretrained(checkpoint).eval()
    quantised = torch.ao.quantization.quantize_dynamic(copy.deepcopy(exact), {torch.nn.Linear}, dtype=torch.qint8)

    def in_torch(model: Any) -> Model:
        def ask(inputs: Inputs) -> Floats:
            with torch.inference_mode():
                return model(**{name: torch.from_numpy(value) for name, value in inputs.items()}).logits.numpy()

        return ask

    built = folder / "models" / _NAME
    quantise_dynamically(built / "fp32.onnx", folder / "trained-dynamic.onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    runtime = onnxruntime.InferenceSession(str(folder / "trained-dynamic.onnx"), options)
    choice, graph = select(built, manifest, precision="int8", device="cpu", session="openvino", threads=threads)
    ours = open_session(graph, choice)
    return {
        "fp32": in_torch(exact),
        "ours": lambda inputs: ours.run([inputs])[0],
        "onnxruntime": lambda inputs: runtime.run(None, dict(inputs))[0],
        "torch": in_torch(quantised),
    }


def _ask(model: Model, tokeniser: PairTokeniser, texts: Sequence[str], labels: Sequence[str]) -> Floats:
    """``(texts, labels, classes)`` logits."""
    hypotheses = tokeniser.encode(labels)
    pairs = [tokeniser.frame(text, hypothesis) for text in tokeniser.encode(texts) for hypothesis in hypotheses]
    blocks = cut(pairs, pad=tokeniser.pad, max_block_tokens=_BLOCK_TOKENS)
    outputs = [model(block.inputs) for block in blocks]
    logits = np.empty((len(pairs), outputs[0].shape[1]), np.float32)
    for block, output in zip(blocks, outputs, strict=True):
        logits[block.rows] = output
    return logits.reshape(len(texts), len(labels), -1)


def _compare(logits: Mapping[str, Floats], gold: NDArray[np.intp], manifest: Manifest) -> list[str]:
    best = {name: each[:, :, manifest.spec.entailment].argmax(axis=1) for name, each in logits.items()}
    return [
        f"{np.mean(best['fp32'] == gold):.3f}",
        f"{np.mean(best['ours'] == gold):.3f}",
        *(f"{np.mean(best[name] == best['fp32']):.3f}" for name in _WAYS),
        *(f"{np.abs(logits[name] - logits['fp32']).max():.2f}" for name in _WAYS),
    ]


def _means(rows: Sequence[Sequence[str]], first: int) -> list[str]:
    return [f"{np.mean([float(row[at]) for row in rows]):.3f}" for at in range(first, len(rows[0]))]
