"""Building a cross-encoder: what is in the folder, and what happens when the checkpoint is not fit for it."""

from __future__ import annotations

import dataclasses
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.fixtures.models import NLI_NAME
from tests.fixtures.structbert import State, make_structbert
from worker.engine.manifest import Manifest, NliSpec, fingerprint, record_file
from worker.engine.models import store, verification
from worker.engine.models.loader import open_classifier
from worker.engine.nli import int8, parity
from worker.engine.nli.build import build_into
from yeban.errors import ModelUnusable
from yeban.labels import LabelSet


def test_the_manifest_says_what_was_built_from_what(nli_manifest: Manifest, nli_checkpoint: Path) -> None:
    assert (nli_manifest.name, nli_manifest.kind) == (NLI_NAME, "nli")
    assert nli_manifest.spec == NliSpec(max_tokens=512, pad=0, classes=3, entailment=0, contradiction=2)
    assert nli_manifest.origin["folder"] == nli_checkpoint.name
    assert len(nli_manifest.origin["sha256 of model.safetensors"]) == 64
    assert nli_manifest.built["int8"] in int8.SCHEMES
    assert nli_manifest.precisions("openvino") == ("int8", "fp32")
    assert nli_manifest.precisions("onnxruntime") == ("int8", "fp16", "fp32")
    assert nli_manifest.precisions("tensorrt") == ("fp16",)


def test_every_file_is_recorded_and_readable_by_all_who_may_read_the_graph(
    nli_manifest: Manifest, nli_folder: Path
) -> None:
    there = {path.name for path in nli_folder.iterdir()} - {"manifest.json"}

    assert {record.path for record in nli_manifest.files} == there
    assert there >= {"fp32.onnx", "fp32.onnx.data", "fp16.onnx", "int8.onnx", "tokenizer.json", "expected.npz"}
    assert len({stat.S_IMODE(path.stat().st_mode) for path in nli_folder.iterdir()}) == 1


def test_lower_precisions_take_less_room(nli_folder: Path) -> None:
    sizes = {name: (nli_folder / f"{name}.onnx.data").stat().st_size for name in ("fp32", "fp16", "int8")}

    assert sizes["fp16"] == pytest.approx(sizes["fp32"] / 2, rel=0.02)
    assert sizes["int8"] < sizes["fp32"] * 0.6


def test_building_the_same_twice_gives_the_same_fingerprint(
    nli_checkpoint: Path, nli_manifest: Manifest, tmp_path: Path
) -> None:
    again = build_into(tmp_path, nli_checkpoint, NLI_NAME, scheme=nli_manifest.built["int8"])

    assert again.fingerprint == nli_manifest.fingerprint


def test_where_no_scheme_suffices_the_best_one_is_in_the_folder(
    nli_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares = iter([0.82, 0.9, 0.85, 0.81])
    (tmp_path / "chosen").mkdir()
    (tmp_path / "wanted").mkdir()
    wanted = build_into(tmp_path / "wanted", nli_checkpoint, "m", scheme=list(int8.SCHEMES)[1])
    real = parity.same_top_label
    calls: list[float] = []

    def share(*arguments: object) -> float:
        calls.append(next(shares, 0.99))
        return calls[-1] if len(calls) <= len(int8.SCHEMES) else real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(parity, "same_top_label", share)

    chosen = build_into(tmp_path / "chosen", nli_checkpoint, "m")

    assert chosen.built["int8"] == wanted.built["int8"] == list(int8.SCHEMES)[1]
    assert chosen.variants == wanted.variants
    files = [{record.path: record.sha256 for record in manifest.files} for manifest in (chosen, wanted)]
    assert files[0]["int8.onnx"] == files[1]["int8.onnx"]
    assert files[0]["int8.onnx.data"] == files[1]["int8.onnx.data"]


@pytest.mark.parametrize("scheme", list(int8.SCHEMES))
def test_a_scheme_may_be_asked_for(scheme: str, nli_checkpoint: Path, tmp_path: Path) -> None:
    manifest = store.build(str(nli_checkpoint), tmp_path, scheme=scheme)

    assert manifest.built["int8"] == scheme
    assert manifest.variants[0].activation_group == int8.SCHEMES[scheme].activation_group
    labels = open_classifier(NLI_NAME, model_dir=tmp_path).classify(["退款"], "旅游,科技")[0]["labels"]
    assert sorted(labels) == ["旅游", "科技"]


def test_a_model_of_fewer_positions_reads_shorter_pairs(tmp_path: Path) -> None:
    source = make_structbert(tmp_path / "short", positions=96, layers=1)

    manifest = store.build(str(source), tmp_path / "models", scheme="dynamic")

    assert manifest.spec.max_tokens == 96
    opened = open_classifier("short", model_dir=tmp_path / "models")
    assert opened.truncates("的" * 94, LabelSet.of("旅游"))
    assert np.isfinite(opened.classify(["的" * 500], "旅游,科技")[0]["scores"]).all()


def no_number(state: State) -> State:
    name = "bert.encoder.layer.0.output.dense.weight"
    return {**state, name: np.full_like(state[name], np.nan)}


def too_large_for_float16(state: State) -> State:
    name = "bert.embeddings.word_embeddings.weight"
    return {**state, name: state[name] * np.float32(1e30)}


def no_classifier(state: State) -> State:
    return {name: value for name, value in state.items() if not name.startswith("classifier.")}


@pytest.mark.parametrize("edit", [no_number, no_classifier, too_large_for_float16])
@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_a_checkpoint_that_is_not_fit_leaves_nothing_behind(edit: Callable[[State], State], tmp_path: Path) -> None:
    source = make_structbert(tmp_path / "bad", layers=1, edit=edit)

    with pytest.raises(ModelUnusable):
        store.build(str(source), tmp_path / "models")
    assert [path.name for path in (tmp_path / "models").iterdir()] == [".bad.lock"]


def test_a_good_model_passes_the_check(nli_model_dir: Path) -> None:
    report = verification.verify(NLI_NAME, nli_model_dir)

    assert report.good
    assert {(figure.session, figure.precision) for figure in report.parity} >= {("openvino", "int8")}


def test_a_check_finds_a_graph_that_was_exchanged_together_with_its_record(
    nli_folder: Path, nli_manifest: Manifest, tmp_path: Path
) -> None:
    folder = tmp_path / NLI_NAME
    shutil.copytree(nli_folder, folder)
    data = (folder / "fp32.onnx.data").read_bytes()
    (folder / "fp32.onnx.data").write_bytes(data[::-1])
    files = tuple(record_file(folder, record.path) for record in nli_manifest.files)
    changed = dataclasses.replace(nli_manifest, files=files, fingerprint=fingerprint(nli_manifest.spec, files))
    (folder / "manifest.json").write_text(changed.to_json(), encoding="utf-8")

    (problem,) = verification.verify(str(folder), tmp_path).problems

    assert "fp32 in openvino differs by" in problem
    assert "from the oracle" in problem
