"""A small cross-encoder and what float32 on the CPU says of it. Without a GPU everything here is skipped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.fixtures.cross_encoder import write_graph
from worker.engine.sessions import Session, choose, open_session
from worker.engine.sessions.devices import find_devices
from worker.engine.sessions.machine import Machine, this_machine


@pytest.fixture(scope="session")
def machine() -> Machine:
    """This machine, if it has a GPU."""
    devices = find_devices()
    if not devices.gpus:
        pytest.skip(f"needs an NVIDIA GPU: {devices.reason}")
    return this_machine()


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory, machine: Machine) -> Path:
    folder = tmp_path_factory.mktemp("models") / "small"
    folder.mkdir()
    write_graph(folder / "fp32.onnx")
    write_graph(folder / "fp16.onnx", np.float16)
    return folder


@pytest.fixture(scope="session")
def reference(model: Path) -> Session:
    built = dict.fromkeys(("openvino", "onnxruntime"), ("fp32",))
    return open_session(model / "fp32.onnx", choose(built, device="cpu"))
