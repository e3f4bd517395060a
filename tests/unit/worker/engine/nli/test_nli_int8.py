from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from worker.engine.graphs.bert import Geometry
from worker.engine.graphs.linears import InputQuantiser
from worker.engine.graphs.nli import build_graph
from worker.engine.manifest import Manifest, NliSpec, Variant
from worker.engine.nli import int8, parity
from worker.engine.nli.expectations import Expected
from worker.engine.nli.samples import questions
from worker.engine.sessions.selection import open_variant
from worker.engine.tokenisers.pairs import PairTokeniser

Arrays = dict[str, NDArray[Any]]

SCHEMES = tuple(int8.SCHEMES)


@pytest.fixture(scope="module")
def quantisers(arrays: Arrays, geometry: Geometry, tokeniser: PairTokeniser) -> dict[str, InputQuantiser]:
    fitting, _ = questions(tokeniser)
    return int8.fit(arrays, geometry, fitting, pad=0)


def test_there_is_a_quantiser_for_the_input_of_each_matrix(
    quantisers: dict[str, InputQuantiser], arrays: Arrays, geometry: Geometry
) -> None:
    matrices = {f"l{layer}.{name}" for layer in range(geometry.layers) for name in ("q", "k", "v", "ao", "fi", "fo")}

    assert set(quantisers) == matrices
    for name, quantiser in quantisers.items():
        assert quantiser.factors.shape == (arrays[f"{name}.w"].shape[1],)
    assert quantisers["l1.q"] is quantisers["l1.k"] is quantisers["l1.v"]
    # What a GELU gives is all but one-sided.
    assert all(quantisers[f"l{layer}.fo"].zero_point is not None for layer in range(geometry.layers))


@pytest.mark.parametrize("session", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme_runs_and_keeps_most_labels(
    scheme: str,
    session: str,
    quantisers: dict[str, InputQuantiser],
    arrays: Arrays,
    geometry: Geometry,
    expected: Expected,
    spec: NliSpec,
    tmp_path: Path,
) -> None:
    group = int8.SCHEMES[scheme].activation_group
    variant = Variant(precision="int8", sessions=(session,), graph="int8.onnx", activation_group=group)
    model = build_graph(arrays, geometry, int8.linears(arrays, quantisers, scheme), word_dtype=np.float16)
    onnx.save(model, tmp_path / "int8.onnx")

    logits = expected.answer_samples(open_variant(tmp_path, variant, session))

    assert np.isfinite(logits).all()
    assert parity.same_top_label(logits, expected, spec) > 0.85
    assert np.abs(logits - expected.logits).mean() < 0.15 * np.abs(expected.logits).mean()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_scheme_finds_scales_at_run_time_for_the_matrices_it_names(
    scheme: str, quantisers: dict[str, InputQuantiser], arrays: Arrays, geometry: Geometry
) -> None:
    model = build_graph(arrays, geometry, int8.linears(arrays, quantisers, scheme))
    fixed = {
        name.removesuffix(".scale") for name in (t.name for t in model.graph.initializer) if name.endswith(".scale")
    }

    # Those of k and v are shared with q.
    wanted = {name for name in ("q", "ao", "fi", "fo") if name not in int8.SCHEMES[scheme].dynamic}
    assert {name.partition(".")[2] for name in fixed} - {"k", "v"} == wanted


def test_fixed_scales_are_the_last_thing_to_go() -> None:
    counts = [len(scheme.dynamic) for scheme in int8.SCHEMES.values()]

    assert counts == sorted(counts)
    assert counts[0] == 0


@pytest.mark.parametrize(
    ("shares", "chosen", "tried"),
    [
        ((0.99, 0.999, 1.0, 1.0), 0, 1),
        ((0.5, int8.WANTED_AGREEMENT, 1.0, 1.0), 1, 2),
        ((0.5, 0.9, 0.9, 0.96), 3, 4),
        ((0.5, 0.9, 0.85, 0.7), 1, 4),
        ((0.9, 0.9, 0.9, 0.9), 0, 4),
    ],
)
def test_the_first_scheme_that_suffices_is_taken_or_else_the_best(
    shares: tuple[float, ...], chosen: int, tried: int
) -> None:
    asked: list[str] = []

    def agreement(scheme: str) -> float:
        asked.append(scheme)
        return shares[SCHEMES.index(scheme)]

    assert int8.choose_scheme(agreement) == SCHEMES[chosen]
    assert asked == list(SCHEMES[:tried])


def test_scales_found_at_run_time_have_a_group(nli_manifest: Manifest) -> None:
    for scheme in int8.SCHEMES.values():
        assert bool(scheme.dynamic) == (scheme.activation_group > 0)
    (variant,) = [variant for variant in nli_manifest.variants if variant.precision == "int8"]
    assert variant.activation_group == int8.SCHEMES[nli_manifest.built["int8"]].activation_group
