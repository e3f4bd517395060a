"""What is measured on: checkpoints with random weights at published geometries, and texts from the sample tickets."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tests.benchmarks.harness import LABELS
from tests.benchmarks.texts import tickets
from tests.fixtures.structbert import default_vocab, make_structbert

VOCABULARY = 21_128
"""Rows of the published models' vocabulary."""

TEN_LABELS = tuple(LABELS.split(","))
THREE_LABELS = TEN_LABELS[:3]

_LONG_CHARS = (200, 480)
_SEED = 20_261_123


@dataclass(frozen=True, kw_only=True)
class Size:
    """A geometry, and how many rows of each setting take a float32 pipeline about ten seconds on two cores."""

    layers: int
    hidden: int
    heads: int
    intermediate: int
    rows: tuple[int, int, int, int]
    stream_rows: int
    limit_s: float = 0.6
    """Of measuring one limit, each round."""


SIZES: Mapping[str, Size] = {
    "base": Size(layers=12, hidden=768, heads=12, intermediate=3072, rows=(96, 32, 12, 4), stream_rows=384),
    "large": Size(layers=24, hidden=1024, heads=16, intermediate=4096, rows=(32, 10, 4, 2), stream_rows=192),
    # Says nothing about speed; it tries the benchmark itself.
    "tiny": Size(layers=2, hidden=64, heads=4, intermediate=128, rows=(16, 8, 4, 2), stream_rows=64, limit_s=0.02),
}


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Texts for each round, all different, that are held against the same labels."""

    name: str
    rounds: tuple[tuple[str, ...], ...]
    labels: tuple[str, ...]


def settings(size: Size, rounds: int) -> tuple[Setting, ...]:
    """Tickets and long texts, with three labels and with ten."""
    cases = (
        ("tickets", _tickets_of_round, size.rows[0], THREE_LABELS),
        ("tickets", _tickets_of_round, size.rows[1], TEN_LABELS),
        ("long texts", long_texts, size.rows[2], THREE_LABELS),
        ("long texts", long_texts, size.rows[3], TEN_LABELS),
    )
    return tuple(
        Setting(
            name=f"{name}, {len(labels)} labels",
            rounds=tuple(tuple(texts(count, number)) for number in range(rounds)),
            labels=labels,
        )
        for name, texts, count, labels in cases
    )


def even_sample(texts: Sequence[str], count: int, number: int = 0) -> list[str]:
    """``count`` of the texts, evenly spread over their lengths, in no order: a small sample as long as the whole.

    Samples of another ``number`` are of other texts, as far as there are any.
    """
    by_length = sorted(texts, key=lambda text: (len(text), text))
    edges = [at * len(by_length) // count for at in range(count + 1)]
    # Steps of the golden ratio fall ever between the earlier ones.
    place = (0.5 + number * 0.618) % 1
    chosen = [by_length[first + int(place * (last - first))] for first, last in pairwise(edges)]
    random.Random(_SEED).shuffle(chosen)
    return chosen


def _tickets_of_round(count: int, number: int) -> list[str]:
    return even_sample(tickets(), count, number)


def long_texts(count: int, number: int = 0) -> list[str]:
    """Texts of 200 to 480 characters, evenly spread: sample tickets one after another, as in a thread of mails."""
    chance = random.Random(_SEED + number)
    sample = tickets()
    shortest, longest = _LONG_CHARS
    texts = []
    for at in range(count):
        wanted = shortest + (longest - shortest) * (2 * at + 1) // (2 * count)
        text = ""
        while len(text) < wanted:
            text += chance.choice(sample) + "\n"
        texts.append(text[:wanted])
    chance.shuffle(texts)
    return texts


def stream(count: int, repeats: float) -> list[str]:
    """``count`` tickets of which about a share ``repeats`` say exactly what an earlier one said.

    A repeat takes up any earlier ticket with the same chance, so what was said often is said again more often, and
    a few texts make up much of the stream, as in Zipf's law (Simon, "On a class of skew distribution functions",
    1955). Tickets that repeat nothing are drawn from the samples, which are all different.
    """
    chance = random.Random(_SEED)
    # Exactly as many as asked for: with some hundred tickets, chance alone would be off by several per cent.
    repeated = round(repeats * (count - 1))
    repeating = [at < repeated for at in range(count - 1)]
    chance.shuffle(repeating)
    fresh = iter(even_sample(tickets(), count - repeated))
    texts = [next(fresh)]
    for repeat in repeating:
        texts.append(chance.choice(texts) if repeat else next(fresh))
    return texts


def make_checkpoint(folder: Path, size: Size, **options: object) -> Path:
    """A StructBERT checkpoint of this geometry, with a vocabulary of the published size that knows the texts.

    ``options`` are passed on to :func:`~tests.fixtures.structbert.make_structbert`.
    """
    return make_structbert(
        folder,
        layers=size.layers,
        hidden=size.hidden,
        heads=size.heads,
        intermediate=size.intermediate,
        vocab=vocabulary(),
        **options,
    )


def vocabulary() -> tuple[str, ...]:
    """Every character of the sample tickets and the common Chinese ones, filled up with unused tokens."""
    seen = sorted({character for text in tickets() for character in text.lower() if not character.isspace()})
    known = dict.fromkeys((*default_vocab(), *seen, *_common_characters()))
    unused = (f"[unused{at}]" for at in range(100, 100 + VOCABULARY))
    return tuple([*known, *unused][:VOCABULARY])


def _common_characters() -> Iterator[str]:
    """The 6,763 characters of GB 2312."""
    for row in range(0xB0, 0xF8):
        for cell in range(0xA1, 0xFF):
            try:
                yield bytes((row, cell)).decode("gb2312")
            except UnicodeDecodeError:
                continue
