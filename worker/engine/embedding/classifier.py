"""The bi-encoder: a text's score for a label is the calibrated cosine of their embeddings."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Collection, Container, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.engine.classifier import Batch, Classifier, ModelInfo, Plan, Reuse, RunStats, Scored
from worker.engine.embedding.encoder import EncodePlan, Encoder
from worker.engine.manifest import EmbeddingSpec
from worker.engine.phrasing import Phrasings, Recipe, label_recipe, strings_that_must_fit, zero_recipe
from worker.engine.sessions.base import Progress, nothing
from worker.engine.stores import Stores, Vector, VectorStore
from yeban.errors import EngineFailed, InvalidLabels, msg
from yeban.labels import DEFAULT_TEMPLATE, LabelSet

_WARM_UP_CHARS = (1, 8, 24, 96)


@dataclass(frozen=True, kw_only=True)
class _LabelKeys:
    """Cache keys of a label set's labels, and of their zeros if any."""

    labels: tuple[bytes, ...]
    zeros: tuple[bytes, ...]


@dataclass(frozen=True, kw_only=True)
class EmbeddingPlan(Plan):
    """Cached vectors (``found``, by cache key) and strings that the engine must embed.

    ``recipes`` and ``missing_texts`` map rows of ``encode`` to missing vectors.
    """

    text_keys: tuple[tuple[bytes, ...], ...]
    label_keys: tuple[_LabelKeys, ...]
    found: dict[bytes, Vector]
    recipes: dict[bytes, Recipe]
    missing_texts: dict[bytes, int]
    rows: dict[str, int]
    encode: EncodePlan


class EmbeddingClassifier(Classifier):
    """Embeds texts and labels with one encoder; label embeddings, and texts if wanted, are cached."""

    def __init__(self, encoder: Encoder, info: ModelInfo, spec: EmbeddingSpec, *, stores: Stores | None = None) -> None:
        self._encoder = encoder
        self._info = info
        self._spec = spec
        self._stores = stores or Stores()
        self._usual = np.array(spec.background, np.float32) * np.float32(spec.background_share)
        seed = (info.fingerprint, info.precision, info.session, info.device, str(info.max_tokens))
        self._hash = hashlib.blake2b("\x1f".join(seed).encode(), digest_size=20)

    @property
    def info(self) -> ModelInfo:
        return self._info

    def check(self, label_set: LabelSet) -> None:
        pairs = strings_that_must_fit(label_set, self._spec.phrasings, self._spec.label_prefix)
        lengths = self._encoder.lengths([string for _, string in pairs])
        for (name, _), length in zip(pairs, lengths, strict=True):
            if length > self._spec.max_tokens:
                raise InvalidLabels(
                    msg(
                        "The label “%(name)s” in its template has %(length)s tokens; the model reads at most "
                        "%(max_tokens)s. Shorten the label, its description or the template.",
                        name=name[:40],
                        length=length,
                        max_tokens=self._spec.max_tokens,
                    ),
                    label=name,
                    limit=self._spec.max_tokens,
                )

    def plan(self, batches: Sequence[Batch]) -> EmbeddingPlan:
        started = time.perf_counter()
        texts: dict[bytes, str] = {}
        text_keys = tuple(self._text_keys(batch.texts, texts) for batch in batches)
        recipes: dict[bytes, Recipe] = {}
        keys_of = {label_set: self._label_keys(label_set, recipes) for label_set in {b.label_set for b in batches}}
        found = self._look_up(self._stores.labels, recipes)
        cached_labels = len(found)
        if cached_labels < len(recipes):
            for label_set, keys in keys_of.items():
                if not found.keys() >= set(keys.labels):
                    self.check(label_set)
        found |= self._look_up(self._stores.texts, texts)
        missing_recipes = {key: recipe for key, recipe in recipes.items() if key not in found}
        missing_texts = {key: text for key, text in texts.items() if key not in found}
        rows: dict[str, int] = {}
        for recipe in missing_recipes.values():
            for part in recipe:
                for string in part.strings:
                    rows.setdefault(string, len(rows))
        text_rows = {key: rows.setdefault(text, len(rows)) for key, text in missing_texts.items()}
        encode = self._encoder.plan(list(rows))
        truncated = set(encode.truncated)
        stats = RunStats(
            texts=sum(map(len, text_keys)),
            unique_texts=len(texts),
            cached_texts=len(texts) - len(missing_texts),
            truncated_texts=sum(row in truncated for row in text_rows.values()),
            unique_labels=len(recipes),
            cached_labels=cached_labels,
            tokens=encode.tokens,
            padded_tokens=encode.padded_tokens,
            plan_s=time.perf_counter() - started,
        )
        return EmbeddingPlan(
            batches=tuple(batches),
            stats=stats,
            text_keys=text_keys,
            label_keys=tuple(keys_of[batch.label_set] for batch in batches),
            found=found,
            recipes=missing_recipes,
            missing_texts=text_rows,
            rows=rows,
            encode=encode,
        )

    def run(self, plan: Plan, *, progress: Progress = nothing) -> Scored:
        if not isinstance(plan, EmbeddingPlan):
            raise TypeError(f"an EmbeddingClassifier cannot run a {type(plan).__name__}")
        started = time.perf_counter()
        embedded = self._encoder.run(plan.encode, progress=progress)
        labels = {key: _compose(recipe, plan.rows, embedded) for key, recipe in plan.recipes.items()}
        texts = {key: embedded[row] for key, row in plan.missing_texts.items()}
        self._stores.labels.put_many(labels)
        self._stores.texts.put_many(texts)
        vectors = plan.found | labels | texts
        scores = [
            self._score_batch(batch, text_keys, label_keys, vectors)
            for batch, text_keys, label_keys in zip(plan.batches, plan.text_keys, plan.label_keys, strict=True)
        ]
        asked = tuple(
            self._stack(keys, vectors) if batch.embed else None
            for batch, keys in zip(plan.batches, plan.text_keys, strict=True)
        )
        reuse = tuple(_reuse(keys, plan.missing_texts) for keys in plan.text_keys)
        stats = dataclasses.replace(plan.stats, engine_s=time.perf_counter() - started)
        return Scored(scores=scores, reuse=reuse, stats=stats, vectors=asked)

    def weight(self, batch: Batch) -> int:
        longest = self._spec.max_tokens
        return sum(min(longest, len(text)) for text in batch.texts)

    def truncates(self, text: str, label_set: LabelSet) -> bool:  # noqa: ARG002 - a text is embedded alone
        # Normalisation expands a character to a few at most, so short texts need no tokeniser.
        full = self._spec.text_prefix + text
        return len(full) > self._spec.max_tokens // 4 and self._encoder.lengths([full])[0] > self._spec.max_tokens

    def embed(self, texts: Sequence[str]) -> Vector:
        """Unit embeddings ``(n_texts, dimension)`` float32 of texts, bypassing the caches."""
        return self._encoder.encode([self._spec.text_prefix + text for text in texts])

    def warm_up(self) -> None:
        for length in _WARM_UP_CHARS:
            self.embed(["夜" * length])

    def _text_keys(self, batch_texts: Sequence[str], texts: dict[bytes, str]) -> tuple[bytes, ...]:
        """Cache keys of a batch's texts; each is entered in ``texts`` with its prefix."""
        keys = []
        for text in batch_texts:
            full = self._spec.text_prefix + text
            key = self._key((full,))
            texts[key] = full
            keys.append(key)
        return tuple(keys)

    def _label_keys(self, label_set: LabelSet, recipes: dict[bytes, Recipe]) -> _LabelKeys:
        """Cache keys of a label set; adds the strings of each to ``recipes``."""
        spec = self._spec
        labels, zeros = [], []
        for label in label_set.labels:
            recipe = label_recipe(
                label,
                label_set.template,
                spec.phrasings,
                text_prefix=spec.text_prefix,
                label_prefix=spec.label_prefix,
            )
            labels.append(self._recipe_key(recipe, recipes))
            if _independent(label_set):
                zero = zero_recipe(label, label_set.template, spec.phrasings, label_prefix=spec.label_prefix)
                zeros.append(self._recipe_key(zero, recipes))
        return _LabelKeys(labels=tuple(labels), zeros=tuple(zeros))

    def _recipe_key(self, recipe: Recipe, recipes: dict[bytes, Recipe]) -> bytes:
        key = self._key([f"{part.weight}\x1f{string}" for part in recipe for string in part.strings])
        recipes[key] = recipe
        return key

    def _key(self, strings: Sequence[str]) -> bytes:
        hasher = self._hash.copy()
        for string in strings:
            data = string.encode("utf-8", "surrogatepass")
            # The length prefix keeps one string from matching two others.
            hasher.update(len(data).to_bytes(8, "little"))
            hasher.update(data)
        return hasher.digest()

    def _score_batch(
        self, batch: Batch, text_keys: Sequence[bytes], label_keys: _LabelKeys, vectors: dict[bytes, Vector]
    ) -> NDArray[np.float32]:
        texts = self._stack(text_keys, vectors)
        labels = self._stack(label_keys.labels, vectors)
        cosines = texts @ labels.T
        calibration = self._spec.calibration
        if _independent(batch.label_set):
            zeros = texts @ self._stack(label_keys.zeros, vectors).T
            scores = calibration.independent(cosines - zeros)
        else:
            scores = calibration.exclusive(cosines - labels @ self._usual)
        if not np.isfinite(scores).all():
            raise EngineFailed(msg("The engine returned scores that are not finite."))
        return scores

    def _look_up(self, store: VectorStore, keys: Iterable[bytes]) -> dict[bytes, Vector]:
        wanted = list(keys)
        values = store.get_many(wanted) if wanted else []
        shape = (self._spec.dimension,)
        return {
            key: value
            for key, value in zip(wanted, values, strict=True)
            if value is not None and value.shape == shape and np.isfinite(value).all()
        }

    def _stack(self, keys: Sequence[bytes], vectors: dict[bytes, Vector]) -> Vector:
        if not keys:
            return np.empty((0, self._spec.dimension), np.float32)
        return np.stack([vectors[key] for key in keys])


def plainer(spec: EmbeddingSpec, without: Collection[str]) -> EmbeddingSpec:
    """``spec`` without some of :data:`~worker.engine.phrasing.FEATURES`, to measure their effect.

    ``phrasing`` puts bare labels into sentences; ``background`` removes the bias towards labels that any text favours.
    """
    if "phrasing" in without:
        bare = {
            language: dataclasses.replace(getattr(spec.phrasings, language), frames=(DEFAULT_TEMPLATE,))
            for language in ("east_asian", "other")
        }
        spec = dataclasses.replace(spec, phrasings=Phrasings(**bare))
    if "background" in without:
        spec = dataclasses.replace(spec, background_share=0.0)
    return spec


def _independent(label_set: LabelSet) -> bool:
    return label_set.multi_label or len(label_set) == 1


def _reuse(keys: Sequence[bytes], missing: Container[bytes]) -> Reuse:
    return Reuse(lookups=len(keys), hits=sum(key not in missing for key in keys))


def _compose(recipe: Recipe, rows: dict[str, int], embedded: Vector) -> Vector:
    """The unit vector of a recipe whose strings are ``rows`` of ``embedded``."""
    total = np.zeros(embedded.shape[1], np.float32)
    for part in recipe:
        total += np.float32(part.weight) * embedded[[rows[string] for string in part.strings]].mean(axis=0)
    return total / np.linalg.norm(total)
