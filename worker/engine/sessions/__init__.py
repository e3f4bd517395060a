"""Choosing what runs a graph: what was asked for, or the best that is installed."""

from __future__ import annotations

import importlib.util
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from worker.engine.sessions.base import Inputs, Session
from yeban.errors import EngineUnavailable

__all__ = ["SESSIONS", "Choice", "Inputs", "Session", "available_sessions", "choose", "open_session"]

SESSIONS = ("openvino", "onnxruntime")
"""All there are, best first."""

_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which session runs which precision on which device, and why."""

    session: str
    precision: str
    device: str
    threads: int
    reason: str


def available_sessions() -> tuple[str, ...]:
    """The sessions whose package is installed, best first."""
    return tuple(name for name in SESSIONS if importlib.util.find_spec(name) is not None)


def default_threads() -> int:
    """One a core that this process may use, within the CPU quota of its container."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = _CGROUP_QUOTA.read_text(encoding="ascii").split()
        return max(1, min(cores, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # no cgroup, or the quota is "max"
        return cores


def choose(
    built: Mapping[str, Sequence[str]],
    *,
    precision: str = "auto",
    device: str = "auto",
    session: str = "auto",
    threads: int | None = None,
) -> Choice:
    """Pick a session and precision for a model.

    ``built`` says which precisions, best first, the model has for which session. Raises
    :class:`~yeban.errors.EngineUnavailable` when what was asked for cannot run here.
    """
    if device not in ("auto", "cpu"):
        raise EngineUnavailable(f"The model has no build for the device {device}; ask for cpu or auto.", device=device)
    passed_over: list[str] = []
    for name in SESSIONS if session == "auto" else (session,):
        obstacle = _obstacle(name, built.get(name, ()), precision)
        if obstacle is None:
            why = f"{name} was asked for" if session == name else f"{name} is the best session here"
            return Choice(
                session=name,
                precision=built[name][0] if precision == "auto" else precision,
                device="cpu",
                threads=threads or default_threads(),
                reason="; ".join([why, *passed_over]),
            )
        passed_over.append(obstacle)
    raise EngineUnavailable(f"No session can run the model: {'; '.join(passed_over)}.", session=session)


def _obstacle(session: str, precisions: Sequence[str], precision: str) -> str | None:
    """What keeps a session from running a model, or None."""
    if session not in SESSIONS:
        return f"there is no session {session}; known are {', '.join(SESSIONS)}"
    if session not in available_sessions():
        return f"{session} is not installed (pip install {session}, or the extra yeban[worker])"
    if not precisions:
        return f"the model has no build for {session}"
    if precision not in ("auto", *precisions):
        return f"for {session} the model is not built in {precision} but in {', '.join(precisions)}"
    return None


def open_session(path: Path, choice: Choice) -> Session:
    """Load the graph at ``path``. Raises :class:`~yeban.errors.ModelUnusable` when it cannot be."""
    if choice.session == "openvino":
        from worker.engine.sessions.openvino import OpenVinoSession  # noqa: PLC0415 - heavy

        return OpenVinoSession(path, precision=choice.precision, threads=choice.threads)
    from worker.engine.sessions.onnxruntime import OnnxRuntimeSession  # noqa: PLC0415 - heavy

    return OnnxRuntimeSession(path, threads=choice.threads)
