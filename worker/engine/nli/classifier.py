"""The cross-encoder classifier: scores pairs of a text and a label's hypothesis.

Every layer attends over both, so neither a text nor a label can be cached alone. The logits of a pair can: any set of
labels, in any order, single or multi-label, follows from them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.engine.calibration import sigmoid, softmax
from worker.engine.classifier import Batch, Classifier, ModelInfo, Plan, Reuse, RunStats, Scored
from worker.engine.manifest import NliSpec
from worker.engine.nli.blocks import PairBlock, cut
from worker.engine.nli.hypotheses import DIGEST_BYTES, Hypotheses, Hypothesis, digest
from worker.engine.sessions.base import Progress, Session, nothing
from worker.engine.stores import Stores
from worker.engine.tokenisers.pairs import Pair, PairTokeniser
from yeban.errors import EngineFailed, msg
from yeban.labels import LabelSet

Floats = NDArray[np.float32]

_MOST_TOKENS_A_CHARACTER = 4
"""Of what is common: a Korean syllable falls into three letters, a rare character into four bytes."""

_WARM_UP_TOKENS = (8, 24, 48, 96)
_WARM_UP_LABELS = 3


@dataclass(frozen=True, kw_only=True)
class NliPlan(Plan):
    """Unique pairs by number: cached logits, and pairs that the engine must compute.

    ``numbers`` has ``(n_texts, n_labels)`` pair numbers a batch, ``logits`` ``(pairs, classes)`` float32 rows, valid
    where ``known`` says so; ``missing`` lists the others' numbers in the order of the rows of ``blocks``.
    """

    numbers: tuple[NDArray[np.intp], ...]
    keys: tuple[bytes, ...]
    logits: Floats
    known: NDArray[np.bool_]
    missing: NDArray[np.intp]
    blocks: tuple[PairBlock, ...]


class NliClassifier(Classifier):
    """Scores pairs of texts and hypotheses; the logits of pairs are cached."""

    def __init__(
        self,
        tokeniser: PairTokeniser,
        session: Session,
        info: ModelInfo,
        spec: NliSpec,
        *,
        stores: Stores | None = None,
    ) -> None:
        self._tokeniser = tokeniser
        self._session = session
        self._info = info
        self._spec = spec
        self._pairs = (stores or Stores()).pairs
        self._hypotheses = Hypotheses(tokeniser)
        # Sessions differ in the last digits, and one job must not mix two.
        seed = (info.fingerprint, info.precision, info.session, info.device, str(spec.max_tokens))
        self._seed = hashlib.blake2b("\x1f".join(seed).encode(), digest_size=DIGEST_BYTES).digest()

    @property
    def info(self) -> ModelInfo:
        return self._info

    def check(self, label_set: LabelSet) -> None:
        self._hypotheses.of(label_set)

    def plan(self, batches: Sequence[Batch]) -> NliPlan:
        started = time.perf_counter()
        texts: dict[str, bytes] = {}
        number_of: dict[bytes, int] = {}
        asked: list[tuple[str, Sequence[int]]] = []
        numbers: list[NDArray[np.intp]] = []
        hypotheses_used: set[Hypothesis] = set()
        for batch in batches:
            hypotheses = self._hypotheses.of(batch.label_set)
            hypotheses_used.update(hypotheses)
            mine = np.empty((len(batch.texts), len(hypotheses)), np.intp)
            for row, text in enumerate(batch.texts):
                known_text = texts.get(text)
                text_digest = texts.setdefault(text, digest(text)) if known_text is None else known_text
                for column, hypothesis in enumerate(hypotheses):
                    key = text_digest + hypothesis.digest
                    number = number_of.get(key)
                    if number is None:
                        number = number_of[key] = len(asked)
                        asked.append((text, hypothesis.ids))
                    mine[row, column] = number
            numbers.append(mine)
        keys = tuple(self._seed + key for key in number_of)
        logits, known = self._look_up(keys)
        missing = np.flatnonzero(~known)
        blocks, truncated = self._blocks([asked[number] for number in missing])
        open_texts = {asked[number][0] for number in missing}
        stats = RunStats(
            texts=sum(len(batch.texts) for batch in batches),
            unique_texts=len(texts),
            cached_texts=len(texts) - len(open_texts),
            truncated_texts=truncated,
            unique_labels=len(hypotheses_used),
            unique_pairs=len(keys),
            cached_pairs=len(keys) - len(missing),
            tokens=sum(int(block.inputs["attention_mask"].sum()) for block in blocks),
            padded_tokens=sum(block.padded_tokens for block in blocks),
            plan_s=time.perf_counter() - started,
        )
        return NliPlan(
            batches=tuple(batches),
            stats=stats,
            numbers=tuple(numbers),
            keys=keys,
            logits=logits,
            known=known,
            missing=missing,
            blocks=tuple(blocks),
        )

    def run(self, plan: Plan, *, progress: Progress = nothing) -> Scored:
        if not isinstance(plan, NliPlan):
            raise TypeError(f"an NliClassifier cannot run a {type(plan).__name__}")
        started = time.perf_counter()
        outputs = self._session.run([block.inputs for block in plan.blocks], progress=progress)
        logits = plan.logits.copy()
        for block, output in zip(plan.blocks, outputs, strict=True):
            logits[plan.missing[block.rows]] = output
        if not np.isfinite(logits).all():
            raise EngineFailed(
                msg("The engine %(session)s returned logits that are not finite.", session=self._session.name)
            )
        self._pairs.put_many({plan.keys[number]: logits[number] for number in plan.missing})
        scores = [
            self._scores(batch.label_set, logits[numbers])
            for batch, numbers in zip(plan.batches, plan.numbers, strict=True)
        ]
        reuse = tuple(Reuse(lookups=numbers.size, hits=int(plan.known[numbers].sum())) for numbers in plan.numbers)
        stats = dataclasses.replace(plan.stats, engine_s=time.perf_counter() - started)
        return Scored(scores=scores, reuse=reuse, stats=stats)

    def weight(self, batch: Batch) -> int:
        longest = self._spec.max_tokens
        hypotheses = [len(hypothesis.ids) for hypothesis in self._hypotheses.of(batch.label_set)]
        framed = sum(hypotheses) + 3 * len(hypotheses)
        return sum(min(longest * len(hypotheses), _guess(text) * len(hypotheses) + framed) for text in batch.texts)

    def truncates(self, text: str, label_set: LabelSet) -> bool:
        room = min(self._tokeniser.room(hypothesis.ids) for hypothesis in self._hypotheses.of(label_set))
        return len(text) > room // _MOST_TOKENS_A_CHARACTER and len(self._tokeniser.encode([text])[0]) > room

    def warm_up(self) -> None:
        hypothesis = self._tokeniser.encode(["夜"])[0]
        for tokens in _WARM_UP_TOKENS:
            text = self._tokeniser.encode(["夜" * tokens])[0]
            pairs = [self._tokeniser.frame(text, hypothesis)] * _WARM_UP_LABELS
            self._session.run([block.inputs for block in self._cut(pairs)])

    def _look_up(self, keys: Sequence[bytes]) -> tuple[Floats, NDArray[np.bool_]]:
        logits = np.zeros((len(keys), self._spec.classes), np.float32)
        known = np.zeros(len(keys), np.bool_)
        for number, value in enumerate(self._pairs.get_many(keys) if keys else ()):
            if value is not None and value.shape == (self._spec.classes,) and np.isfinite(value).all():
                logits[number] = value
                known[number] = True
        return logits, known

    def _blocks(self, asked: Sequence[tuple[str, Sequence[int]]]) -> tuple[list[PairBlock], int]:
        """Blocks of pairs of a text and a hypothesis, and the number of texts cut."""
        texts = list(dict.fromkeys(text for text, _ in asked))
        ids_of = dict(zip(texts, self._tokeniser.encode(texts), strict=True))
        pairs = [self._tokeniser.frame(ids_of[text], hypothesis) for text, hypothesis in asked]
        truncated = {text for (text, _), pair in zip(asked, pairs, strict=True) if pair.truncated}
        return self._cut(pairs), len(truncated)

    def _cut(self, pairs: Sequence[Pair]) -> list[PairBlock]:
        return cut(pairs, pad=self._spec.pad, max_block_tokens=self._session.block_tokens)

    def _scores(self, label_set: LabelSet, logits: Floats) -> Floats:
        spec = self._spec
        if label_set.multi_label or len(label_set) == 1:
            return independent(logits, entailment=spec.entailment, contradiction=spec.contradiction)
        return exclusive(logits, entailment=spec.entailment)


def _guess(text: str) -> int:
    """Estimate tokens: one per Chinese character (three bytes), one per four letters."""
    wide = (len(text.encode("utf-8", "surrogatepass")) - len(text)) // 2
    return max(1, wide + (len(text) - wide) // 4)


def exclusive(logits: NDArray[np.float32], *, entailment: int) -> NDArray[np.float32]:
    """Softmax over labels of the entailment logit: ``(n_texts, n_labels, classes)`` to ``(n_texts, n_labels)``."""
    return np.asarray(softmax(logits[..., entailment]), np.float32)


def independent(logits: NDArray[np.float32], *, entailment: int, contradiction: int) -> NDArray[np.float32]:
    """Softmax over entailment and contradiction, label by label; shapes as in :func:`exclusive`."""
    # Of two numbers, the softmax is the logistic function of their difference.
    return np.asarray(sigmoid(logits[..., entailment] - logits[..., contradiction]), np.float32)
