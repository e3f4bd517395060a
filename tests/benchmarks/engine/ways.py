"""Other ways to run our graph, each beside the way in which it is run."""

from __future__ import annotations

import dataclasses
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.engine import runners
from tests.benchmarks.engine.material import SIZES, TEN_LABELS, THREE_LABELS, even_sample
from tests.benchmarks.engine.page import table
from tests.benchmarks.engine.runners import Lab, Runner
from tests.benchmarks.harness import Measured
from tests.benchmarks.texts import tickets
from worker.engine.nli.blocks import PairBlock, cut
from worker.engine.tokenisers.pairs import Pair

_TEXTS, _CALLS = 48, 20
_SHIPPED, _EXACT = "shipped", "fp32"


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way: what runs it, and the blocks it is given."""

    title: str
    open: Callable[[Lab], Runner]
    block_tokens: int = 512
    multiple: int = 1
    """Blocks are padded so that their lengths are multiples of this."""

    needs: str = ""
    """A package without which it is left out."""


def _openvino(title: str, graph: str = "static", **config: Any) -> Way:
    return Way(title=title, open=lambda lab: runners.OpenVino(lab, graph, config))


_WAYS: Mapping[str, Way] = {
    _SHIPPED: _openvino("“static” INT8: all scales fixed; blocks of 512 tokens, one stream"),
    "mixed": _openvino("“mixed”: the second feed-forward product's scales at run time", "mixed"),
    "careful": _openvino("“careful”: the attention output's too", "careful"),
    **{
        f"mixed-{group}": _openvino(f"“mixed” with groups of {group}", "mixed", DYNAMIC_QUANTIZATION_GROUP_SIZE=group)
        for group in (32, 128)
    },
    "dynamic": _openvino("“dynamic”: all scales at run time, groups of 32", "dynamic"),
    **{
        f"dynamic-{group}": _openvino(
            f"“dynamic” with groups of {group}", "dynamic", DYNAMIC_QUANTIZATION_GROUP_SIZE=group
        )
        for group in (64, 128)
    },
    "mixed-bf16": _openvino("“mixed”, the rest in bf16", "mixed", INFERENCE_PRECISION_HINT="bf16"),
    "int8-bf16": _openvino("“static”, the rest in bf16", INFERENCE_PRECISION_HINT="bf16"),
    "int8-f16": _openvino("“static”, the rest in fp16", INFERENCE_PRECISION_HINT="f16"),
    _EXACT: _openvino("fp32", "fp32"),
    "bf16": _openvino("bf16", "fp32", INFERENCE_PRECISION_HINT="bf16"),
    "f16": _openvino("fp16", "fp32", INFERENCE_PRECISION_HINT="f16"),
    "pad-8": dataclasses.replace(_openvino("lengths padded to multiples of 8"), multiple=8),
    "pad-16": dataclasses.replace(_openvino("lengths padded to multiples of 16"), multiple=16),
    "block-256": dataclasses.replace(_openvino("blocks of 256 tokens"), block_tokens=256),
    "block-1024": dataclasses.replace(_openvino("blocks of 1,024 tokens"), block_tokens=1024),
    "block-2048": dataclasses.replace(_openvino("blocks of 2,048 tokens"), block_tokens=2048),
    "joint-qkv": _openvino("query, key and value as one product", "joint"),
    "fused-attention": Way(
        title="OpenVINO's attention operator", open=lambda lab: runners.OpenVino(lab, "static", {}, fused=True)
    ),
    "streams-2": Way(title="two streams of half the threads", open=lambda lab: runners.Streams(lab, "static", 2)),
    "pinned": _openvino("threads pinned to cores", ENABLE_CPU_PINNING=True),
    "unpinned": _openvino("threads not pinned", ENABLE_CPU_PINNING=False),
    "denormals": _openvino("oneDNN told to flush denormal numbers", CPU_DENORMALS_OPTIMIZATION=True),
    "shapes-5000": _openvino("5,000 shapes' kernels kept instead of 64", CPU_RUNTIME_CACHE_CAPACITY=5000),
    "onnxruntime-int8": Way(title="ONNX Runtime, our INT8 graph", open=lambda lab: runners.OnnxRuntime(lab, "static")),
    "onnxruntime-dynamic": Way(
        title="ONNX Runtime, its own dynamic INT8", open=lambda lab: runners.OnnxRuntime(lab, "quantised")
    ),
    "onnxruntime-fp32": Way(title="ONNX Runtime, fp32", open=lambda lab: runners.OnnxRuntime(lab, "fp32")),
    "ctranslate2-int8": Way(
        title="CTranslate2, INT8", open=lambda lab: runners.CTranslate2(lab, "int8"), needs="ctranslate2"
    ),
}

NAMES = tuple(_WAYS)


@dataclass(kw_only=True)
class _Times:
    bulk_s: list[float] = field(default_factory=list)
    one_ms: list[float] = field(default_factory=list)
    logits: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 3), np.float32))


def measure(folder: Path, geometry: str, names: Sequence[str], *, rounds: int, threads: int) -> list[str]:
    """Run the ways called ``names``, all if there are none, in turn; the page's lines."""
    lab = Lab.make(folder, SIZES[geometry], threads)
    texts = even_sample(tickets(), _TEXTS)
    bulk = _pairs(lab, texts, TEN_LABELS)
    singles = [_pairs(lab, [text], THREE_LABELS) for text in texts[:_CALLS]]
    chosen = {name: _WAYS[name] for name in dict.fromkeys((_SHIPPED, _EXACT, *(names or NAMES)))}
    opened, refused = _open(lab, chosen)
    times = {name: _Times() for name in opened}
    for number in range(rounds + 1):
        for name, runner in opened.items():
            # The first round warms up.
            _measure_round(lab, chosen[name], runner, bulk, singles, times[name], counts=number > 0)
        print(f"round {number} of {rounds} done", file=sys.stderr, flush=True)
    tokens = sum(len(pair.input_ids) for pair in bulk)
    rows = [
        [way.title, f"not measured: {refused[name]}", *[""] * 4]
        if name in refused
        else [way.title, *_cells(times[name], times, tokens)]
        for name, way in chosen.items()
    ]
    method = (
        f"StructBERT-{geometry} geometry, random weights, {threads} threads, {rounds} rounds in turn after a warm-up, "
        f"all in one process: {_TEXTS} sample tickets against ten labels, {tokens:,} tokens, sorted by length and cut "
        f"into blocks of 512 padded tokens unless the way says otherwise; and {_CALLS} calls of one text with three "
        "labels. Sessions get token ids; tokenising is not counted. Medians (least–most); × is beside the first line, "
        "the median of the rounds' ratios. The last column is the largest difference of a logit from our float32 graph."
    )
    return [method, "", *table(["way", "1,000 tokens/s", "×", "one text, ms", "×", "max \\|Δlogit\\|"], rows)]


def _open(lab: Lab, chosen: Mapping[str, Way]) -> tuple[dict[str, Runner], dict[str, str]]:
    """The runners of the ways that can be had here, and why the others can't."""
    opened: dict[str, Runner] = {}
    refused: dict[str, str] = {}
    for name, way in chosen.items():
        if way.needs and find_spec(way.needs) is None:
            refused[name] = f"{way.needs} is not installed"
            continue
        try:
            opened[name] = way.open(lab)
        except RuntimeError as error:  # a setting that this processor or version does not know
            refused[name] = str(error).strip().splitlines()[-1]
    return opened, refused


def _measure_round(
    lab: Lab,
    way: Way,
    runner: Runner,
    bulk: Sequence[Pair],
    singles: Sequence[Sequence[Pair]],
    times: _Times,
    *,
    counts: bool,
) -> None:
    blocks = _blocks(lab, bulk, way)
    started = time.perf_counter()
    outputs = runner.run([block.inputs for block in blocks])
    took = time.perf_counter() - started
    one = [_time_one(runner, _blocks(lab, pairs, way)) for pairs in singles]
    times.logits = _in_order(blocks, outputs)
    if counts:
        times.bulk_s.append(took)
        times.one_ms.append(1000 * statistics.median(one))


def _cells(mine: _Times, times: Mapping[str, _Times], tokens: int) -> list[str]:
    shipped = times[_SHIPPED]
    faster = statistics.median(theirs / took for took, theirs in zip(mine.bulk_s, shipped.bulk_s, strict=True))
    sooner = statistics.median(theirs / took for took, theirs in zip(mine.one_ms, shipped.one_ms, strict=True))
    return [
        str(Measured(tuple(tokens / took / 1000 for took in mine.bulk_s))),
        f"{faster:.2f}",
        str(Measured(tuple(mine.one_ms))),
        f"{sooner:.2f}",
        f"{np.abs(mine.logits - times[_EXACT].logits).max():.2g}",
    ]


def _pairs(lab: Lab, texts: Sequence[str], labels: Sequence[str]) -> list[Pair]:
    hypotheses = lab.tokeniser.encode(labels)
    return [lab.tokeniser.frame(text, hypothesis) for text in lab.tokeniser.encode(texts) for hypothesis in hypotheses]


def _blocks(lab: Lab, pairs: Sequence[Pair], way: Way) -> list[PairBlock]:
    blocks = cut(pairs, pad=lab.tokeniser.pad, max_block_tokens=way.block_tokens)
    return [PairBlock(rows=block.rows, inputs=_padded(block, way.multiple, lab.tokeniser.pad)) for block in blocks]


def _padded(block: PairBlock, multiple: int, pad: int) -> dict[str, NDArray[np.int64]]:
    fill = {"input_ids": pad, "attention_mask": 0, "token_type_ids": 0}
    more = -block.inputs["input_ids"].shape[1] % multiple
    return {
        name: np.pad(value, ((0, 0), (0, more)), constant_values=fill[name]) for name, value in block.inputs.items()
    }


def _time_one(runner: Runner, blocks: Sequence[PairBlock]) -> float:
    started = time.perf_counter()
    runner.run([block.inputs for block in blocks])
    return time.perf_counter() - started


def _in_order(blocks: Sequence[PairBlock], outputs: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    rows = np.concatenate([block.rows for block in blocks])
    return np.concatenate(outputs)[np.argsort(rows)]
