"""The proof that graphs agree, and that it notices when they do not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from worker.engine.graphs.bert import BertLayers, Geometry
from worker.engine.graphs.graph import Graph
from worker.engine.graphs.linears import FloatLinears
from worker.engine.graphs.nli import build_graph
from worker.engine.manifest import NliSpec, Variant
from worker.engine.nli import parity
from worker.engine.nli.expectations import Expected
from worker.engine.sessions import Inputs, Progress, Session
from worker.engine.sessions.base import nothing
from worker.engine.sessions.selection import open_variant
from yeban.errors import ModelUnusable

Arrays = dict[str, NDArray[Any]]

FP32 = Variant(precision="fp32", sessions=("onnxruntime",), graph="graph.onnx")


def start(model: onnx.ModelProto, folder: Path) -> Session:
    onnx.save(model, folder / FP32.graph)
    return open_variant(folder, FP32)


class Answering(Session):
    """Gives the expected answers, each passed through ``change``."""

    name = "answering"
    device = "cpu"
    threads = 1
    block_tokens = 512

    def __init__(self, expected: Expected) -> None:
        self.answers = list(zip(expected.calls, expected.answers, strict=True))
        self.answers += [(block.inputs, expected.logits[block.rows]) for block in expected.pairs]

    def run(self, calls: Sequence[Inputs], *, progress: Progress = nothing) -> list[NDArray[np.float32]]:
        return [self.change(self._answer(call).copy(), call) for call in calls]

    def _answer(self, call: Inputs) -> NDArray[np.float32]:
        return next(answer for known, answer in self.answers if known is call)

    def change(self, logits: NDArray[np.float32], call: Inputs) -> NDArray[np.float32]:
        return logits


def test_a_right_graph_passes_and_the_figures_say_on_what(
    arrays: Arrays, geometry: Geometry, expected: Expected, spec: NliSpec, tmp_path: Path
) -> None:
    session = start(build_graph(arrays, geometry, FloatLinears(arrays)), tmp_path)

    figures = parity.hold_against(session, expected, spec, precision="fp32")

    assert [figure.sample for figure in figures][-2:] == ["2 × 512 tokens", "120 sample texts"]
    assert {(figure.session, figure.precision) for figure in figures} == {("onnxruntime", "fp32")}
    assert all(figure.measures["worst_difference"] < 1e-3 for figure in figures)
    assert figures[-1].measures["same_top_label"] > 0.98


@pytest.mark.parametrize("name", ["emb.pos", "emb.type", "l0.q.w", "l1.fo.b", "pooler.w", "cls.b", "emb.ln.w"])
def test_a_graph_with_a_wrong_constant_is_caught(
    name: str, arrays: Arrays, geometry: Geometry, expected: Expected, spec: NliSpec, tmp_path: Path
) -> None:
    wrong = {**arrays, name: np.roll(arrays[name], 1, axis=0)}
    session = start(build_graph(wrong, geometry, FloatLinears(wrong)), tmp_path)

    with pytest.raises(ModelUnusable, match="from the oracle"):
        parity.hold_against(session, expected, spec, precision="fp32")


def test_a_graph_with_positions_baked_in_is_caught(
    arrays: Arrays,
    geometry: Geometry,
    expected: Expected,
    spec: NliSpec,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def baked(layers: BertLayers, table: NDArray[Any]) -> str:
        # Right for up to 64 tokens, as if traced there; those after have no position.
        return layers._graph.node(
            "Slice",
            layers._graph.constant("positions", np.where(np.arange(len(table))[:, None] < 64, table, 0)),
            layers._graph.ints(0),
            layers._graph.node("Shape", "input_ids", start=1, end=2),
            layers._graph.ints(0),
        )

    monkeypatch.setattr(BertLayers, "positions", baked)
    session = start(build_graph(arrays, geometry, FloatLinears(arrays)), tmp_path)

    with pytest.raises(ModelUnusable, match="2 pairs of 512 tokens"):
        parity.hold_against(session, expected, spec, precision="fp32")


def test_a_graph_that_reads_the_padding_is_caught(
    arrays: Arrays,
    geometry: Geometry,
    expected: Expected,
    spec: NliSpec,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_bias(layers: BertLayers) -> str:
        graph: Graph = layers._graph
        return graph.scalar(0.0)

    monkeypatch.setattr(BertLayers, "_attention_bias", no_bias)
    session = start(build_graph(arrays, geometry, FloatLinears(arrays)), tmp_path)

    with pytest.raises(ModelUnusable, match="3 pairs of 17 tokens"):
        parity.hold_against(session, expected, spec, precision="fp32")


@pytest.mark.parametrize(("precision", "allowed"), [("fp32", 1e-3), ("fp16", 0.05), ("int8", np.inf)])
@pytest.mark.parametrize("times", [0.9, 1.1])
def test_how_far_a_precision_may_be_off(
    precision: str, allowed: float, times: float, expected: Expected, spec: NliSpec
) -> None:
    class Shifted(Answering):
        def change(self, logits: NDArray[np.float32], call: Inputs) -> NDArray[np.float32]:
            if not any(call is known for known in expected.calls):
                return logits
            distance = min(allowed, 9.0) * times * max(1.0, float(np.abs(logits).max()))
            return np.asarray(logits + distance, np.float32)

    if times < 1 or np.isinf(allowed):
        assert parity.hold_against(Shifted(expected), expected, spec, precision=precision)
    else:
        with pytest.raises(ModelUnusable, match=f"{precision} in answering differs by .* from the oracle"):
            parity.hold_against(Shifted(expected), expected, spec, precision=precision)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize("where", ["calls", "samples"])
def test_an_answer_that_is_no_number_is_caught_wherever_it_comes(
    where: str, precision: str, value: float, expected: Expected, spec: NliSpec
) -> None:
    class Spoiled(Answering):
        def change(self, logits: NDArray[np.float32], call: Inputs) -> NDArray[np.float32]:
            if any(call is known for known in expected.calls) == (where == "calls"):
                logits[0, 0] = value
            return logits

    with pytest.raises(ModelUnusable, match="not numbers" if where == "samples" else "from the oracle"):
        parity.hold_against(Spoiled(expected), expected, spec, precision=precision)


@pytest.mark.parametrize("share", [0.15, 0.3])
def test_other_best_labels_are_counted_and_too_many_are_refused(
    share: float, expected: Expected, spec: NliSpec
) -> None:
    changed = set(range(int(share * len(expected.ends))))
    starts = [0, *expected.ends[:-1]]
    worst = {
        int(a + expected.logits[a:b, spec.entailment].argmin())
        for number, (a, b) in enumerate(zip(starts, expected.ends, strict=True))
        if number in changed
    }

    class Changed(Answering):
        def change(self, logits: NDArray[np.float32], call: Inputs) -> NDArray[np.float32]:
            for block in expected.pairs:
                if block.inputs is call:
                    logits[[row in worst for row in block.rows], spec.entailment] += 50
            return logits

    if share < 0.2:
        figures = parity.hold_against(Changed(expected), expected, spec, precision="int8")
        assert figures[-1].measures["same_top_label"] == pytest.approx(1 - share, abs=0.01)
    else:
        with pytest.raises(ModelUnusable, match=r"keeps the best label of 70\.0% of the sample texts"):
            parity.hold_against(Changed(expected), expected, spec, precision="int8")


def test_every_variant_is_measured_in_every_session_on_the_cpu(
    nli_folder: Path, spec: NliSpec, nli_manifest: Any
) -> None:
    measured = {(figure.precision, figure.session) for figure in nli_manifest.parity}

    assert measured >= {("int8", "openvino"), ("int8", "onnxruntime"), ("fp32", "openvino"), ("fp32", "onnxruntime")}
    assert "fp16" not in {precision for precision, _ in measured}
