"""Select the session of a built model and the file that it opens."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

from worker.engine.manifest import Manifest, Variant
from worker.engine.sessions import SESSIONS, Choice, Session, choose, open_session, trt_engines
from worker.engine.sessions.machine import Machine, this_machine

_log = logging.getLogger(__name__)


def select(
    folder: Path,
    manifest: Manifest,
    *,
    precision: str = "auto",
    device: str = "auto",
    session: str = "auto",
    threads: int | None = None,
    machine: Machine | None = None,
) -> tuple[Choice, Path]:
    """Choose for the model in ``folder``, log why, and name the graph or TensorRT engine that the session opens.

    Raises :class:`~yeban.errors.EngineUnavailable` as :func:`~worker.engine.sessions.choose` does.
    """
    here = machine or this_machine(gpus=device != "cpu")
    engine = trt_engines.find(folder, manifest.fingerprint, here)
    choice = choose(
        {name: manifest.precisions(name) for name in SESSIONS},
        precision=precision,
        device=device,
        session=session,
        threads=threads,
        engines=() if engine is None else (trt_engines.PRECISION,),
        model=manifest.name,
        machine=here,
    )
    _log.info(
        "session chosen", extra={"action": "session_chosen", "model": manifest.name, **dataclasses.asdict(choice)}
    )
    if choice.session == "tensorrt" and engine is not None:
        return choice, engine
    variant = manifest.variant(choice.graph, choice.session)
    return _suited(choice, variant), folder / variant.graph


def open_variant(folder: Path, variant: Variant, session: str = "auto") -> Session:
    """One variant of the model in ``folder`` in a session on the CPU, the best one if none is named."""
    built = dict.fromkeys(variant.sessions, (variant.precision,))
    choice = choose(built, precision=variant.precision, session=session, device="cpu")
    return open_session(folder / variant.graph, _suited(choice, variant))


def _suited(choice: Choice, variant: Variant) -> Choice:
    return dataclasses.replace(choice, activation_group=variant.activation_group, bfloat16=variant.bfloat16)
