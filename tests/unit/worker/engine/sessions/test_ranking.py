from __future__ import annotations

import pytest

from worker.engine.sessions import Choice, choose
from worker.engine.sessions.devices import Devices, Gpu
from worker.engine.sessions.machine import Machine
from yeban.errors import EngineUnavailable

BUILT = {
    "openvino": ("int8", "fp32"),
    "onnxruntime": ("int8", "fp32", "fp16"),
    "tensorrt": ("fp16",),
    "torch": ("fp32", "fp16"),
}
ALL = frozenset({"openvino", "onnxruntime", "tensorrt", "torch"})
NO_DRIVER = Devices(reason="no NVIDIA driver: libcuda.so.1 not found")


def gpus(*, cuda: tuple[int, int] = (13, 0), capability: tuple[int, int] = (8, 9)) -> Devices:
    gpu = Gpu(index=0, name="NVIDIA L4", compute_capability=capability, memory_bytes=24 * 2**30)
    return Devices(gpus=(gpu,), driver="580.95.05", cuda=cuda)


def machine(
    *installed: str, cuda: frozenset[str] = ALL - {"openvino"}, devices: Devices | None = None, threads: int = 4
) -> Machine:
    there = frozenset(installed) or ALL
    return Machine(
        installed=there, with_cuda=there & cuda, tensorrt="11.4.0", devices=devices or gpus(), threads=threads
    )


def picked(choice: Choice) -> tuple[str, str, str]:
    return choice.session, choice.precision, choice.device


def test_on_a_gpu_an_engine_that_is_built_comes_first() -> None:
    choice = choose(BUILT, engines=("fp16",), machine=machine())

    assert picked(choice) == ("tensorrt", "fp16", "cuda")
    assert choice.reason == "tensorrt is the best session here"


def test_without_an_engine_onnxruntime_follows_and_the_command_is_named() -> None:
    choice = choose(BUILT, model="structbert-base", machine=machine())

    assert picked(choice) == ("onnxruntime", "fp16", "cuda")
    assert "run scripts/build_engine structbert-base" in choice.reason


def test_without_either_torch_follows() -> None:
    choice = choose(BUILT, machine=machine("openvino", "torch"))

    assert picked(choice) == ("torch", "fp16", "cuda")
    assert "onnxruntime is not installed (pip install the extra yeban[gpu])" in choice.reason


def test_packages_without_cuda_leave_the_cpu_and_every_reason() -> None:
    choice = choose(BUILT, engines=("fp16",), machine=machine(cuda=frozenset()))

    assert picked(choice) == ("openvino", "int8", "cpu")
    for words in ("tensorrt lacks cuda-bindings", "the onnxruntime that is installed has no CUDA", "the torch that"):
        assert words in choice.reason


def test_without_a_gpu_the_reason_is_told_once() -> None:
    choice = choose(BUILT, machine=machine(devices=NO_DRIVER))

    assert picked(choice) == ("openvino", "int8", "cpu")
    assert choice.reason == "openvino is the best session here; no NVIDIA driver: libcuda.so.1 not found"


def test_the_next_best_on_a_cpu_is_onnxruntime_and_torch_never_unasked() -> None:
    assert picked(choose(BUILT, machine=machine("onnxruntime", devices=NO_DRIVER))) == ("onnxruntime", "int8", "cpu")
    with pytest.raises(EngineUnavailable, match="openvino is not installed"):
        choose(BUILT, machine=machine("torch", devices=NO_DRIVER))


def test_torch_on_a_cpu_is_a_float32_reference_when_asked_for() -> None:
    choice = choose(BUILT, session="torch", machine=machine(devices=NO_DRIVER))

    assert picked(choice) == ("torch", "fp32", "cpu")
    assert "torch was asked for; no NVIDIA driver" in choice.reason


def test_asking_for_the_cpu_leaves_a_gpu_alone() -> None:
    assert picked(choose(BUILT, device="cpu", engines=("fp16",), machine=machine())) == ("openvino", "int8", "cpu")


def test_a_precision_that_no_gpu_session_computes_in_leads_to_the_cpu_unless_a_gpu_was_asked_for() -> None:
    assert picked(choose(BUILT, precision="int8", machine=machine())) == ("openvino", "int8", "cpu")
    with pytest.raises(EngineUnavailable, match="for onnxruntime on cuda the model is not built in int8"):
        choose(BUILT, precision="int8", device="cuda", machine=machine())


def test_bf16_is_torch_with_the_weights_of_float32() -> None:
    choice = choose(BUILT, precision="bf16", machine=machine())

    assert picked(choice) == ("torch", "bf16", "cuda")
    assert choice.graph == "fp32"
    only_half = {**BUILT, "torch": ("fp16",)}
    assert choose(only_half, precision="bf16", machine=machine()).graph == "fp16"
    with pytest.raises(EngineUnavailable, match="torch on cuda the model is not built in fp32"):
        choose(only_half, session="torch", device="cuda", precision="fp32", machine=machine())


def test_the_graph_is_that_of_the_precision_elsewhere() -> None:
    assert choose(BUILT, machine=machine(devices=NO_DRIVER)).graph == "int8"
    assert choose(BUILT, session="onnxruntime", precision="fp32", machine=machine()).graph == "fp32"


def test_threads_are_those_asked_for_or_the_machines() -> None:
    assert choose(BUILT, machine=machine(threads=6)).threads == 6
    assert choose(BUILT, threads=2, machine=machine(threads=6)).threads == 2


@pytest.mark.parametrize(
    ("wishes", "where", "message"),
    [
        ({"device": "cuda"}, machine(devices=NO_DRIVER), r"libcuda\.so\.1 not found"),
        ({"session": "tensorrt"}, machine(devices=NO_DRIVER), r"libcuda\.so\.1 not found"),
        ({"session": "tensorrt"}, machine("openvino"), r"tensorrt is not installed .*yeban\[gpu\]"),
        ({"session": "tensorrt"}, machine(), r"run scripts/build_engine MODEL"),
        ({"session": "tensorrt"}, machine(cuda=frozenset()), r"pip install cuda-bindings"),
        ({"session": "onnxruntime", "device": "cuda"}, machine("openvino"), r"yeban\[gpu\]"),
        ({"session": "onnxruntime", "device": "cuda"}, machine(cuda=frozenset()), r"onnxruntime-gpu"),
        ({"session": "torch", "device": "cuda"}, machine("openvino"), r"torch is not installed .*yeban\[models\]"),
        ({"session": "torch", "device": "cuda"}, machine(cuda=frozenset()), r"a build of torch for CUDA"),
        ({"session": "torch", "device": "cpu"}, machine("openvino"), r"pip install torch, .*yeban\[models\]"),
        ({"session": "openvino"}, machine("onnxruntime"), r"pip install openvino, or the extra yeban\[worker\]"),
        ({"session": "onnxruntime", "device": "cpu"}, machine("openvino"), r"yeban\[cpu\]"),
        ({"session": "openvino", "device": "cuda"}, machine(), r"openvino does not run on cuda"),
        ({"session": "tensorrt", "device": "cpu"}, machine(), r"tensorrt does not run on cpu"),
        (
            {"device": "cuda", "session": "tensorrt"},
            machine(devices=gpus(cuda=(12, 4))),
            r"580\.95\.05 runs CUDA 12\.4, and tensorrt needs 13\.0 \(install the driver 580 or newer\)",
        ),
        (
            {"device": "cuda", "session": "onnxruntime"},
            machine(devices=gpus(capability=(7, 0))),
            r"needs a GPU of compute capability 7\.5; this is NVIDIA L4",
        ),
        (
            {"device": "cuda", "precision": "bf16"},
            machine(devices=gpus(capability=(7, 5))),
            r"bf16 needs a GPU of compute capability 8\.0",
        ),
    ],
)
def test_what_was_asked_for_and_cannot_run_is_refused_with_what_is_missing(
    wishes: dict[str, str], where: Machine, message: str
) -> None:
    with pytest.raises(EngineUnavailable, match=message):
        choose(BUILT, machine=where, **wishes)  # type: ignore[arg-type]
