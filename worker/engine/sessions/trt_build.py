"""Build a model's TensorRT engine for this GPU and driver."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import tensorrt

from worker.engine.manifest import Manifest
from worker.engine.sessions import trt_engines
from worker.engine.sessions.base import GPU_BLOCK_TOKENS, Session
from worker.engine.sessions.machine import Machine
from worker.engine.sessions.tensorrt import Logger, TensorRtSession
from worker.engine.sessions.trt_engines import PRECISION, EngineRecord
from worker.engine.sessions.trt_profiles import Profile, profiles
from yeban.errors import EngineUnavailable, ModelUnusable, msg

_log = logging.getLogger(__name__)

Verify = Callable[[Session, Path], object]
"""Compares a session with what the model in a folder should say; raises ModelUnusable when they differ too much."""


def build_engine(
    folder: Path, manifest: Manifest, machine: Machine, *, verify: Verify, max_batch: int | None = None
) -> Path:
    """Build the engine of the model in ``folder``, check it with ``verify``, and return where it is.

    A build takes minutes, less with a timing cache of this machine. ``max_batch`` bounds the rows of a call,
    for GPUs with little memory. Raises :class:`~yeban.errors.EngineUnavailable` without a GPU, and
    :class:`~yeban.errors.ModelUnusable` when TensorRT cannot build the graph or the engine fails the check.
    """
    target = trt_engines.path_of(folder, manifest.fingerprint, machine)
    ranges = profiles(max_tokens=manifest.spec.max_tokens, block_tokens=GPU_BLOCK_TOKENS, max_batch=max_batch)
    graph = folder / manifest.variant(PRECISION, "tensorrt").graph
    started = time.monotonic()
    plan = _build(graph, ranges, trt_engines.timing_cache_of(folder, machine))
    record = EngineRecord(
        sha256=hashlib.sha256(plan).hexdigest(),
        model=manifest.name,
        fingerprint=manifest.fingerprint,
        precision=PRECISION,
        gpu=str(machine.gpu),
        driver=machine.devices.driver or "unknown",
        tensorrt=tensorrt.__version__,
        shapes=tuple(f"{profile.rows.most} x {profile.tokens.most}" for profile in ranges),
        build_s=round(time.monotonic() - started, 1),
        built=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    # A name that is never looked up, so that an engine that fails the check is never used.
    unproven = target.with_name(f".{os.getpid()}.plan")
    try:
        trt_engines.write(unproven, plan, record)
        verify(TensorRtSession(unproven, threads=machine.threads), folder)
    finally:
        trt_engines.remove(unproven)
    trt_engines.write(target, plan, record)
    return target


def _build(graph: Path, ranges: Sequence[Profile], timing_cache: Path) -> bytes:
    """The serialised engine of an ONNX graph."""
    logger = Logger()
    try:
        builder = tensorrt.Builder(logger)
    except (TypeError, RuntimeError) as error:  # the bindings return None on failure
        raise EngineUnavailable(
            msg("TensorRT cannot start: %(last_error)s.", last_error=logger.last_error), session="tensorrt"
        ) from error
    # From TensorRT 11 on, networks are always strongly typed and the flag has no effect.
    flags = 1 << int(tensorrt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(flags)
    parser = tensorrt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(graph)):
        said = "; ".join(parser.get_error(index).desc() for index in range(parser.num_errors))
        raise ModelUnusable(
            msg("TensorRT cannot read %(graph)s: %(reason)s.", graph=graph.name, reason=said or logger.last_error)
        )
    config = builder.create_builder_config()
    names = [network.get_input(index).name for index in range(network.num_inputs)]
    for profile in ranges:
        _add_profile(builder, config, names, profile)
    cache = _timings(config, timing_cache)
    built = builder.build_serialized_network(network, config)
    if built is None:
        raise ModelUnusable(
            msg("TensorRT cannot build %(graph)s: %(last_error)s.", graph=graph.name, last_error=logger.last_error)
        )
    trt_engines.write_file(timing_cache, bytes(cache.serialize()))
    return bytes(built)


def _add_profile(builder: Any, config: Any, names: Sequence[str], profile: Profile) -> None:
    made = builder.create_optimization_profile()
    rows, tokens = profile.rows, profile.tokens
    for name in names:
        made.set_shape(name, (rows.least, tokens.least), (rows.best, tokens.best), (rows.most, tokens.most))
    if config.add_optimization_profile(made) < 0:
        raise ModelUnusable(
            msg(
                "TensorRT refuses the profile of %(rows)s rows of %(tokens)s tokens.",
                rows=rows.most,
                tokens=tokens.most,
            )
        )


def _timings(config: Any, path: Path) -> Any:
    """Attach the timing cache at ``path``, or an empty one if it is missing or of another GPU."""
    kept = path.read_bytes() if path.is_file() else b""
    cache = config.create_timing_cache(kept)
    if cache is None or not config.set_timing_cache(cache, ignore_mismatch=False):
        _log.warning("the timing cache %s does not fit this machine; starting another", path)
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, ignore_mismatch=False)
    return cache
