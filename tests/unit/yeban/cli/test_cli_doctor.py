from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from yeban.cli import doctor
from yeban.settings import load_settings

CHOICE = {
    "session": "openvino",
    "precision": "int8",
    "device": "cpu",
    "threads": 2,
    "reason": "openvino is the best session here; tensorrt has no engine (run scripts/build_engine structbert-base)",
}


def findings(monkeypatch: pytest.MonkeyPatch, said: dict[str, Any] | str) -> dict[str, doctor.Finding]:
    """Doctor's findings from the JSON of ``yeban models session``, or from the error it ends with."""
    program = f"raise SystemExit({said!r})" if isinstance(said, str) else f"print({json.dumps(said)!r})"
    monkeypatch.setattr(doctor, "python_command", lambda *_: [sys.executable, "-c", program])
    return {finding.what: finding for finding in doctor._engine(load_settings())}


def test_gpus_are_shown_with_memory_capability_and_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = {"index": 0, "name": "NVIDIA L4", "compute_capability": [8, 9], "memory_bytes": 24 * 2**30}
    devices = {"gpus": [gpu, {**gpu, "index": 1}], "driver": "580.95.05", "cuda": [13, 0], "reason": None}

    found = findings(monkeypatch, {"sessions": [], "choice": CHOICE, "devices": devices})

    wanted = "NVIDIA L4, 24 GiB, compute capability 8.9, driver 580.95.05 for CUDA up to 13.0"
    assert (found["GPU 0"].state, found["GPU 0"].detail) == ("ok", wanted)
    assert "GPU 1" in found


def test_without_a_gpu_the_reason_is_shown_and_is_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    devices = {"gpus": [], "driver": None, "cuda": None, "reason": "no NVIDIA driver: libcuda.so.1 not found"}

    found = findings(monkeypatch, {"sessions": [], "choice": CHOICE, "devices": devices})

    assert found["GPU"].detail == "none; no NVIDIA driver: libcuda.so.1 not found"
    assert found["GPU"].state == "note"


def test_the_session_is_shown_with_what_was_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    devices = {"gpus": [], "driver": None, "cuda": None, "reason": "none"}

    found = findings(monkeypatch, {"sessions": [], "choice": CHOICE, "devices": devices})

    assert found["engine"].detail.startswith("openvino, int8 on cpu, 2 threads: ")
    assert "scripts/build_engine structbert-base" in found["engine"].detail


def test_an_engine_that_cannot_run_is_a_problem_in_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    found = findings(monkeypatch, "yeban: tensorrt is not installed")

    assert (found["engine"].state, found["engine"].detail) == ("problem", "tensorrt is not installed")
