"""Which fault strikes when: told by the seed alone."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Strike:
    """A fault that is due ``at_s`` seconds into the run; ``seed`` decides all else about it."""

    at_s: float
    kind: str
    seed: str


def make_schedule(kinds: Sequence[str], *, seed: int, seconds: float, apart_s: tuple[float, float]) -> Iterator[Strike]:
    """Strikes within ``seconds``, apart by between ``apart_s[0]`` and ``apart_s[1]``.

    Every kind once in an order of the seed's, then every kind again in another.
    """
    rng = random.Random(f"schedule {seed}")
    at_s, number = 0.0, 0
    while True:
        for kind in rng.sample(sorted(kinds), len(kinds)):
            at_s += rng.uniform(*apart_s)
            if at_s > seconds:
                return
            yield Strike(at_s=at_s, kind=kind, seed=f"{seed} {number} {kind}")
            number += 1
