"""Made files: rows in clusters, with words of their label, and scores that each row got by itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from worker.refinement import Rows


@dataclass(frozen=True)
class MadeFile:
    rows: Rows
    gold: NDArray[np.intp]

    def accuracy(self, probabilities: NDArray[np.float32]) -> float:
        return float((probabilities.argmax(axis=1) == self.gold).mean())

    def part(self, places: NDArray[np.intp]) -> MadeFile:
        rows = Rows(
            texts=[self.rows.texts[at] for at in places],
            vectors=self.rows.vectors[places],
            scores=self.rows.scores[places],
        )
        return MadeFile(rows=rows, gold=self.gold[places])


class MakeFile:
    def __call__(
        self, sizes: list[int], *, labels: int | None = None, noise: float = 1.2, spread: float = 0.35, seed: int = 0
    ) -> MadeFile:
        """``sizes`` rows of each label; ``noise`` blurs the scores, ``spread`` the vectors around their cluster."""
        random = np.random.default_rng(seed)
        labels = labels or len(sizes)
        gold = np.repeat(np.arange(len(sizes)), sizes)
        centres = random.standard_normal((labels, 32))
        vectors = centres[gold] + spread * 32**0.5 * random.standard_normal((len(gold), 32))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        logits = 1.5 * np.eye(labels)[gold] + noise * random.standard_normal((len(gold), labels))
        scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        common = "的一是了我不人在他有"
        texts = []
        for number, label in enumerate(gold):
            filler = "".join(random.choice(list(common), 8))
            word = f"词{chr(0x4E00 + 50 * int(label))}" if random.random() < 0.5 else ""
            texts.append(f"{filler}{word}{number}")
        rows = Rows(texts=texts, vectors=vectors.astype(np.float32), scores=scores.astype(np.float32))
        return MadeFile(rows=rows, gold=gold)


@pytest.fixture
def make_file() -> MakeFile:
    return MakeFile()
