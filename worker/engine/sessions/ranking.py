"""Choice of a session: the requested one or the best that can run here, and the reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from worker.engine.sessions.machine import Machine, this_machine
from yeban.errors import EngineUnavailable, msg

SESSIONS = ("openvino", "onnxruntime", "tensorrt", "torch")
"""All there are."""

ON_CUDA = ("tensorrt", "onnxruntime", "torch")
"""Those that run on an NVIDIA GPU, best first."""

ON_CPU = ("openvino", "onnxruntime")
"""Those that run on a CPU unasked, best first. torch does when it is asked for: it is a reference there."""

_RUNS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("tensorrt", "cuda"): ("fp16",),
    ("onnxruntime", "cuda"): ("fp16", "fp32"),
    ("torch", "cuda"): ("fp16", "bf16", "fp32"),
    ("openvino", "cpu"): ("int8", "fp32"),
    ("onnxruntime", "cpu"): ("int8", "fp32"),
    ("torch", "cpu"): ("fp32",),
}
_EXTRAS = {"openvino": "worker", "onnxruntime": "cpu", "tensorrt": "gpu", "torch": "models"}
_CUDA_EXTRAS = {"onnxruntime": "gpu", "tensorrt": "gpu", "torch": "models"}

# CUDA of the packages in the extra `gpu`, and the first driver that runs it.
_CUDA_BUILD, _CUDA_DRIVER = (13, 0), 580
_OLDEST_GPU = (7, 5)
_OLDEST_GPU_FOR_BF16 = (8, 0)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The chosen session, precision and device, with the reason.

    ``graph`` is the precision of the graph whose weights are used: torch computes in bf16 with the weights of
    another one. ``activation_group`` and ``bfloat16`` are the variant's (see the manifest). ``reason`` also names
    the rejected candidates.
    """

    session: str
    precision: str
    device: str
    threads: int
    graph: str
    reason: str
    activation_group: int = 0
    bfloat16: bool = False


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    precision: str
    engines: Sequence[str]
    model: str
    machine: Machine


def choose(
    built: Mapping[str, Sequence[str]],
    *,
    precision: str = "auto",
    device: str = "auto",
    session: str = "auto",
    threads: int | None = None,
    engines: Sequence[str] = (),
    model: str = "MODEL",
    machine: Machine | None = None,
) -> Choice:
    """Pick a session, a device and a precision: the requested ones or the best.

    ``built`` holds the model's precisions per session, best first, and ``engines`` those with a TensorRT engine for the
    GPU and driver of ``machine`` (this one unless given). Any choice but ``auto`` is obeyed or refused: raises
    :class:`~yeban.errors.EngineUnavailable`, which names the missing package, the driver or the command to run.
    """
    if session not in ("auto", *SESSIONS):
        raise EngineUnavailable(
            msg(
                "There is no session %(session)s. Available: %(sessions)s.",
                session=session,
                sessions=", ".join(SESSIONS),
            ),
            session=session,
        )
    here = machine or this_machine(gpus=device != "cpu")
    asked = _Wanted(precision=precision, engines=engines, model=model, machine=here)
    passed_over: list[str] = []
    for name, place in _candidates(session, device):
        obstacle = next(_obstacles(name, place, built.get(name, ()), asked), None)
        if obstacle is None:
            wanted = _precisions(name, place, built[name])[0] if precision == "auto" else precision
            why = f"{name} was asked for" if session == name else f"{name} is the best session here"
            return Choice(
                session=name,
                precision=wanted,
                device=place,
                threads=threads or here.threads,
                graph=_graph(wanted, built[name]),
                reason="; ".join(dict.fromkeys([why, *passed_over])),
            )
        passed_over.append(obstacle)
    if not passed_over:
        raise EngineUnavailable(
            msg(
                "The session %(session)s does not run on %(device)s. Choose another device or session.",
                session=session,
                device=device,
            ),
            session=session,
            device=device,
        )
    # Each once: without a GPU, all CUDA sessions share one obstacle.
    why_not = "; ".join(dict.fromkeys(passed_over))
    raise EngineUnavailable(
        msg("No session can run the model as requested: %(why_not)s.", why_not=why_not), session=session, device=device
    )


def _candidates(session: str, device: str) -> Iterator[tuple[str, str]]:
    """Requested pairs of session and device, best first."""
    on_cpu = (*ON_CPU, "torch") if session == "torch" else ON_CPU
    for place, names in (("cuda", ON_CUDA), ("cpu", on_cpu)):
        if device in ("auto", place):
            yield from ((name, place) for name in names if session in ("auto", name))


def _obstacles(name: str, device: str, built: Sequence[str], wanted: _Wanted) -> Iterator[str]:
    """Obstacles to running a model in a session on a device, most important first."""
    machine, precision = wanted.machine, wanted.precision
    if device == "cuda":
        yield from _lacking_for_cuda(name, precision, machine)
    if name not in machine.installed:
        package = "" if device == "cuda" else f"{name}, or "
        extra = (_CUDA_EXTRAS if device == "cuda" else _EXTRAS)[name]
        yield f"{name} is not installed (pip install {package}the extra yeban[{extra}])"
    if device == "cuda" and name not in machine.with_cuda:
        yield _WITHOUT_CUDA[name]
    precisions = _precisions(name, device, built)
    if not precisions:
        yield f"the model has no build that {name} runs on {device}"
    if precision not in ("auto", *precisions):
        yield f"for {name} on {device} the model is not built in {precision} but in {', '.join(precisions)}"
    if name == "tensorrt" and not set(wanted.engines) & set(precisions):
        yield f"tensorrt has no engine of the model for this GPU and driver (run scripts/build_engine {wanted.model})"


_WITHOUT_CUDA = {
    "onnxruntime": "the onnxruntime that is installed has no CUDA (pip uninstall onnxruntime, then "
    "pip install --force-reinstall onnxruntime-gpu, or the extra yeban[gpu] in a fresh environment)",
    "tensorrt": "tensorrt lacks cuda-bindings (pip install cuda-bindings, or the extra yeban[gpu])",
    "torch": "the torch that is installed has no CUDA (install a build of torch for CUDA)",
}


def _lacking_for_cuda(name: str, precision: str, machine: Machine) -> Iterator[str]:
    devices, gpu = machine.devices, machine.gpu
    if gpu is None:
        yield devices.reason or "there is no GPU"
        return
    if name in ("onnxruntime", "tensorrt"):
        if devices.cuda is not None and devices.cuda < _CUDA_BUILD:
            yield (
                f"the NVIDIA driver {devices.driver} runs CUDA {_dotted(devices.cuda)}, and {name} needs "
                f"{_dotted(_CUDA_BUILD)} (install the driver {_CUDA_DRIVER} or newer)"
            )
        if gpu.compute_capability < _OLDEST_GPU:
            yield f"{name} needs a GPU of compute capability {_dotted(_OLDEST_GPU)}; this is {gpu}"
    if precision == "bf16" and gpu.compute_capability < _OLDEST_GPU_FOR_BF16:
        yield f"bf16 needs a GPU of compute capability {_dotted(_OLDEST_GPU_FOR_BF16)}; this is {gpu}"


def _precisions(name: str, device: str, built: Sequence[str]) -> tuple[str, ...]:
    """Precisions that a session can compute in on a device from the built graphs, best first."""
    runs = _RUNS[name, device]
    if name == "torch":
        # Weights are cast as needed, but float16 has already lost precision.
        return runs if "fp32" in built else tuple(each for each in runs if each != "fp32" and "fp16" in built)
    return tuple(each for each in runs if each in built) if device == "cuda" else tuple(p for p in built if p in runs)


def _graph(precision: str, built: Sequence[str]) -> str:
    if precision in built:
        return precision
    return "fp32" if "fp32" in built else "fp16"


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
