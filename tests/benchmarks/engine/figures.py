"""What is measured at one geometry."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from tests.benchmarks.engine.material import Setting
from tests.benchmarks.engine.measuring import Agreement, Loaded
from tests.benchmarks.engine.peak import Limits
from tests.benchmarks.harness import Measured

BASELINE = "modelscope"
BEST = "ours-int8"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All figures of one geometry. ``rates`` are texts a second by setting and contender, ``flops``
    the arithmetic of a text.
    """

    geometry: str
    scheme: str
    settings: tuple[Setting, ...]
    build_s: float
    loads: Mapping[str, Loaded]
    first: tuple[Measured, Measured, Measured]
    rates: Mapping[str, Mapping[str, Measured]]
    flops: Mapping[str, tuple[float, ...]]
    latency: Mapping[str, tuple[Measured, Measured]]
    agreement: Mapping[str, Agreement]
    peak_mb: Mapping[str, float]
    streams: Mapping[float, Measured]
    limits: Limits

    def times(self, setting: str, name: str) -> float:
        """How many times as fast as the baseline, the median of the rounds."""
        pairs = zip(self.rates[setting][name].values, self.rates[setting][BASELINE].values, strict=True)
        return statistics.median(mine / theirs for mine, theirs in pairs)

    @property
    def stream_setting(self) -> str:
        """The setting whose rows are like the streams': tickets with ten labels."""
        return self.settings[1].name

    def stream_times(self, share: float) -> float:
        """How many times as fast as the baseline on a stream with this share of repeats.

        Repeats change nothing for the baseline, which keeps nothing.
        """
        return self.streams[share].median / self.rates[self.stream_setting][BASELINE].median

    def share_of_peak(self, series: str, tokens: int, *, full: bool = True) -> float:
        """Of the peak, the median of the rounds: of a full model's arithmetic, or only of what is needed."""
        rates = (self.limits.full if full else self.limits.needed)[series, tokens]
        peaks = self.limits.peak["fp32" if series == "fp32" else "int8"]
        return statistics.median(rate / peak for rate, peak in zip(rates, peaks, strict=True))

    def share_on_rows(self, setting: str) -> float:
        """Of the int8 peak, what ours in int8 did on the rows of a setting, the median of the rounds."""
        peak = statistics.median(self.limits.peak["int8"])
        rounds = zip(self.rates[setting][BEST].values, self.flops[setting], strict=True)
        return statistics.median(rate * flops / peak for rate, flops in rounds)
