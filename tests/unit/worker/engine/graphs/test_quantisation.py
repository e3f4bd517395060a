from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from worker.engine.graphs.linears import InputQuantiser
from worker.engine.graphs.quantisation import Observer, quantised

Floats = NDArray[np.float32]


def fit(rows: Floats, weights: Floats) -> InputQuantiser:
    observer = Observer(len(rows))
    for block in np.array_split(rows, 3) if len(rows) >= 3 else [rows]:
        observer.see(("m",), block)
    return observer.quantisers({"m.w": weights})["m"]


@st.composite
def inputs(draw: st.DrawFn) -> tuple[Floats, Floats]:
    """Rows of heavy-tailed channels of very different sizes, some constant or dead, and a matrix for them."""
    random = np.random.default_rng(draw(st.integers(0, 2**16)))
    rows, channels, out = draw(st.integers(1, 40)), draw(st.integers(1, 12)), draw(st.integers(1, 6))
    values = random.standard_t(3, (rows, channels)) * 10.0 ** random.uniform(-3, 2, channels)
    values += draw(st.sampled_from([0.0, 5.0, -5.0]))
    if draw(st.booleans()):
        values[:, 0] = draw(st.sampled_from([0.0, 3.0, -3.0]))
    weights = random.standard_normal((out, channels))
    if draw(st.booleans()):
        weights[:, -1] = 0
    if draw(st.booleans()):
        weights[0] = 0
    return values.astype(np.float32), weights.astype(np.float32)


@settings(deadline=None)
@given(inputs())
def test_nothing_that_was_seen_is_clipped_and_all_is_within_half_a_scale(given_inputs: tuple[Floats, Floats]) -> None:
    rows, weights = given_inputs

    quantiser = fit(rows, weights)

    assert quantiser.scale > 0
    assert quantiser.factors.dtype == np.float32
    assert (quantiser.factors > 0).all()
    evened = rows * quantiser.factors
    # A little over a half: rounding in float32, and of the zero point.
    assert np.abs(quantised(rows, quantiser) - evened).max() <= 0.51 * quantiser.scale + 1e-5 * np.abs(evened).max()
    if quantiser.zero_point is not None:
        assert 0 <= quantiser.zero_point <= 255


@settings(deadline=None)
@given(inputs(), st.floats(1.5, 100))
def test_what_was_not_seen_is_clipped_and_not_wrapped(given_inputs: tuple[Floats, Floats], times: float) -> None:
    rows, weights = given_inputs
    quantiser = fit(rows, weights)
    low, high = (rows * quantiser.factors).min(), (rows * quantiser.factors).max()

    got = quantised(np.asarray(rows * np.float32(times), np.float32), quantiser)

    reach = 128.5 * quantiser.scale if quantiser.zero_point is None else 0.5 * quantiser.scale
    assert got.max() <= max(high, 0) + reach
    assert got.min() >= min(low, 0) - reach


def test_one_sided_inputs_are_unsigned_and_others_signed() -> None:
    random = np.random.default_rng(0)
    weights = random.standard_normal((5, 8)).astype(np.float32)
    normal = random.standard_normal((200, 8)).astype(np.float32)

    assert fit(normal, weights).zero_point is None
    assert fit(np.abs(normal), weights).zero_point == 0
    gelu_like = np.where(normal > 0, normal * 4, normal / 20).astype(np.float32)
    assert (fit(gelu_like, weights).zero_point or 0) > 0
    assert fit(-np.abs(normal), weights).zero_point is None


@pytest.mark.parametrize("value", [0.0, 1e-30, 2.5, -2.5])
def test_inputs_that_never_change_are_safe(value: float) -> None:
    rows = np.full((10, 4), value, np.float32)
    weights = np.arange(12, dtype=np.float32).reshape(3, 4)

    quantiser = fit(rows, weights)

    assert np.isfinite(quantiser.factors).all()
    assert np.isfinite(quantiser.scale)
    got = quantised(rows, quantiser) / quantiser.factors
    np.testing.assert_allclose(got, rows, rtol=0.01, atol=1e-6)


def test_a_matrix_of_zeros_is_safe() -> None:
    rows = np.random.default_rng(0).standard_normal((20, 4)).astype(np.float32)

    quantiser = fit(rows, np.zeros((3, 4), np.float32))

    assert np.isfinite(quantiser.factors).all()
    assert np.isfinite(quantised(rows, quantiser)).all()


def test_channels_of_very_different_sizes_are_evened_out() -> None:
    random = np.random.default_rng(1)
    rows = random.standard_normal((300, 16)).astype(np.float32)
    rows[:, 0] *= 200
    weights = random.standard_normal((8, 16)).astype(np.float32)
    wanted = rows @ weights.T

    quantiser = fit(rows, weights)
    evened = quantised(rows, quantiser) @ (weights / quantiser.factors).T
    plain = InputQuantiser(factors=np.ones(16, np.float32), scale=float(np.abs(rows).max()) / 127)
    uneven = quantised(rows, plain) @ weights.T

    assert np.square(evened - wanted).mean() < np.square(uneven - wanted).mean() / 2


def test_matrices_that_read_the_same_have_the_same_quantiser() -> None:
    random = np.random.default_rng(2)
    observer = Observer(10)
    observer.see(("a", "b"), random.standard_normal((10, 4)).astype(np.float32))
    observer.see(("c",), random.standard_normal((10, 4)).astype(np.float32))
    arrays = {f"{name}.w": random.standard_normal((3, 4)).astype(np.float32) for name in "abc"}

    found = observer.quantisers(arrays)

    assert found["a"] is found["b"]
    assert found["a"] is not found["c"]


def test_only_so_many_rows_are_kept_but_every_extreme_is_seen() -> None:
    total = 5_000
    rows = np.random.default_rng(3).standard_normal((total, 4)).astype(np.float32)
    rows[4_321, 2] = 70.0
    observer = Observer(total)
    for block in np.array_split(rows, 10):
        observer.see(("m",), block)

    quantiser = observer.quantisers({"m.w": np.ones((2, 4), np.float32)})["m"]

    assert abs(quantised(rows, quantiser)[4_321, 2] / quantiser.factors[2] - 70) < 1
    assert sum(map(len, observer._samples[("m",)].rows)) <= 1_600
