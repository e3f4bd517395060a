from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Run = Callable[..., Result]
HEAVY = ("openvino", "onnxruntime", "onnx", "tokenizers", "torch", "tensorrt", "cuda")


@pytest.fixture
def models(run_yeban: Run) -> Run:
    return lambda *arguments: run_yeban("models", *arguments)


@pytest.mark.parametrize(
    "statement",
    ["import worker.engine", "from yeban.cli import main; main(['models', '--help'], standalone_mode=False)"],
)
def test_importing_the_engine_and_asking_for_help_loads_no_runtime(statement: str) -> None:
    program = f"{statement}; import sys; print([name for name in {HEAVY!r} if name in sys.modules])"

    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert result.stdout.splitlines()[-1] == "[]"


def test_build_and_list_name_the_model(models: Run, model_dir: Path) -> None:
    built = models("build", "e5-small", "--model-dir", model_dir)
    listed = models("list", "--model-dir", model_dir)

    assert (built.exit_code, listed.exit_code) == (0, 0)
    assert listed.stdout == built.stdout
    assert built.stdout.startswith("e5-small  embedding  int8, fp32")


def test_list_as_json_has_the_facts(models: Run, model_dir: Path) -> None:
    (model,) = json.loads(models("list", "--json", "--model-dir", model_dir).stdout)["models"]

    assert model["name"] == "e5-small"
    assert model["precisions"] == ["int8", "fp32"]
    assert len(model["fingerprint"]) == 64


def test_an_empty_list_says_how_to_build(models: Run) -> None:
    listed = models("list")

    assert listed.exit_code == 0
    assert "data/models" in listed.stdout
    assert "yeban models build e5-small" in listed.stdout


def test_check_reports_parity_as_text_and_json(models: Run, model_dir: Path) -> None:
    assert "int8 in openvino" in models("check", "e5-small", "--model-dir", model_dir).stdout

    report = json.loads(models("check", "e5-small", "--json", "--model-dir", model_dir).stdout)

    assert report["good"] is True
    assert report["parity"][0]["measures"]["worst_cosine"] > 0.99


@pytest.mark.parametrize("as_json", [False, True])
def test_a_damaged_model_fails_the_check(models: Run, model_dir: Path, tmp_path: Path, as_json: bool) -> None:
    folder = tmp_path / "e5-small"
    folder.mkdir()
    (folder / "manifest.json").write_bytes((model_dir / "e5-small" / "manifest.json").read_bytes())

    checked = models("check", "e5-small", "--model-dir", tmp_path, *(["--json"] if as_json else []))

    assert checked.exit_code == 5
    assert "fp32.onnx is missing" in checked.stderr
    assert checked.stderr.startswith("yeban: The model e5-small is damaged: ")
    assert json.loads(checked.stdout)["good"] is False if as_json else "good" not in checked.stdout


@pytest.mark.parametrize("command", ["build", "check", "build-engine"])
def test_an_unknown_model_is_misuse(models: Run, command: str) -> None:
    ended = models(command, "gpt")

    assert ended.exit_code == 2
    assert ended.stderr.startswith("yeban: ")
    assert "gpt" in ended.stderr


def test_the_session_is_shown_with_its_reason(models: Run) -> None:
    document = json.loads(models("session", "--json").stdout)

    assert "openvino" in document["sessions"]
    assert document["choice"]["reason"]
    assert document["devices"]["gpus"] or document["devices"]["reason"]
    assert document["choice"]["session"] in models("session").stdout


def test_engines_are_built_of_cross_encoders(models: Run, model_dir: Path) -> None:
    ended = models("build-engine", "e5-small", "--model-dir", model_dir)

    assert ended.exit_code == 5
    assert "e5-small is a model of the kind embedding" in ended.stderr


@pytest.mark.parametrize("number", ["0", "-1", "many"])
def test_a_bounded_batch_is_a_number(models: Run, number: str) -> None:
    ended = models("build-engine", "e5-small", "--max-batch", number)

    assert ended.exit_code == 2
    assert "--max-batch" in ended.stderr


def test_a_folder_with_a_checkpoint_is_built_listed_and_checked(
    models: Run, nli_checkpoint: Path, tmp_path: Path
) -> None:
    there = ["--model-dir", tmp_path]
    built = models("build", nli_checkpoint, "--name", "mine", "--int8", "dynamic", *there)

    assert built.exit_code == 0
    assert models("list", *there).stdout == built.stdout
    assert built.stdout.startswith("mine  nli  int8, fp16, fp32")

    checked = models("check", "mine", *there).stdout
    assert "mine: int8 in openvino, 120 sample texts: worst difference " in checked
    assert checked.endswith("mine: good\n")


def test_the_json_of_a_cross_encoder_has_the_facts(models: Run, nli_model_dir: Path) -> None:
    there = ["--json", "--model-dir", nli_model_dir]
    (model,) = json.loads(models("list", *there).stdout)["models"]
    report = json.loads(models("check", "nli-small", *there).stdout)

    assert (model["name"], model["kind"]) == ("nli-small", "nli")
    assert model["precisions"] == ["int8", "fp16", "fp32"]
    assert model["origin"]["folder"] == "nli-small"
    assert report["good"] is True
    assert report["fingerprint"] == model["fingerprint"]
    assert {figure["precision"] for figure in report["parity"]} == {"int8", "fp32"}
    assert min(f["measures"].get("same_top_label", 1) for f in report["parity"]) > 0.8


def test_a_folder_without_a_checkpoint_is_a_clear_failure(models: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    ended = models("build", tmp_path / "empty")

    assert ended.exit_code == 5
    assert ended.stderr.startswith("yeban: ")
    assert "it has no config.json" in ended.stderr


def test_a_recipe_keeps_its_name(models: Run) -> None:
    ended = models("build", "e5-small", "--name", "mine")

    assert ended.exit_code != 0
    assert "e5-small" in ended.stderr


def test_an_int8_scheme_that_does_not_exist_is_misuse(models: Run) -> None:
    ended = models("build", "e5-small", "--int8", "magic")

    assert ended.exit_code == 2
    assert "static" in ended.stderr
