"""Measuring the contenders: always in turn, round by round, so that a change of the machine's mood meets all."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np

from tests.benchmarks.engine.child import Child
from tests.benchmarks.engine.contenders import Place
from tests.benchmarks.engine.material import TEN_LABELS, THREE_LABELS, Setting, even_sample, stream
from tests.benchmarks.harness import Measured, percentile
from tests.benchmarks.texts import tickets

REPEATS = (0.0, 0.3, 0.5, 0.7)
CALLS = 60
FIRST_CALLS = 100
REFERENCE = "transformers"
"""Whose float32 logits the others are held against."""

_STREAM_ROUNDS = 2
_AGREEMENT_TEXTS = 24
_WARM_UP_CALLS = 3


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """Seconds from the start of the process to the first answer, and of loading without imports; peak memory then."""

    first_answer_s: Measured
    load_s: Measured
    peak_mb: Measured


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Beside float32: the share of texts with the same best label, and how far a logit is off at most."""

    same_top_label: float
    worst_difference: float


def loads(names: Sequence[str], place: Place, rounds: int) -> dict[str, Loaded]:
    """Start every contender anew in each round. A round before them fills the page cache and does not count."""
    found: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    for _ in range(rounds + 1):
        for name in names:
            with Child(name, place) as child:
                times = child.ask("load")
                child.ask("score", texts=tickets()[:1], labels=THREE_LABELS)
                first_answer = time.perf_counter() - child.started
                found[name].append((first_answer, times["load"], child.ask("peak_bytes") / 2**20))
    return {
        name: Loaded(**dict(zip(("first_answer_s", "load_s", "peak_mb"), _columns(rows[1:]), strict=True)))
        for name, rows in found.items()
    }


@contextmanager
def running(names: Sequence[str], place: Place) -> Iterator[dict[str, Child]]:
    """One process for each contender, loaded."""
    with ExitStack() as stack:
        children = {name: stack.enter_context(Child(name, place)) for name in names}
        for child in children.values():
            child.ask("load")
        yield children


def throughput(children: Mapping[str, Child], settings: Sequence[Setting]) -> dict[str, dict[str, Measured]]:
    """Texts a second, by setting and contender: in each round everyone gets the same texts, other ones than before."""
    found: dict[str, dict[str, list[float]]] = {setting.name: defaultdict(list) for setting in settings}
    for setting in settings:
        for child in children.values():
            child.ask("score", texts=setting.rounds[0][:2], labels=setting.labels)
    for number in range(len(settings[0].rounds)):
        for setting in settings:
            texts = setting.rounds[number]
            for name, child in children.items():
                found[setting.name][name].append(len(texts) / child.ask("score", texts=texts, labels=setting.labels))
    return {setting: {name: Measured(tuple(each)) for name, each in by.items()} for setting, by in found.items()}


def latency(children: Mapping[str, Child], rounds: int) -> dict[str, tuple[Measured, Measured]]:
    """Milliseconds of one text with three labels: p50 and p95 of each round, of as many calls in all as CALLS."""
    texts = even_sample(tickets(), CALLS)
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for number in range(rounds):
        mine = texts[number::rounds]
        for name, child in children.items():
            child.ask("each", texts=mine[:_WARM_UP_CALLS], labels=THREE_LABELS)
            times = [1000 * took for took in child.ask("each", texts=mine, labels=THREE_LABELS)]
            found[name].append((percentile(times, 0.5), percentile(times, 0.95)))
    return {name: _columns(rows) for name, rows in found.items()}


def first_requests(name: str, place: Place, rounds: int) -> tuple[Measured, Measured, Measured]:
    """In fresh processes: seconds of warming up, then milliseconds of the first call and of the last half's median.

    All texts are different and of nearly the same length.
    """
    sample = sorted(tickets(), key=len)
    middle = len(sample) // 2
    texts = sample[middle - FIRST_CALLS // 2 : middle + FIRST_CALLS // 2]
    # Lengths must not grow from the first call to the last.
    texts = texts[::2] + texts[1::2][::-1]
    rows = []
    for _ in range(rounds):
        with Child(name, place) as child:
            warm_up_s = child.ask("load", warm_up=True)["warm_up"]
            times = [1000 * took for took in child.ask("each", texts=texts, labels=THREE_LABELS)]
            rows.append((warm_up_s, times[0], percentile(times[len(times) // 2 :], 0.5)))
    return _columns(rows)


def agreement(children: Mapping[str, Child]) -> dict[str, Agreement]:
    """Each contender beside float32, for those that show their logits."""
    texts = even_sample(tickets(), _AGREEMENT_TEXTS)
    logits = {
        name: np.array(child.ask("logits", texts=texts, labels=TEN_LABELS))
        for name, child in children.items()
        if name != "modelscope"
    }
    wanted = logits[REFERENCE]
    return {
        name: Agreement(
            same_top_label=float((got[:, :, 0].argmax(axis=1) == wanted[:, :, 0].argmax(axis=1)).mean()),
            worst_difference=float(np.abs(got - wanted).max()),
        )
        for name, got in logits.items()
        if name != REFERENCE
    }


def streams(name: str, place: Place, rows: int) -> dict[float, Measured]:
    """Texts a second on streams with repeats, ten labels, by the share of repeats; each begins with empty caches."""
    found: dict[float, list[float]] = defaultdict(list)
    for _ in range(_STREAM_ROUNDS):
        for share in REPEATS:
            with Child(name, place) as child:
                child.ask("load", warm_up=True)
                found[share].append(rows / child.ask("score", texts=stream(rows, share), labels=TEN_LABELS))
    return {share: Measured(tuple(each)) for share, each in found.items()}


def _columns(rows: Sequence[Sequence[float]]) -> tuple[Measured, ...]:
    return tuple(Measured(column) for column in zip(*rows, strict=True))
