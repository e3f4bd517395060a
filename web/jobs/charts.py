"""Layout of charts: figures in, coordinates out. Templates draw them as SVG.

Coordinates are in the units of the chart's view box, :data:`WIDTH` by :data:`HEIGHT`, from its upper left corner.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 360, 190

#: Edges of the plot area; labels are drawn outside.
LEFT, RIGHT, TOP, BASE = 40, WIDTH - 10, 14, HEIGHT - 24

_GAP = 0.15  # between two bars, as a share of the bar width
_STEPS = 5


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A tick with its label."""

    at: float
    value: float


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A bar of a histogram: the count from ``low`` to ``high``."""

    x: float
    y: float
    width: float
    height: float
    low: float
    high: float
    count: int


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """Bars over [0, 1]; ``most`` is the largest count."""

    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]  # along the lower edge, x
    most: int


@dataclass(frozen=True, kw_only=True)
class Lines:
    """Two lines over the threshold, as SVG ``points``, with an optional marked threshold."""

    accuracy: str
    coverage: str
    ticks_x: tuple[Tick, ...]
    ticks_y: tuple[Tick, ...]
    marked: float | None  # x


def histogram(counts: Sequence[int]) -> Histogram:
    """Lay out counts of equal bins of [0, 1] as bars."""
    room = (RIGHT - LEFT) / len(counts)
    most = max(counts)
    bars = []
    for place, count in enumerate(counts):
        height = (BASE - TOP) * count / most if most else 0.0
        if count:
            height = max(height, 1.0)  # a small count stays visible
        bars.append(
            Bar(
                x=round(LEFT + room * (place + _GAP / 2), 2),
                y=round(BASE - height, 2),
                width=round(room * (1 - _GAP), 2),
                height=round(height, 2),
                low=place / len(counts),
                high=(place + 1) / len(counts),
                count=count,
            )
        )
    return Histogram(bars=tuple(bars), ticks=_along(_x), most=most)


def lines(curve: Sequence[Sequence[float]], marked: float | None = None) -> Lines:
    """Lay out ``(threshold, coverage, accuracy)``, in ascending order, as two lines."""
    return Lines(
        accuracy=" ".join(f"{_x(threshold):.1f},{_y(accuracy):.1f}" for threshold, _, accuracy in curve),
        coverage=" ".join(f"{_x(threshold):.1f},{_y(coverage):.1f}" for threshold, coverage, _ in curve),
        ticks_x=_along(_x),
        ticks_y=_along(_y),
        marked=None if marked is None else round(_x(marked), 1),
    )


def _x(share: float) -> float:
    return LEFT + (RIGHT - LEFT) * share


def _y(share: float) -> float:
    return BASE - (BASE - TOP) * share


def _along(place: Callable[[float], float]) -> tuple[Tick, ...]:
    return tuple(Tick(at=round(place(step / _STEPS), 1), value=step / _STEPS) for step in range(_STEPS + 1))
