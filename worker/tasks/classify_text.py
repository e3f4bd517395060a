"""Score groups of single texts, the shortest first, and reply to each."""

from __future__ import annotations

import logging
import time
import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from opentelemetry.trace import SpanKind
from redis import Redis
from redis.exceptions import RedisError

from worker.engine.classifier import Batch
from worker.tasks.in_flight import InFlight, Work
from worker.tasks.models import Model, Models, rounded, slices
from yeban.errors import EngineFailed, YebanError, msg
from yeban.labels import LabelSet
from yeban.messaging.queues import TextReply, TextRequest
from yeban.runtime.programs import INTERACTIVE_ROLE
from yeban.telemetry import metrics, tracing

log = logging.getLogger(__name__)

#: Seconds that an unread reply stays in Redis.
_REPLY_TTL_S = 30
#: Tokens of one engine call, unless a single request has more: eight short texts for a bi-encoder, or a few texts with
#: ten labels each for a cross-encoder.
_SLICE_TOKENS = 2_048


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """A request that can be scored; ``weight`` is in tokens."""

    request: TextRequest
    batch: Batch
    weight: int


class TextRunner:
    """Runs groups of text requests; one instance a process."""

    def __init__(self, *, redis: Redis, models: Models, in_flight: InFlight) -> None:
        self._redis = redis
        self._models = models
        self._in_flight = in_flight

    def __call__(self, group: Sequence[TextRequest]) -> None:
        """Answer every request whose caller still waits, and drop the late ones."""
        now = time.time()
        by_model: defaultdict[str, list[TextRequest]] = defaultdict(list)
        for request in group:
            if request.deadline > now:
                by_model[request.model].append(request)
        begun = sum(map(len, by_model.values()))
        metrics.LATE_TEXTS.inc(len(group) - begun)
        if by_model:
            metrics.GROUP_MEMBERS.labels(role=INTERACTIVE_ROLE).observe(begun)
            carriers = [request.trace for request in group if request.trace]
            facts = {"yeban.texts": len(group)}
            with (
                tracing.span("text group", facts, kind=SpanKind.CONSUMER, links=carriers),
                self._in_flight.hold(uuid.uuid4()) as work,
            ):
                for name, requests in by_model.items():
                    self._serve(name, requests, work)

    def _serve(self, model_name: str, requests: Sequence[TextRequest], work: Work) -> None:
        try:
            with work.waiting():  # building a model on its first use takes minutes
                model = self._models.get(model_name)
        except Exception as error:
            log.exception("model cannot be used", extra={"model": model_name})
            refusal = _refusal(error)
            self._send((request, refusal) for request in requests)
            return
        asked = []
        for request in requests:
            try:
                batch = Batch(texts=(request.text,), label_set=LabelSet.from_json(request.label_set))
                asked.append(_Asked(request=request, batch=batch, weight=model.classifier.weight(batch)))
            except Exception as error:
                if not isinstance(error, YebanError):
                    log.exception("labels cannot be read")
                self._send([(request, _refusal(error))])
        asked.sort(key=lambda one: one.weight)
        for part in slices(asked, lambda one: one.weight, _SLICE_TOKENS):
            self._send(self._answer(model, part, work))

    def _answer(self, model: Model, asked: Sequence[_Asked], work: Work) -> list[tuple[TextRequest, TextReply]]:
        """Replies to the callers that still wait when the engine becomes free."""
        started = time.time()
        live = list(asked)
        try:
            plan = model.plan([one.batch for one in asked])
            planned = time.time()
            with model.turn(work):
                turn = time.time()
                live = [one for one in asked if one.request.deadline > turn]
                metrics.LATE_TEXTS.inc(len(asked) - len(live))
                if not live:
                    return []
                if len(live) < len(asked):
                    plan = model.plan([one.batch for one in live])
                scored = model.run(plan, work)
        except Exception as error:
            if len(live) > 1:  # one bad request must not fail its neighbours
                return [reply for one in live for reply in self._answer(model, [one], work)]
            if not isinstance(error, YebanError):
                log.exception("text request failed")
            return [(live[0].request, _refusal(error))]
        inference_ms = (time.time() - turn + planned - started) * 1000
        queued_s = [max(0.0, started - one.request.sent_at + turn - planned) for one in live]
        for seconds in queued_s:
            metrics.QUEUE_SECONDS.labels(role=INTERACTIVE_ROLE).observe(seconds)
        info = model.classifier.info
        return [
            (
                one.request,
                TextReply(
                    scores=rounded(scores)[0],
                    model=info.name,
                    fingerprint=info.fingerprint,
                    precision=info.precision,
                    session=info.session,
                    queue_ms=seconds * 1000,
                    inference_ms=inference_ms,
                    truncated=model.classifier.truncates(one.request.text, one.batch.label_set),
                    cached=reuse.complete,
                    cache_lookups=reuse.lookups,
                    cache_hits=reuse.hits,
                ),
            )
            for one, seconds, scores, reuse in zip(live, queued_s, scored.scores, scored.reuse, strict=True)
        ]

    def _send(self, answered: Iterable[tuple[TextRequest, TextReply]]) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        for request, reply in answered:
            pipeline.lpush(request.reply_to, reply.model_dump_json())
            pipeline.expire(request.reply_to, _REPLY_TTL_S)
        try:
            with tracing.span("reply"):
                pipeline.execute()
        except RedisError as error:
            log.warning("replies not sent", extra={"error": str(error)})


def _refusal(error: Exception) -> TextReply:
    if not isinstance(error, YebanError):
        error = EngineFailed(msg("The engine could not score this text."))
    metrics.ERRORS.labels(program="worker", code=error.code).inc()
    return TextReply(error_code=error.code, error_message=error.message.to_json())
