from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from worker.engine.manifest import Manifest
from worker.engine.sessions import Session, choose, open_session
from worker.engine.sessions.ranking import ON_CPU
from yeban.errors import EngineFailed, ModelUnusable

BUILT = {"openvino": ("int8", "fp32"), "onnxruntime": ("int8", "fp32")}


@pytest.fixture(params=ON_CPU)
def session(request: pytest.FixtureRequest, model_dir: Path, manifest: Manifest) -> Session:
    choice = choose(BUILT, session=request.param, device="cpu", threads=1)
    return open_session(model_dir / manifest.name / manifest.variant("int8", request.param).graph, choice)


def call(length: int, rows: int = 1) -> dict[str, np.ndarray]:
    ids = np.random.default_rng(length).integers(4, 1_000, (rows, length))
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}


def test_loading_the_engine_tells_nobody() -> None:
    """OpenVINO reports its use over the network when it can import a package of its own for that."""
    script = (
        "import sys, worker.engine.sessions.openvino, openvino.tools.ovc.telemetry_utils as used;"
        "assert used.tm.__name__.endswith('telemetry_stub'), used.tm;"
        "assert not [name for name in sys.modules if name.startswith('openvino_telemetry.')]"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_signal_after_a_model_was_let_go_does_no_harm(model_dir: Path) -> None:
    """It ended the process where the thread that let go was not the one that had loaded."""
    script = """
import gc, os, signal, sys, threading
from pathlib import Path
from worker.engine import open_classifier

signal.signal(signal.SIGUSR1, lambda *_: None)
held = [open_classifier(model_dir=Path(sys.argv[1]))]
held[0].classify(["text"], "a,b")

def let_go():
    held.clear()
    gc.collect()

thread = threading.Thread(target=let_go)
thread.start()
thread.join()
for _ in range(10):
    os.kill(os.getpid(), signal.SIGUSR1)
"""
    subprocess.run([sys.executable, "-c", script, str(model_dir)], check=True)


def test_outputs_come_in_the_order_of_the_calls_and_do_not_share_memory(session: Session) -> None:
    calls = [call(length, rows) for length, rows in ((40, 2), (5, 1), (40, 2), (17, 3))]

    together = session.run(calls)
    one_by_one = [session.run([one])[0] for one in calls]

    for left, right in zip(together, one_by_one, strict=True):
        np.testing.assert_allclose(left, right, atol=1e-5)
    assert [output.shape for output in together] == [(2, 384), (1, 384), (2, 384), (3, 384)]
    assert session.run([]) == []


def test_progress_is_told_after_each_call(session: Session) -> None:
    seen: list[None] = []

    session.run([call(5), call(9)], progress=lambda: seen.append(None))

    assert len(seen) == 2


def test_two_threads_at_once_get_their_own_results(session: Session) -> None:
    work = [[call(length) for length in range(start, start + 12)] for start in (3, 20)]
    expected = [session.run(calls) for calls in work]
    start_line = threading.Barrier(2)

    def run(calls: list[dict[str, np.ndarray]]) -> list[np.ndarray]:
        start_line.wait()
        return session.run(calls)

    with ThreadPoolExecutor(2) as pool:
        got = list(pool.map(run, work))

    for wanted, outputs in zip(expected, got, strict=True):
        for left, right in zip(wanted, outputs, strict=True):
            np.testing.assert_allclose(left, right, atol=1e-5)


def test_a_call_that_the_engine_refuses_is_an_engine_failure(session: Session) -> None:
    with pytest.raises(EngineFailed):
        session.run([{"nonsense": np.zeros((1, 6), np.int64)}])


@pytest.mark.parametrize("name", ON_CPU)
def test_a_damaged_graph_is_a_model_that_cannot_be_used(name: str, tmp_path: Path) -> None:
    bad = tmp_path / "graph.onnx"
    bad.write_bytes(b"not a graph")

    with pytest.raises(ModelUnusable, match=r"graph\.onnx"):
        open_session(bad, choose(BUILT, session=name, device="cpu"))
