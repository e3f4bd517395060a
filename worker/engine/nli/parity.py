"""Parity of a session with the expected answers of its model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from worker.engine.manifest import NliSpec, Parity, Variant
from worker.engine.nli.expectations import Expected
from worker.engine.sessions import available_sessions
from worker.engine.sessions.base import Session
from worker.engine.sessions.ranking import ON_CPU
from worker.engine.sessions.selection import open_variant
from yeban.errors import ModelUnusable, msg

Floats = NDArray[np.float32]

ALLOWED: Mapping[str, float] = {"fp32": 1e-3, "fp16": 0.05, "bf16": 0.3}
"""Largest difference of a logit from float32, in parts of the largest logit where that is over 1."""

SAME_TOP_LABEL = 0.8
"""A precision under which fewer sample texts keep their best label is not fit for use.

A floor for what is broken: weights that learned nothing leave labels so close that the last digits decide.
"""


def measure(folder: Path, spec: NliSpec, variants: Sequence[Variant]) -> tuple[Parity, ...]:
    """Run every variant in every installed CPU session.

    Raises :class:`~yeban.errors.ModelUnusable` if one deviates too far or returns values that are not finite.
    """
    expected = Expected.load(folder)
    figures: list[Parity] = []
    for variant in variants:
        for name in available_sessions():
            if name in variant.sessions and name in ON_CPU and variant.precision in ("fp32", "int8"):
                # Not bound to a name, which would keep it in memory while the next one loads.
                figures += hold_against(
                    open_variant(folder, variant, name), expected, spec, precision=variant.precision
                )
    return tuple(figures)


def hold_against(session: Session, expected: Expected, spec: NliSpec, *, precision: str) -> tuple[Parity, ...]:
    """Compare one session with the oracle at several shapes, and with float32 on the samples.

    Raises :class:`~yeban.errors.ModelUnusable` as :func:`measure` does.
    """
    figures = []
    for call, wanted, got in zip(expected.calls, expected.answers, session.run(expected.calls), strict=True):
        rows, tokens = call["input_ids"].shape
        difference = _worst_difference(got, wanted)
        figures.append(_figure(session, precision, f"{rows} × {tokens} tokens", {"worst_difference": difference}))
        allowed = ALLOWED.get(precision, np.inf) * max(1.0, float(np.abs(wanted).max()))
        if not (np.isfinite(difference) and difference <= allowed):
            raise ModelUnusable(
                msg(
                    "%(precision)s in %(session)s differs by %(difference)s from the oracle for %(rows)s "
                    "pairs of %(tokens)s tokens; at most %(allowed)s is allowed.",
                    precision=precision,
                    session=session.name,
                    difference=format(difference, ".4g"),
                    rows=rows,
                    tokens=tokens,
                    allowed=format(allowed, ".4g"),
                )
            )
    logits = expected.answer_samples(session)
    if not np.isfinite(logits).all():
        raise ModelUnusable(
            msg(
                "%(precision)s in %(session)s returns values that are not numbers for sample texts.",
                precision=precision,
                session=session.name,
            )
        )
    same = same_top_label(logits, expected, spec)
    measures = {"worst_difference": _worst_difference(logits, expected.logits), "same_top_label": round(same, 4)}
    figures.append(_figure(session, precision, f"{len(expected.ends)} sample texts", measures))
    if not same >= SAME_TOP_LABEL:
        raise ModelUnusable(
            msg(
                "%(precision)s in %(session)s keeps the best label of %(same)s of the sample texts; at least "
                "%(same_top_label)s is required.",
                precision=precision,
                session=session.name,
                same=format(same, ".1%"),
                same_top_label=format(SAME_TOP_LABEL, ".0%"),
            )
        )
    return tuple(figures)


def same_top_label(logits: Floats, expected: Expected, spec: NliSpec) -> float:
    """Share of sample texts with the same top label as in float32."""
    got, wanted = logits[:, spec.entailment], expected.logits[:, spec.entailment]
    starts = [0, *expected.ends[:-1]]
    return float(
        np.mean([got[a:b].argmax() == wanted[a:b].argmax() for a, b in zip(starts, expected.ends, strict=True)])
    )


def _worst_difference(got: Floats, wanted: Floats) -> float:
    return round(float(np.abs(got - wanted).max()), 7)


def _figure(session: Session, precision: str, sample: str, measures: Mapping[str, float]) -> Parity:
    return Parity(session=session.name, precision=precision, sample=sample, measures=measures)
