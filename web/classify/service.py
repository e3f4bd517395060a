"""Classify a single text through the interactive queue."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from typing import cast

from opentelemetry.trace import SpanKind
from opentelemetry.util.types import Attributes
from pydantic import ValidationError

from web.monitoring.served_models import check_model
from web.services import Services
from yeban.chunks.workers import live_workers
from yeban.errors import (
    EngineFailed,
    InvalidRequest,
    NoAnswer,
    Overloaded,
    ServiceUnavailable,
    TooLarge,
    error_from_code,
    msg,
    stored_message,
)
from yeban.labels import Decision, LabelSet
from yeban.messaging.queues import INTERACTIVE_QUEUE, SEND_ERRORS, TextReply, TextRequest
from yeban.runtime.programs import INTERACTIVE_ROLE
from yeban.telemetry import tracing


@dataclass(frozen=True, kw_only=True)
class Classification:
    """Scores of a text and the resulting labels. ``order`` holds label indices, best first; times in milliseconds."""

    label_set: LabelSet
    reply: TextReply
    decision: Decision
    order: tuple[int, ...]
    total_ms: float

    @property
    def assigned(self) -> tuple[str, ...]:
        """Assigned labels, best first; empty when the text abstained."""
        kept = set(self.decision.assigned)
        return tuple(self.label_set.names[index] for index in self.order if index in kept)


def label_chars(label_set: LabelSet) -> int:
    """Characters of all labels with descriptions and examples, as an estimate of the engine's work."""
    return sum(len(label.name) + len(label.description) + sum(map(len, label.examples)) for label in label_set.labels)


def classify(
    services: Services,
    text: str,
    label_set: LabelSet,
    model: str | None = None,
    *,
    most_label_chars: int | None = None,
    wait_s: float | None = None,
) -> Classification:
    """Score one text. All labels together have at most ``most_label_chars`` (default: ``interactive_label_chars``), and
    the answer arrives within ``wait_s`` (default: ``interactive_deadline_ms``).

    Raises ``InvalidRequest`` (blank text), ``TooLarge``, ``UnknownModel``, ``Overloaded`` at once when too many texts
    wait, ``NoAnswer`` after the deadline, ``ServiceUnavailable`` without Redis, and the errors of the
    worker.
    """
    started = time.perf_counter()
    settings = services.settings
    if not text.strip():
        raise InvalidRequest(msg("Enter a text that is not blank."), field="text")
    if len(text) > settings.max_text_chars:
        raise TooLarge(
            msg(
                "The text has %(count)s characters; the limit is %(max_text_chars)s.",
                count=len(text),
                max_text_chars=settings.max_text_chars,
            ),
            field="text",
            limit=settings.max_text_chars,
        )
    # Every label costs engine time that other users wait for.
    most = settings.interactive_label_chars if most_label_chars is None else most_label_chars
    chars = label_chars(label_set)
    if chars > most:
        raise TooLarge(
            msg(
                "The labels have %(chars)s characters in total; the limit for a single text is %(most)s. "
                "Jobs accept longer label sets.",
                chars=chars,
                most=most,
            ),
            field="labels",
            limit=most,
        )
    model = check_model(services, model, role=INTERACTIVE_ROLE)
    facts: Attributes = {"yeban.model": model, "yeban.labels": len(label_set)}
    with services.texts.admit(), tracing.span("ask a worker", facts, kind=SpanKind.PRODUCER):
        reply = _ask(services, text, label_set, model, wait_s or settings.interactive_deadline_ms / 1000)
    scores = reply.scores
    return Classification(
        label_set=label_set,
        reply=reply,
        decision=label_set.decide(scores),
        order=tuple(sorted(range(len(scores)), key=lambda index: (-scores[index], index))),
        total_ms=(time.perf_counter() - started) * 1000,
    )


def _ask(services: Services, text: str, label_set: LabelSet, model: str, wait_s: float) -> TextReply:
    settings = services.settings
    sent_at = time.time()
    request = TextRequest(
        text=text,
        label_set=label_set.to_json(),
        model=model,
        reply_to=f"yeban:reply:{uuid.uuid4().hex}",
        sent_at=sent_at,
        deadline=sent_at + wait_s,
        trace=tracing.carrier(),
    )
    try:
        # kombu stores a queue as a Redis list of the same name.
        waiting = services.redis.llen(INTERACTIVE_QUEUE)
        if waiting >= settings.interactive_queue_limit:
            raise Overloaded(
                msg("%(waiting)s texts are already waiting. Try again in a second.", waiting=waiting),
                waiting=waiting,
                retry_after_s=1,
            )
        services.sender.classify_text(request)
        answer = _awaited(services, request)
    except SEND_ERRORS as error:
        raise ServiceUnavailable(msg("Redis did not answer, so the text could not be sent to a worker.")) from error
    if answer is None:
        raise _no_answer(services, wait_s)
    return _read(answer[1], label_set)


def _awaited(services: Services, request: TextRequest) -> tuple[bytes, bytes] | None:
    # The connection's timeout allows only the wait for a single text at a time.
    most_s = services.settings.interactive_deadline_ms / 1000
    answer = None
    while answer is None and (left_s := request.deadline - time.time()) > 0:
        wait_s = min(left_s, most_s)
        answer = cast("tuple[bytes, bytes] | None", services.redis.blpop([request.reply_to], timeout=wait_s))
    return answer


def _read(answer: bytes, label_set: LabelSet) -> TextReply:
    try:
        reply = TextReply.model_validate_json(answer)
    except ValidationError as error:
        raise EngineFailed(
            msg("The worker's answer could not be read. The web server and the worker may run different versions.")
        ) from error
    if reply.error_code is not None:
        message = stored_message(reply.error_message) or msg("The worker could not score this text.")
        raise error_from_code(reply.error_code, message)
    if len(reply.scores) != len(label_set) or not all(0.0 <= score <= 1.0 for score in reply.scores):
        raise EngineFailed(msg("The worker did not return %(count)s probabilities as expected.", count=len(label_set)))
    return reply


def _no_answer(services: Services, wait_s: float) -> NoAnswer:
    try:
        served = any(worker.role == INTERACTIVE_ROLE for worker in live_workers(services.database))
    except ServiceUnavailable:
        served = True  # unknown: report only known facts
    if served:
        return NoAnswer(
            msg("No worker answered within %(wait_s)s s. They may be busy; try again.", wait_s=format(wait_s, "g"))
        )
    return NoAnswer(
        msg("No worker answered within %(wait_s)s s: no interactive worker is running.", wait_s=format(wait_s, "g"))
    )
