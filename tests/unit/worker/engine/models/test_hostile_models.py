"""Model files by someone who means harm: each is refused in words, and nothing of it runs or reaches outside."""

from __future__ import annotations

import json
import pickle
import shutil
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from worker.engine.checkpoints.bert_config import read_config
from worker.engine.checkpoints.weight_files import open_weights
from worker.engine.embedding import build
from worker.engine.manifest import MANIFEST_FILE, read_manifest
from worker.engine.models import store
from worker.engine.sessions.onnxruntime import OnnxRuntimeSession
from worker.engine.sessions.openvino import OpenVinoSession
from worker.engine.tokenisers.wordpiece import read_tokenizer_json
from yeban.errors import EngineUnavailable, ModelUnusable

NESTED = "[" * 200_000


class Harmful:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def write_safetensors(folder: Path, header: bytes, *, says: int | None = None, data: bytes = bytes(64)) -> None:
    length = len(header) if says is None else says
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", length) + header + data)


def test_a_pickle_is_not_touched_without_pytorch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    mark = tmp_path / "it-ran"
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps({"w": Harmful(mark)}))

    with pytest.raises(EngineUnavailable, match="needs PyTorch"):
        open_weights(tmp_path)
    assert not mark.exists()


def test_a_pickle_that_calls_itself_safetensors_is_data(tmp_path: Path) -> None:
    mark = tmp_path / "it-ran"
    (tmp_path / "model.safetensors").write_bytes(pickle.dumps({"w": Harmful(mark)}))

    with pytest.raises(ModelUnusable, match="damaged or incomplete"):
        open_weights(tmp_path)
    assert not mark.exists()


@pytest.mark.parametrize("says", [1 << 40, (1 << 64) - 1, 100_000_001, 0])
def test_a_header_that_claims_terabytes_is_refused_before_it_is_read(tmp_path: Path, says: int) -> None:
    write_safetensors(tmp_path, b"{}", says=says)

    with pytest.raises(ModelUnusable, match=f"a header of {says} bytes in a file of 74"):
        open_weights(tmp_path)


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]},
        {"dtype": "F32", "shape": [1 << 62, 1 << 62], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [16], "data_offsets": [0, 1 << 70]},
        {"dtype": ["F32"], "shape": [16], "data_offsets": [0, 64]},
    ],
)
def test_a_tensor_that_claims_terabytes_is_refused(tmp_path: Path, entry: dict[str, Any]) -> None:
    write_safetensors(tmp_path, json.dumps({"w": entry}).encode())

    with pytest.raises(ModelUnusable, match="damaged or incomplete"):
        open_weights(tmp_path)


def _index(folder: Path) -> None:
    (folder / "model.safetensors.index.json").write_text(NESTED)
    open_weights(folder)


def _safetensors(folder: Path) -> None:
    write_safetensors(folder, NESTED.encode())
    open_weights(folder)


def _manifest(folder: Path) -> None:
    (folder / MANIFEST_FILE).write_text(NESTED)
    read_manifest(folder)


def _config(folder: Path) -> None:
    (folder / "config.json").write_text(NESTED)
    read_config(folder)


def _tokeniser(folder: Path) -> None:
    (folder / "tokenizer.json").write_text(NESTED)
    read_tokenizer_json(folder / "tokenizer.json")


@pytest.mark.parametrize("read", [_index, _safetensors, _manifest, _config, _tokeniser])
def test_json_that_is_nested_without_end_is_refused(tmp_path: Path, read: Callable[[Path], None]) -> None:
    with pytest.raises(ModelUnusable):
        read(tmp_path)


@pytest.mark.parametrize("name", ["../secret.safetensors", "/etc/passwd", "a/../../secret.safetensors"])
def test_an_index_that_leaves_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"w": name}}))

    with pytest.raises(ModelUnusable, match="outside its folder"):
        open_weights(folder)


@pytest.mark.parametrize("path", ["../secret.onnx", "/etc/passwd", "a/../../secret.onnx"])
def test_a_manifest_that_leaves_its_folder_is_refused(model_dir: Path, tmp_path: Path, path: str) -> None:
    document = json.loads((model_dir / build.NAME / MANIFEST_FILE).read_text(encoding="utf-8"))
    document["files"][0]["path"] = document["variants"][0]["graph"] = path
    (tmp_path / MANIFEST_FILE).write_text(json.dumps(document), encoding="utf-8")

    with pytest.raises(ModelUnusable, match="bad path"):
        read_manifest(tmp_path)


def test_a_file_that_was_exchanged_is_refused(model_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model_dir / build.NAME, folder)
    name = min(read_manifest(folder).files, key=lambda record: record.size).path
    (folder / name).write_bytes(bytes((folder / name).stat().st_size))

    with pytest.raises(ModelUnusable, match=f"{name} does not have the recorded contents"):
        store.load(folder)


@pytest.fixture
def graph_with_data_at(tmp_path: Path) -> Callable[[str], Path]:
    """Make ``model/model.onnx``, which adds 16 numbers that it says lie at a place; beside ``model`` lies a secret."""
    folder = tmp_path / "model"
    folder.mkdir()
    for path in (tmp_path / "secret.bin", folder / "inside.bin"):
        path.write_bytes(np.arange(16, dtype="<f4").tobytes())
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")

    def make(location: str) -> Path:
        weight = TensorProto(name="w", data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL, dims=[16])
        for key, value in (("location", location), ("offset", "0"), ("length", "64")):
            weight.external_data.add(key=key, value=value)
        ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [16]) for name in ("x", "y")]
        graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", ends[:1], ends[1:], [weight])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        (folder / "model.onnx").write_bytes(model.SerializeToString())
        return folder / "model.onnx"

    return make


def open_with_openvino(path: Path) -> Any:
    return OpenVinoSession(path, threads=1, activation_group=0, bfloat16=False)


def open_with_onnxruntime(path: Path) -> Any:
    return OnnxRuntimeSession(path, threads=1)


@pytest.mark.parametrize("open_session", [open_with_openvino, open_with_onnxruntime])
@pytest.mark.parametrize("location", ["../secret.bin", "{outside}", "a/../../secret.bin", "link.bin"])
def test_a_graph_whose_data_lie_outside_its_folder_is_refused(
    graph_with_data_at: Callable[[str], Path], open_session: Callable[[Path], Any], location: str, tmp_path: Path
) -> None:
    path = graph_with_data_at(location.format(outside=tmp_path / "secret.bin"))

    with pytest.raises(ModelUnusable, match=r"cannot load model\.onnx"):
        open_session(path)


@pytest.mark.parametrize("open_session", [open_with_openvino, open_with_onnxruntime])
def test_a_graph_whose_data_lie_beside_it_is_read(
    graph_with_data_at: Callable[[str], Path], open_session: Callable[[Path], Any]
) -> None:
    session = open_session(graph_with_data_at("inside.bin"))

    (output,) = session.run([{"x": np.zeros(16, np.float32)}])
    assert output.tolist() == list(range(16))


@pytest.mark.parametrize("location", ["../secret.bin", "{outside}", "link.bin"])
def test_the_library_that_reads_graphs_for_torch_refuses_them_too(
    graph_with_data_at: Callable[[str], Path], location: str, tmp_path: Path
) -> None:
    path = graph_with_data_at(location.format(outside=tmp_path / "secret.bin"))

    with pytest.raises((onnx.checker.ValidationError, ValueError, OSError)):
        onnx.load(path)
