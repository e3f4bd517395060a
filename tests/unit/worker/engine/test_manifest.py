from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.models import NLI_NAME
from worker.engine.embedding import build
from worker.engine.manifest import (
    MANIFEST_FILE,
    SCHEMA,
    EmbeddingSpec,
    FileRecord,
    Manifest,
    NliSpec,
    Variant,
    fingerprint,
    read_manifest,
)
from yeban.errors import ModelUnusable

OLD_SCHEMAS = range(SCHEMA)


@pytest.fixture(params=["nli", "embedding"])
def any_manifest(request: pytest.FixtureRequest) -> Manifest:
    """A manifest of each kind, as a build wrote it."""
    name, fixture = {"nli": (NLI_NAME, "nli_model_dir"), "embedding": (build.NAME, "model_dir")}[request.param]
    folder: Path = request.getfixturevalue(fixture) / name
    return read_manifest(folder)


def write(folder: Path, document: Any) -> Path:
    (folder / MANIFEST_FILE).write_text(json.dumps(document), encoding="utf-8")
    return folder


def test_it_reads_what_was_written(any_manifest: Manifest, tmp_path: Path) -> None:
    (tmp_path / MANIFEST_FILE).write_text(any_manifest.to_json(), encoding="utf-8")

    read = read_manifest(tmp_path)

    assert read == any_manifest
    assert isinstance(read.spec, {"nli": NliSpec, "embedding": EmbeddingSpec}[read.kind])
    assert read.to_json() == any_manifest.to_json()
    assert fingerprint(read.spec, read.files) == read.fingerprint


@pytest.mark.parametrize("schema", OLD_SCHEMAS)
def test_one_of_an_older_release_says_so(schema: int, any_manifest: Manifest, tmp_path: Path) -> None:
    write(tmp_path, json.loads(any_manifest.to_json()) | {"schema": schema})

    with pytest.raises(ModelUnusable, match=rf"another release \(schema {schema}, not {SCHEMA}\). Build it again"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "gpt"},
        {"kind": "embedding"},
        {"spec": {}},
        {"spec": {"max_tokens": 512}},
        {"spec": {"max_tokens": "many", "pad": 0, "classes": 3, "entailment": 0, "contradiction": 2}},
        {"spec": {"max_tokens": 1, "pad": 0, "classes": 3, "entailment": 0, "contradiction": 2, "more": 1}},
        {"variants": [{"precision": "int8"}]},
        {"variants": [{"precision": "int8", "sessions": ["openvino"], "graph": "../int8.onnx"}]},
        {"variants": [{"precision": "int8", "sessions": ["openvino"], "graph": "absent.onnx"}]},
        {"files": [{"path": "/etc/passwd", "size": 1, "sha256": ""}]},
        {"parity": None},
    ],
)
def test_one_that_makes_no_sense_is_refused(change: dict[str, Any], nli_model_dir: Path, tmp_path: Path) -> None:
    document = json.loads((nli_model_dir / NLI_NAME / MANIFEST_FILE).read_text(encoding="utf-8"))
    write(tmp_path, document | change)

    with pytest.raises(ModelUnusable, match="malformed"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", f'{{"schema": {SCHEMA}}}', "\ufeff{}"])
def test_what_is_no_manifest_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / MANIFEST_FILE).write_text(text, encoding="utf-8")

    with pytest.raises(ModelUnusable, match="Build the model again"):
        read_manifest(tmp_path)


def test_a_folder_without_one_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match=r"is not a built model: it has no manifest\.json"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("field", ["max_tokens", "pad", "classes", "entailment", "contradiction"])
def test_the_fingerprint_covers_all_of_the_spec(field: str) -> None:
    spec = NliSpec(max_tokens=512, pad=0, classes=3, entailment=0, contradiction=2)
    other = dataclasses.replace(spec, **{field: 7})

    assert fingerprint(spec, ()) != fingerprint(other, ())


def test_the_fingerprint_covers_files_whatever_their_order() -> None:
    spec = NliSpec(max_tokens=512, pad=0, classes=3, entailment=0, contradiction=2)
    one, two, three = (FileRecord(path=name, size=1, sha256=name * 64) for name in "abc")

    assert fingerprint(spec, (one, two)) == fingerprint(spec, (two, one))
    assert len({fingerprint(spec, files) for files in ((one, two), (one, three), (one,), ())}) == 4
    renamed = dataclasses.replace(two, path="c")
    assert fingerprint(spec, (one, two)) != fingerprint(spec, (one, renamed))


def test_a_variant_is_found_by_precision_and_session(any_manifest: Manifest) -> None:
    wanted = Variant(precision="int8", sessions=("x",), graph="x.onnx")
    manifest = dataclasses.replace(any_manifest, variants=(*any_manifest.variants, wanted))

    assert manifest.variant("int8", "x") == wanted
    assert manifest.precisions("x") == ("int8",)
    assert manifest.precisions("nothing") == ()
    with pytest.raises(ModelUnusable, match="has no fp32 build for x"):
        manifest.variant("fp32", "x")
