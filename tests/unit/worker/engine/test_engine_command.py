from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from worker.engine.__main__ import main

HEAVY = ("openvino", "onnxruntime", "onnx", "tokenizers", "torch", "tensorrt", "cuda")


def test_importing_the_engine_loads_no_runtime() -> None:
    program = f"import sys, worker.engine; print([name for name in {HEAVY!r} if name in sys.modules])"

    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert result.stdout.strip() == "[]"


def test_build_and_list_name_the_model(model_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "e5-small", "--model-dir", str(model_dir)]) == 0
    built = capsys.readouterr().out
    assert main(["list", "--model-dir", str(model_dir)]) == 0

    assert capsys.readouterr().out == built
    assert built.startswith("e5-small  embedding  int8, fp32")


def test_list_as_json_has_the_facts(model_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--json", "--model-dir", str(model_dir)]) == 0

    (model,) = json.loads(capsys.readouterr().out)
    assert model["name"] == "e5-small"
    assert model["precisions"] == ["int8", "fp32"]
    assert len(model["fingerprint"]) == 64


def test_an_empty_list_says_how_to_build(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--model-dir", str(tmp_path)]) == 0

    assert "yeban models build e5-small" in capsys.readouterr().out


def test_check_reports_parity_as_text_and_json(model_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "e5-small", "--model-dir", str(model_dir)]) == 0
    assert "int8 in openvino" in capsys.readouterr().out
    assert main(["check", "e5-small", "--json", "--model-dir", str(model_dir)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["good"] is True
    assert report["parity"][0]["measures"]["worst_cosine"] > 0.99


def test_a_damaged_model_fails_the_check(model_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "e5-small"
    folder.mkdir()
    (folder / "manifest.json").write_bytes((model_dir / "e5-small" / "manifest.json").read_bytes())

    assert main(["check", "e5-small", "--model-dir", str(tmp_path)]) == 1

    assert "fp32.onnx is missing" in capsys.readouterr().err


def test_an_unknown_model_is_an_error_with_its_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "gpt", "--model-dir", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("yeban: The model gpt")
    assert main(["build", "gpt", "--json", "--model-dir", str(tmp_path)]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "unknown_model"


def test_doctor_says_what_would_run_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0

    document = json.loads(capsys.readouterr().out)
    assert "openvino" in document["sessions"]
    assert document["choice"]["reason"]
    assert main(["doctor"]) == 0
    assert document["choice"]["session"] in capsys.readouterr().out


def test_doctor_says_which_gpus_there_are_or_why_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0

    devices = json.loads(capsys.readouterr().out)["devices"]
    assert devices["gpus"] or devices["reason"]


def test_engines_are_built_of_cross_encoders(model_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build-engine", "e5-small", "--model-dir", str(model_dir)]) == 1

    assert "e5-small is of the kind embedding" in capsys.readouterr().err


@pytest.mark.parametrize("number", ["0", "-1", "many"])
def test_a_bounded_batch_is_a_number(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["build-engine", "e5-small", "--max-batch", number])

    assert ended.value.code == 2
    assert "number" in capsys.readouterr().err or number == "-1"


def test_a_folder_with_a_checkpoint_is_built_listed_and_checked(
    nli_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = ["--model-dir", str(tmp_path)]
    assert main(["build", str(nli_checkpoint), "--name", "mine", "--int8", "dynamic", *there]) == 0
    built = capsys.readouterr().out
    assert main(["list", *there]) == 0
    assert capsys.readouterr().out == built
    assert built.startswith("mine  nli  int8, fp16, fp32")

    assert main(["check", "mine", *there]) == 0
    checked = capsys.readouterr().out
    assert "mine: int8 in openvino, 120 sample texts: worst difference " in checked
    assert checked.endswith("mine: good\n")


def test_the_json_of_a_cross_encoder_has_the_facts(nli_model_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there = ["--json", "--model-dir", str(nli_model_dir)]
    assert main(["list", *there]) == 0
    (model,) = json.loads(capsys.readouterr().out)
    assert main(["check", "nli-small", *there]) == 0
    report = json.loads(capsys.readouterr().out)

    assert (model["name"], model["kind"]) == ("nli-small", "nli")
    assert model["precisions"] == ["int8", "fp16", "fp32"]
    assert model["origin"]["folder"] == "nli-small"
    assert report["good"] is True
    assert report["fingerprint"] == model["fingerprint"]
    assert {figure["precision"] for figure in report["parity"]} == {"int8", "fp32"}
    assert min(f["measures"].get("same_top_label", 1) for f in report["parity"]) > 0.8


@pytest.mark.parametrize("as_json", [False, True])
def test_a_folder_without_a_checkpoint_is_a_clear_failure(
    as_json: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    arguments = ["build", str(tmp_path / "empty"), "--model-dir", str(tmp_path / "models")]

    assert main([*arguments, "--json"] if as_json else arguments) == 1

    shown = capsys.readouterr()
    if as_json:
        error = json.loads(shown.out)["error"]
        assert error["code"] == "model_unusable"
        assert "config.json" in error["detail"]
    else:
        assert shown.err.startswith("yeban: ")
        assert "it has no config.json" in shown.err


@pytest.mark.parametrize("arguments", [["e5-small", "--name", "mine"], ["nope"]])
def test_a_model_that_cannot_be_built_so_is_a_clear_failure(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["build", *arguments, "--model-dir", str(tmp_path)]) == 1
    assert arguments[0] in capsys.readouterr().err


def test_a_way_to_int8_that_does_not_exist_is_misuse(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["build", "e5-small", "--int8", "magic"])

    assert ended.value.code == 2
    assert "static" in capsys.readouterr().err
