"""The int8 graph of a cross-encoder: the fastest scheme that keeps the samples' labels."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from worker.engine.graphs.bert import Arrays, Geometry
from worker.engine.graphs.linears import InputQuantiser, Int8Linears
from worker.engine.graphs.quantisation import Observer
from worker.engine.nli import oracle
from worker.engine.nli.blocks import cut
from worker.engine.nli.samples import Question

_log = logging.getLogger(__name__)

WANTED_AGREEMENT = 0.95
"""Share of sample texts that are to keep their best label.

The samples are hard: most meet labels that were not made for them. Measured on a trained cross-encoder, .96 of them
went with .994 of the rows of files with labels of their own (docs/accuracy.md).
"""


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """Matrices of a layer whose input scales are found at run time, and the size of their groups."""

    dynamic: tuple[str, ...] = ()
    activation_group: int = 0


SCHEMES: Mapping[str, Scheme] = {
    "static": Scheme(),
    "mixed": Scheme(dynamic=("fo",), activation_group=64),
    "careful": Scheme(dynamic=("fo", "ao"), activation_group=64),
    "dynamic": Scheme(dynamic=("q", "k", "v", "ao", "fi", "fo"), activation_group=32),
}
"""Ways to int8, fastest first. The groups are the fastest ones that cost no labels.

The inputs of the second feed-forward product are the hardest to fix scales for; those of the attention's output come
next.
"""

_PAIRS_OF_EACH = 2
_BLOCK_TOKENS = 512


def fit(arrays: Arrays, geometry: Geometry, asked: Sequence[Question], *, pad: int) -> dict[str, InputQuantiser]:
    """Fit a quantiser for the input of each layer matrix on the samples."""
    pairs = [pair for question in asked for pair in question.pairs[:_PAIRS_OF_EACH]]
    observer = Observer(sum(len(pair.input_ids) for pair in pairs))
    for block in cut(pairs, pad=pad, max_block_tokens=_BLOCK_TOKENS):
        oracle.logits(arrays, geometry, block.inputs, observer.see)
    return observer.quantisers(arrays)


def choose_scheme(agreement: Callable[[str], float]) -> str:
    """The first scheme whose share of texts with the same best label suffices, or else the one with the largest.

    ``agreement`` builds the graph in a scheme and measures the share.
    """
    found: dict[str, float] = {}
    for scheme in SCHEMES:
        found[scheme] = agreement(scheme)
        _log.info("int8 tried", extra={"scheme": scheme, "same_top_label": round(found[scheme], 4)})
        if found[scheme] >= WANTED_AGREEMENT:
            return scheme
    return max(found, key=found.__getitem__)


def linears(arrays: Arrays, quantisers: Mapping[str, InputQuantiser], scheme: str) -> Int8Linears:
    """The matrices of a graph in one of :data:`SCHEMES`."""
    dynamic = SCHEMES[scheme].dynamic
    return Int8Linears(arrays, {name: it for name, it in quantisers.items() if name.rpartition(".")[2] not in dynamic})
