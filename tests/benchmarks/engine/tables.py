"""The tables of one geometry, and which targets were reached."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from tests.benchmarks.engine.contenders import CHUNK_ROWS, CONTENDERS
from tests.benchmarks.engine.figures import BASELINE, BEST, Comparison
from tests.benchmarks.engine.measuring import CALLS, FIRST_CALLS
from tests.benchmarks.engine.page import table, verdicts
from tests.benchmarks.engine.peak import LENGTHS, STATIC
from tests.benchmarks.harness import Measured, Target

_THROUGHPUT, _LATENCY, _LOAD, _MEMORY, _SHARE, _STREAM = 4.5, 3.4, 2.0, 0.5, 0.75, 8.0
_USUAL_REPEATS = 0.5

_TITLES = {
    "modelscope": "ModelScope's pipeline, fp32",
    "transformers": "Hugging Face's pipeline, fp32",
    "transformers-batched": "Hugging Face's pipeline, fp32, batch_size=16",
    "torch-int8": "torch dynamic INT8, text by text",
    "onnxruntime-int8": "ONNX Runtime dynamic INT8, text by text",
    "ours-fp32": "ours, fp32",
    "ours-int8": "**ours, INT8**",
    "ours-int8-static": "ours, INT8 “static”",
    "ours-int8-mixed": "ours, INT8 “mixed”",
    "ours-int8-dynamic": "ours, INT8 “dynamic”",
    "ours-int8-one-by-one": "ours, INT8, text by text",
}


def lines(found: Comparison, *, rounds: int, threads: int) -> list[str]:
    """Everything below the section's provenance."""
    limits = ["tokens of a pair", "INT8, TFLOP/s", "of INT8 peak", "the same without the last layer's savings"]
    serving = ["p50, ms", "p95, ms", "first answer, s", "load alone, s", "peak MB, first answer", "peak MB, whole run"]
    return [
        _method(found, rounds, threads),
        "",
        "Texts/s, and how many times ModelScope's (the median of the rounds' ratios):",
        "",
        *table(["", *(setting.name for setting in found.settings)], _throughput(found)),
        _serving_method(),
        "",
        *table(["", *serving, "same top label", "max \\|Δlogit\\|"], _serving(found)),
        _first(found),
        "",
        _limits_method(found),
        "",
        *table([*limits, "“static” of INT8 peak", "fp32, TFLOP/s", "of fp32 peak"], _limits(found)),
        _rows_method(found),
        "",
        _streams_method(),
        "",
        *table(["exact repeats", "texts/s", "× ModelScope"], _streams(found)),
        *verdicts(_targets(found)),
    ]


def _method(found: Comparison, rounds: int, threads: int) -> str:
    rows = ", ".join(f"{len(setting.rounds[0])} × {setting.name}" for setting in found.settings)
    return (
        f"{threads} threads each. Every contender has a process of its own, and only one runs at a time; they take "
        f"turns in {rounds} rounds after a warm-up. Figures are medians (least–most). The rows are sample tickets, "
        "evenly chosen over their lengths, and long texts of 200 to 480 characters put together from tickets: "
        f"{rows}, others in each round; nothing is cached. ModelScope and Hugging Face get lists of texts, of which "
        f"ModelScope makes a loop; ours gets chunks of up to {CHUNK_ROWS} rows, as from a bulk worker. ONNX Runtime "
        "runs our fp32 graph after its own `quantize_dynamic`. Which way to int8 a build takes depends on the weights "
        f"(docs/models.md), and random ones cannot tell: “ours, INT8” is “{found.scheme}”, and the others stand beside "
        f"it. Building ours, all precisions, took {found.build_s:,.0f} s, once; it counts nowhere."
    )


def _serving_method() -> str:
    return (
        f"One text with three labels: {CALLS} calls with different tickets, of all lengths. Loading: from the start "
        "of the process, imports included, to the first answer, with files in the page cache; and loading alone. "
        "Memory is the peak of the resident set, mapped files included, by the first answer and over the whole run. "
        "Agreement is with torch's float32 logits on the same checkpoint; random weights put labels close together, "
        "so it says little here."
    )


def _streams_method() -> str:
    return (
        "Streams with repeats, ten labels, with the memory cache of a worker, empty at first. How often help desks "
        "see the very same text again we have no figures for: the shares are assumptions. A repeat says what any "
        "earlier ticket said, each with the same chance, so that a few texts become frequent."
    )


def _rows_method(found: Comparison) -> str:
    return (
        "On the rows above, padding, tokenising and all, ours in INT8 did "
        + "; ".join(f"{setting.name}: {found.share_on_rows(setting.name):.0%}" for setting in found.settings)
        + " of the INT8 peak, counted as a full model without padding."
    )


def _throughput(found: Comparison) -> Iterator[list[str]]:
    for name in CONTENDERS:
        if name in found.rates[found.stream_setting]:
            cells = [
                f"{found.rates[setting.name][name]}, {found.times(setting.name, name):.2f}×"
                for setting in found.settings
            ]
            yield [_TITLES[name], *cells]


def _serving(found: Comparison) -> Iterator[list[str]]:
    for name, loaded in found.loads.items():
        agreement = found.agreement.get(name)
        yield [
            _TITLES[name],
            *map(str, found.latency[name]),
            str(loaded.first_answer_s),
            str(loaded.load_s),
            f"{loaded.peak_mb.median:,.0f}",
            f"{found.peak_mb[name]:,.0f}",
            f"{agreement.same_top_label:.3f}" if agreement else "",
            f"{agreement.worst_difference:.2g}" if agreement else "",
        ]


def _first(found: Comparison) -> str:
    warm_up, first, later = found.first
    return (
        f"After warming up, which takes {warm_up} s, the first request of ours in INT8 took {first} ms, and those up "
        f"to the {FIRST_CALLS}th {later} ms (median of the second half; texts of nearly equal length)."
    )


def _limits_method(found: Comparison) -> str:
    peak = {name: _tera(Measured(values)) for name, values in found.limits.peak.items()}
    return (
        f"The machine's limit in this run, the best of several large matrix products in OpenVINO: {peak['int8']} "
        f"TFLOP/s with INT8 on both sides, {peak['fp32']} in fp32. Our graph at fixed lengths, in blocks of the size "
        "it works in, in the same process and in turn with those products. Counted is the arithmetic of a full model, "
        "every layer for every token; ours computes of the last layer only what is read, which counts in our favour, "
        "so the share without that is given too."
    )


def _limits(found: Comparison) -> Iterator[list[str]]:
    for tokens in LENGTHS:
        int8, fp32 = (Measured(found.limits.full[precision, tokens]) for precision in ("int8", "fp32"))
        yield [
            str(tokens),
            _tera(int8),
            f"{found.share_of_peak('int8', tokens):.0%}",
            f"{found.share_of_peak('int8', tokens, full=False):.0%}",
            f"{found.share_of_peak(STATIC, tokens):.0%}",
            _tera(fp32),
            f"{found.share_of_peak('fp32', tokens):.0%}",
        ]


def _streams(found: Comparison) -> Iterator[list[str]]:
    for share, rate in found.streams.items():
        yield [f"{share:.0%}", str(rate), f"{found.stream_times(share):.1f}"]


def _targets(found: Comparison) -> Iterator[Target]:
    times = {setting.name: found.times(setting.name, BEST) for setting in found.settings}
    each = ", ".join(f"{name} {value:.2f}" for name, value in times.items())
    yield Target(
        f"≥ {_THROUGHPUT}× ModelScope in texts/s with nothing cached ({each})", min(times.values()) >= _THROUGHPUT
    )
    shares = {tokens: found.share_of_peak("int8", tokens) for tokens in LENGTHS}
    each = ", ".join(f"{tokens}: {share:.0%}" for tokens, share in shares.items())
    yield Target(f"≥ {_SHARE:.0%} of the measured INT8 peak from 32 tokens ({each})", min(shares.values()) >= _SHARE)
    faster = found.latency[BASELINE][0].median / found.latency[BEST][0].median
    yield Target(f"one text with 3 labels ≥ {_LATENCY}× faster than ModelScope (p50: {faster:.2f})", faster >= _LATENCY)
    theirs, ours = found.loads[BASELINE], found.loads[BEST]
    faster = theirs.first_answer_s.median / ours.first_answer_s.median
    yield Target(
        f"load ≥ {_LOAD:.0f}× faster, to the first answer ({faster:.2f}; "
        f"loading alone {theirs.load_s.median / ours.load_s.median:.2f})",
        faster >= _LOAD,
    )
    share = found.peak_mb[BEST] / found.peak_mb[BASELINE]
    yield Target(f"peak memory ≤ {_MEMORY:.0%} of ModelScope's ({share:.0%})", share <= _MEMORY)
    usual = found.stream_times(_USUAL_REPEATS)
    yield Target(
        f"≥ {_STREAM:.0f}× ModelScope with caches on a ticket stream, assumed to repeat itself by {_USUAL_REPEATS:.0%} "
        f"({usual:.1f}; {_needed_repeats(found)})",
        usual >= _STREAM,
    )


def _needed_repeats(found: Comparison) -> str:
    """The share of repeats from which the target is reached: time a text falls about linearly with it."""
    costs = [(share, 1 / found.stream_times(share)) for share in found.streams]
    wanted = 1 / _STREAM
    if costs[0][1] <= wanted:
        return "reached without repeats"
    for (low, dear), (high, cheap) in pairwise(costs):
        if cheap <= wanted <= dear:
            return f"reached from about {low + (high - low) * (dear - wanted) / (dear - cheap):.0%}"
    return f"not reached even with {costs[-1][0]:.0%}"


def _tera(measured: Measured) -> str:
    return str(Measured(tuple(value / 1e12 for value in measured.values)))
