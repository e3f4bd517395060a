"""How much arithmetic a cross-encoder is."""

from __future__ import annotations

from collections.abc import Iterable

from tests.benchmarks.engine.material import Size


def full_flops(size: Size, lengths: Iterable[int]) -> float:
    """Multiplications and additions of a full model for pairs of these lengths, in tokens, special ones included.

    Counted are the matrices of every layer for every token, and attention; not embeddings, norms, activations, the
    pooler and the classifier.
    """
    return sum(size.layers * _layer(size, tokens, tokens) for tokens in lengths)


def needed_flops(size: Size, lengths: Iterable[int]) -> float:
    """As :func:`full_flops`, but of the last layer only what the first token needs, which alone is read."""
    return sum((size.layers - 1) * _layer(size, tokens, tokens) + _layer(size, tokens, 1) for tokens in lengths)


def _layer(size: Size, tokens: int, asking: int) -> float:
    """A layer over ``tokens`` of which ``asking`` go on to the next."""
    hidden = size.hidden
    keys_and_values = 2 * tokens * 2 * hidden**2
    query_and_output = 2 * asking * 2 * hidden**2
    feed_forward = 2 * asking * 2 * hidden * size.intermediate
    attention = 2 * asking * 2 * tokens * hidden
    return keys_and_values + query_and_output + feed_forward + attention
