"""Hypotheses of label sets as tokens, computed once per label set."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass

from worker.engine.tokenisers.pairs import PairTokeniser
from yeban.errors import InvalidLabels, msg
from yeban.labels import LabelSet

DIGEST_BYTES = 16

_MAX_LABEL_SETS = 500


@dataclass(frozen=True, kw_only=True)
class Hypothesis:
    """A label in its template: its tokens, and its part of a cache key."""

    ids: tuple[int, ...]
    digest: bytes


class Hypotheses:
    """The hypotheses of label sets, in label order; the most recently used are cached. Thread-safe."""

    def __init__(self, tokeniser: PairTokeniser) -> None:
        self._tokeniser = tokeniser
        # Up to this length ModelScope also keeps the label whole and cuts only the text.
        self._longest = (tokeniser.room(()) - 1) // 2
        self._known: OrderedDict[LabelSet, tuple[Hypothesis, ...]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, label_set: LabelSet) -> tuple[Hypothesis, ...]:
        """Raise :class:`~yeban.errors.InvalidLabels` if a label in its template is too long for the model."""
        with self._lock:
            known = self._known.get(label_set)
            if known is not None:
                self._known.move_to_end(label_set)
                return known
        made = self._make(label_set)
        with self._lock:
            self._known[label_set] = made
            if len(self._known) > _MAX_LABEL_SETS:
                self._known.popitem(last=False)
        return made

    def _make(self, label_set: LabelSet) -> tuple[Hypothesis, ...]:
        strings = label_set.hypotheses
        rows = self._tokeniser.encode(strings)
        for name, ids in zip(label_set.names, rows, strict=True):
            if len(ids) > self._longest:
                raise InvalidLabels(
                    msg(
                        "The label “%(name)s” in its template has %(count)s tokens; the limit is "
                        "%(longest)s, which leaves room for a text. Shorten the label or the template.",
                        name=name[:40],
                        count=len(ids),
                        longest=self._longest,
                    ),
                    label=name,
                    limit=self._longest,
                )
        return tuple(
            Hypothesis(ids=tuple(ids), digest=digest(string)) for string, ids in zip(strings, rows, strict=True)
        )


def digest(string: str) -> bytes:
    """Digest of a text or a hypothesis for a cache key."""
    return hashlib.blake2b(string.encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES).digest()
