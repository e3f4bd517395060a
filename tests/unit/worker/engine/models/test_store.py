from __future__ import annotations

import json
import multiprocessing
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import pytest

from worker.engine.manifest import MANIFEST_FILE, FileRecord, Manifest, fingerprint, read_manifest, record_file
from worker.engine.models import store, verification
from worker.engine.models.recipes import RECIPES, Recipe
from yeban.errors import ModelUnusable, UnknownModel, msg


@pytest.fixture
def copy(model_dir: Path, tmp_path: Path) -> Path:
    """A model folder that a test may damage; large files are linked, and replaced rather than written to."""
    folder = tmp_path / "models" / "e5-small"
    shutil.copytree(model_dir / "e5-small", folder, copy_function=_link)
    return folder


def _link(source: str, target: str) -> None:
    Path(target).hardlink_to(source)


def rewrite(path: Path, data: bytes) -> None:
    path.unlink()
    path.write_bytes(data)


@pytest.fixture
def quick_builder(monkeypatch: pytest.MonkeyPatch, manifest: Manifest) -> list[Path]:
    """A builder that fills a folder with one small file; its calls are listed."""
    calls: list[Path] = []

    def build(folder: Path) -> Manifest:
        calls.append(folder)
        (folder / "weights").write_text(f"{len(calls)}")
        return Manifest(
            **{
                **{name: getattr(manifest, name) for name in Manifest.__dataclass_fields__},
                "name": "quick",
                "variants": (),
                "files": (record_file(folder, "weights"),),
            }
        )

    monkeypatch.setitem(RECIPES, "quick", Recipe(name="quick", build=build, offline=True))
    return calls


def test_the_manifest_says_what_the_model_is_and_where_it_came_from(manifest: Manifest) -> None:
    assert (manifest.name, manifest.kind) == ("e5-small", "embedding")
    assert manifest.origin["licence"] == "MIT"
    assert len(manifest.origin["weights_sha256"]) == 64
    assert manifest.built["onnx"]
    assert {figure.sample for figure in manifest.parity} >= {"1 × 8 tokens", "2 × 512 tokens"}
    assert min(figure.measures["worst_cosine"] for figure in manifest.parity) > 0.999
    assert {(figure.session, figure.precision) for figure in manifest.parity} >= {
        ("openvino", "int8"),
        ("onnxruntime", "int8"),
        ("onnxruntime", "fp32"),
    }


def test_a_manifest_survives_being_written(manifest: Manifest, tmp_path: Path) -> None:
    (tmp_path / MANIFEST_FILE).write_text(manifest.to_json(), encoding="utf-8")

    assert read_manifest(tmp_path) == manifest


def test_the_fingerprint_covers_files_and_spec(manifest: Manifest) -> None:
    assert fingerprint(manifest.spec, manifest.files) == manifest.fingerprint
    first, *rest = manifest.files
    other = FileRecord(path=first.path, size=first.size, sha256="0" * 64)
    assert fingerprint(manifest.spec, (other, *rest)) != manifest.fingerprint


def test_building_again_leaves_an_intact_model_alone(quick_builder: list[Path], tmp_path: Path) -> None:
    first = store.build("quick", tmp_path)

    assert store.build("quick", tmp_path) == first
    assert len(quick_builder) == 1
    assert store.build("quick", tmp_path, force=True) != first
    assert (tmp_path / "quick" / "weights").read_text() == "2"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".quick.lock", "quick"]


def test_a_damaged_model_is_built_again(quick_builder: list[Path], tmp_path: Path) -> None:
    store.build("quick", tmp_path)
    (tmp_path / "quick" / "weights").write_text("?")

    store.build("quick", tmp_path)

    assert len(quick_builder) == 2
    assert store.load(tmp_path / "quick").name == "quick"


def test_a_model_of_an_older_version_is_built_again_when_it_is_needed(
    quick_builder: list[Path], tmp_path: Path
) -> None:
    store.build("quick", tmp_path)
    (tmp_path / "quick" / MANIFEST_FILE).write_text('{"schema": 0}')

    assert store.load(store.ensure("quick", tmp_path)).name == "quick"
    assert len(quick_builder) == 2


def test_a_build_that_fails_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(folder: Path) -> NoReturn:
        (folder / "half").touch()
        raise ModelUnusable(msg("no"))

    monkeypatch.setitem(RECIPES, "broken", Recipe(name="broken", build=fail))

    with pytest.raises(ModelUnusable):
        store.build("broken", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".broken.lock"]


def test_of_many_builds_at_once_one_builds(quick_builder: list[Path], tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        manifests = list(pool.map(lambda _: store.build("quick", tmp_path), range(8)))

    assert len(quick_builder) == 1
    assert len({manifest.files for manifest in manifests}) == 1


def test_two_processes_that_build_at_once_agree(model_dir: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool:
        results = pool.starmap(store.build, [("e5-small", model_dir)] * 2)

    assert results[0] == results[1]


def test_a_name_that_cannot_be_built_says_which_can(tmp_path: Path) -> None:
    with pytest.raises(UnknownModel, match="Available: e5-small"):
        store.build("gpt", tmp_path)
    with pytest.raises(UnknownModel, match="There is no model gpt"):
        store.ensure("gpt", tmp_path)
    with pytest.raises(UnknownModel, match="yeban models build e5-small"):
        store.find("e5-small", tmp_path)
    with pytest.raises(UnknownModel):
        store.find("../e5-small", tmp_path)


def test_a_folder_with_a_built_model_serves_as_a_name(copy: Path, tmp_path: Path) -> None:
    assert store.ensure(str(copy), tmp_path / "elsewhere") == copy


def test_models_are_listed_and_strangers_left_out(copy: Path) -> None:
    (copy.parent / "notes").mkdir()
    (copy.parent / "broken").mkdir()
    (copy.parent / "broken" / MANIFEST_FILE).write_text("{")

    assert [manifest.name for manifest in store.list_models(copy.parent)] == ["e5-small"]
    assert store.list_models(copy.parent / "absent") == []


@pytest.mark.parametrize("name", ["fp32.onnx", "tokenizer.json", "replacements.json"])
def test_loading_notices_a_missing_and_a_short_file(name: str, copy: Path) -> None:
    data = (copy / name).read_bytes()
    rewrite(copy / name, data[:-1])
    with pytest.raises(ModelUnusable, match=f"{name} has {len(data) - 1} bytes"):
        store.load(copy)

    (copy / name).unlink()
    with pytest.raises(ModelUnusable, match=f"{name} is missing"):
        store.load(copy)


def test_loading_notices_a_changed_byte_in_a_small_file_and_a_check_in_any(copy: Path) -> None:
    for name in ("replacements.json", "fp32.onnx"):
        data = bytearray((copy / name).read_bytes())
        data[len(data) // 2] ^= 1
        rewrite(copy / name, bytes(data))

    with pytest.raises(ModelUnusable, match=r"replacements\.json does not have the recorded contents"):
        store.load(copy)
    report = verification.verify(str(copy), copy.parent)
    assert not report.good
    assert report.problems == (
        "fp32.onnx does not have the recorded contents",
        "replacements.json does not have the recorded contents",
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 99}, "another release"),
        ({"spec": {}}, "malformed"),
        ({"files": [{"path": "../x", "size": 0, "sha256": ""}]}, "bad path"),
        ({"files": "x"}, "malformed"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(change: dict[str, object], message: str, copy: Path) -> None:
    document = json.loads((copy / MANIFEST_FILE).read_text(encoding="utf-8")) | change
    rewrite(copy / MANIFEST_FILE, json.dumps(document).encode())

    with pytest.raises(ModelUnusable, match=message):
        store.load(copy)


def test_a_good_model_passes_the_check(model_dir: Path) -> None:
    report = verification.verify("e5-small", model_dir)

    assert report.good
    assert report.parity


def test_a_check_notices_an_edited_spec(copy: Path) -> None:
    document = json.loads((copy / MANIFEST_FILE).read_text(encoding="utf-8"))
    document["spec"]["calibration"]["temperature"] *= 2
    rewrite(copy / MANIFEST_FILE, json.dumps(document).encode())

    assert any("fingerprint" in problem for problem in verification.verify(str(copy), copy.parent).problems)
