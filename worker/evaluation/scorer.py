"""Scores and embeddings of texts, as exact as jobs keep them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from worker.engine import Batch, Classifier, ModelInfo, Stores
from worker.refinement import Rows
from worker.refinement.refiner import Examples
from worker.refinement.vectors import GEOMETRY_MODEL, pack, unpack
from yeban.errors import ModelUnusable, msg
from yeban.labels import LabelSet
from yeban.settings import Settings

Floats = NDArray[np.float32]

_DECIMALS = 6
_BLOCK_TEXTS = 512
# Scoring the same texts for other labels must not embed them again.
_TEXTS_KEPT = 200_000
_PAIRS_KEPT = 2_000_000
_LABELS_KEPT = 20_000


def _quiet(_progress: str) -> None:
    pass


class Scorer:
    """Scores and embeds texts, each distinct text once a call, and reports progress."""

    def __init__(
        self,
        classifier: Classifier,
        open_geometry: Callable[[], Classifier] | None = None,
        *,
        say: Callable[[str], None] = _quiet,
    ) -> None:
        """``open_geometry`` opens a model for embeddings if ``classifier`` makes none; it is called at most once."""
        self._classifier = classifier
        self._open_geometry = open_geometry
        self._geometry: Classifier | None = None
        self.say = say

    @property
    def info(self) -> ModelInfo:
        """The scoring model."""
        return self._classifier.info

    def check(self, label_set: LabelSet) -> None:
        """Raise ``InvalidLabels`` if a label does not fit the model."""
        self._classifier.check(label_set)

    def scores(self, texts: Sequence[str], label_set: LabelSet) -> Floats:
        """Probabilities ``(n_texts, n_labels)`` with six decimals, as jobs keep them."""
        return self._assess(texts, label_set, embed=False).scores

    def rows(self, texts: Sequence[str], label_set: LabelSet) -> Rows:
        """Scores, and unit embeddings as exact as jobs keep them.

        Raises the errors of opening a model, and ``ModelUnusable`` if no model embeds.
        """
        return self._assess(texts, label_set, embed=True)

    def examples(self, label_set: LabelSet) -> Examples | None:
        """The embedded examples of the labels; ``None`` without any."""
        pairs = [(text, number) for number, label in enumerate(label_set.labels) for text in label.examples]
        if not pairs:
            return None
        texts = [text for text, _ in pairs]
        return Examples(texts=texts, vectors=self.embed(texts), labels=np.array([at for _, at in pairs], np.intp))

    def _assess(self, texts: Sequence[str], label_set: LabelSet, *, embed: bool) -> Rows:
        distinct = list(dict.fromkeys(texts))
        scores, vectors = [], []
        for first in range(0, len(distinct), _BLOCK_TEXTS):
            block = tuple(distinct[first : first + _BLOCK_TEXTS])
            scored = self._classifier.score([Batch(texts=block, label_set=label_set, embed=embed)])
            scores.append(np.round(scored.scores[0].astype(np.float64), _DECIMALS).astype(np.float32))
            made = scored.vectors[0] if scored.vectors else None
            if embed:
                vectors.append(self.embed(block) if made is None else made)
            else:
                vectors.append(np.empty((len(block), 0), np.float32))
            self.say(f"Scored {first + len(block):,} of {len(distinct):,} texts…")
        number_of = {text: number for number, text in enumerate(distinct)}
        places = [number_of[text] for text in texts]
        exact = np.concatenate(vectors)
        kept = unpack(pack(exact), exact.shape[1]) if embed else exact
        return Rows(texts=tuple(texts), vectors=kept[places], scores=np.concatenate(scores)[places])

    def embed(self, texts: Sequence[str]) -> Floats:
        """Unit embeddings ``(n_texts, dimension)``. Raises as :meth:`rows` does."""
        vectors = self._classifier.embed(texts) if self._geometry is None else None
        if vectors is None:
            if self._geometry is None and self._open_geometry is not None:
                self._geometry = self._open_geometry()
            vectors = None if self._geometry is None else self._geometry.embed(texts)
        if vectors is None:
            raise ModelUnusable(msg("Refinement needs an embedding model, and none is available."))
        return vectors


def open_stores() -> Stores:
    """Caches for scorers of one model."""
    from worker.cache import MemoryStore  # noqa: PLC0415

    return Stores(labels=MemoryStore(_LABELS_KEPT), texts=MemoryStore(_TEXTS_KEPT), pairs=MemoryStore(_PAIRS_KEPT))


def open_scorer(
    model: str,
    model_dir: Path,
    settings: Settings,
    *,
    without: Collection[str] = (),
    stores: Stores | None = None,
    say: Callable[[str], None] = _quiet,
) -> Scorer:
    """Open ``model`` as a worker would, ``without`` some features of embedding models.

    Raises ``UnknownModel``, ``ModelUnusable`` or ``EngineUnavailable``.
    """
    # Heavy: mistakes in the files are reported before.
    from worker.engine import open_classifier  # noqa: PLC0415

    stores = open_stores() if stores is None else stores

    def opened(name: str, without: Collection[str] = ()) -> Classifier:
        return open_classifier(
            name,
            precision=settings.precision,
            device=settings.device,
            session=settings.session,
            threads=settings.engine_threads,
            model_dir=model_dir,
            stores=stores,
            without=without,
        )

    return Scorer(opened(model, without), lambda: opened(GEOMETRY_MODEL), say=say)
