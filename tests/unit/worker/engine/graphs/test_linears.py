from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import numpy_helper

from worker.engine.graphs.bert import Geometry
from worker.engine.graphs.linears import InputQuantiser, Int8Linears, quantise_weights
from worker.engine.graphs.nli import build_graph
from worker.engine.nli import oracle
from worker.engine.sessions import choose, open_session

Arrays = dict[str, NDArray[Any]]

MATRICES = ("q", "k", "v", "ao", "fi", "fo")


@settings(deadline=None)
@given(
    st.integers(1, 6), st.integers(1, 9), st.sampled_from([1e-12, 1e-3, 1.0, 1e4]), st.integers(0, 2**16), st.booleans()
)
def test_weights_in_8_bits_are_within_half_a_scale(out: int, into: int, size: float, seed: int, empty: bool) -> None:
    weights = (np.random.default_rng(seed).standard_t(2, (out, into)) * size).astype(np.float32)
    if empty:
        weights[0] = 0

    quants, scales = quantise_weights(weights)

    assert (quants.dtype, scales.dtype, scales.shape) == (np.int8, np.float32, (out,))
    assert (scales > 0).all()
    assert quants.min() >= -127
    assert (np.abs(quants * scales[:, None] - weights) <= 0.5001 * scales[:, None]).all()
    # The largest weight of a row takes all of the range.
    assert (np.abs(quants).max(axis=1)[np.abs(weights).max(axis=1) > 0] == 127).all()


def test_rows_of_zeros_stay_zeros() -> None:
    quants, scales = quantise_weights(np.zeros((3, 4), np.float32))

    assert not quants.any()
    assert np.isfinite(scales).all()


def observed(arrays: Arrays, geometry: Geometry) -> dict[str, InputQuantiser]:
    """Quantisers without evening out, from what the matrices read of a few pairs."""
    sizes: dict[tuple[str, ...], float] = {}

    def see(matrices: tuple[str, ...], rows: NDArray[np.float32]) -> None:
        sizes[matrices] = max(sizes.get(matrices, 0.0), float(np.abs(rows).max()))

    for seed in range(1, 5):
        call = oracle.random_pairs(6, 20 + seed, vocabulary=len(arrays["emb.word"]), pad=0)
        oracle.logits(arrays, geometry, call, see)
    found: dict[str, InputQuantiser] = {}
    for matrices, size in sizes.items():
        factors = np.linspace(0.5, 1, arrays[f"{matrices[0]}.w"].shape[1], dtype=np.float32)
        found |= dict.fromkeys(matrices, InputQuantiser(factors=factors, scale=size / 127))
    return found


@pytest.mark.parametrize("session", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("dynamic", [(), ("fo",), ("q", "k", "v"), MATRICES])
def test_int8_is_near_float32_in_every_session(
    dynamic: tuple[str, ...], session: str, arrays: Arrays, geometry: Geometry, tmp_path: Path
) -> None:
    quantisers = {name: it for name, it in observed(arrays, geometry).items() if name.split(".")[1] not in dynamic}
    model = build_graph(arrays, geometry, Int8Linears(arrays, quantisers), word_dtype=np.float16)
    onnx.save(model, tmp_path / "int8.onnx")
    choice = choose({session: ("int8",)}, session=session, device="cpu", threads=2)
    opened = open_session(tmp_path / "int8.onnx", dataclasses.replace(choice, activation_group=32))
    calls = [oracle.random_pairs(rows, tokens, vocabulary=100, pad=0) for rows, tokens in ((1, 5), (4, 24))]

    for call, logits in zip(calls, opened.run(calls), strict=True):
        wanted = oracle.logits(arrays, geometry, call)
        difference = np.abs(logits - wanted).max()
        assert 0 < difference < 0.2 * max(1.0, float(np.abs(wanted).max()))


def test_matrices_that_read_the_same_share_its_quantiser_and_the_weights_are_bytes(
    arrays: Arrays, geometry: Geometry
) -> None:
    model = build_graph(arrays, geometry, Int8Linears(arrays, observed(arrays, geometry)))

    operators = [node.op_type for node in model.graph.node]
    kept = {tensor.name: tensor for tensor in model.graph.initializer}

    # Of a layer: what q, k and v read, and ao, fi, fo. The last layer's q reads the first token only.
    assert operators.count("QuantizeLinear") == 4 * geometry.layers + 1
    for layer in range(geometry.layers):
        for matrix in MATRICES:
            assert numpy_helper.to_array(kept[f"l{layer}.{matrix}.q8"]).dtype == np.int8
            assert f"l{layer}.{matrix}.w" not in kept


def test_factors_of_the_input_are_taken_out_of_the_weights(arrays: Arrays, geometry: Geometry) -> None:
    factors = np.linspace(0.1, 10, arrays["l0.fi.w"].shape[1], dtype=np.float32)
    linears = Int8Linears(arrays, {"l0.fi": InputQuantiser(factors=factors, scale=0.1)})
    kept = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in build_graph(arrays, geometry, linears).graph.initializer
    }

    weights = kept["l0.fi.q8"].T * kept["l0.fi.scales"][:, None] * factors

    assert np.abs(weights - arrays["l0.fi.w"]).max() < 0.6 * (kept["l0.fi.scales"][:, None] * factors).max()
    np.testing.assert_array_equal(kept["l0.fi.factors"], factors)


@pytest.mark.parametrize(("zero_point", "kind"), [(None, np.int8), (0, np.uint8), (17, np.uint8)])
def test_one_sided_inputs_are_unsigned(
    zero_point: int | None, kind: type[np.integer[Any]], arrays: Arrays, geometry: Geometry
) -> None:
    factors = np.ones(arrays["l0.fo.w"].shape[1], np.float32)
    quantiser = InputQuantiser(factors=factors, scale=0.1, zero_point=zero_point)
    model = build_graph(arrays, geometry, Int8Linears(arrays, {"l0.fo": quantiser}))

    (zero,) = [numpy_helper.to_array(tensor) for tensor in model.graph.initializer if tensor.name == "l0.fo.zero"]

    assert zero.dtype == kind
    assert zero == (zero_point or 0)
