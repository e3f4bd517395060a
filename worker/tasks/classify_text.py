"""Scoring a group of single texts for people who wait: score in one engine call, reply at once."""

from __future__ import annotations

import logging
import time
import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence

from redis import Redis
from redis.exceptions import RedisError

from worker.engine.classifier import Batch
from worker.tasks.in_flight import InFlight
from worker.tasks.models import Models, rounded
from yeban.errors import EngineFailed, YebanError
from yeban.labels import LabelSet
from yeban.queues import TextReply, TextRequest

log = logging.getLogger(__name__)

#: Seconds an answer nobody fetched stays in Redis.
_REPLY_TTL_S = 30


class TextRunner:
    """Runs groups of text requests; one instance a worker process."""

    def __init__(self, *, redis: Redis, models: Models, in_flight: InFlight) -> None:
        self._redis = redis
        self._models = models
        self._in_flight = in_flight

    def __call__(self, group: Sequence[TextRequest]) -> None:
        """Answer every request that still has a reader; late ones are dropped."""
        now = time.time()
        live = [request for request in group if request.deadline > now]
        if not live:
            return
        with self._in_flight.hold(uuid.uuid4()):
            by_model: defaultdict[str, list[TextRequest]] = defaultdict(list)
            for request in live:
                by_model[request.model].append(request)
            for model, requests in by_model.items():
                self._send(zip(requests, self._answer(model, requests), strict=True))

    def _answer(self, model_name: str, requests: Sequence[TextRequest]) -> list[TextReply]:
        started = time.time()
        try:
            model = self._models.get(model_name)
            label_sets = [LabelSet.from_json(request.label_set) for request in requests]
            scored = model.score(
                [
                    Batch(texts=(request.text,), label_set=label_set)
                    for request, label_set in zip(requests, label_sets, strict=True)
                ]
            )
        except Exception as error:
            if len(requests) > 1:  # one bad request must not answer for its neighbours
                return [reply for request in requests for reply in self._answer(model_name, [request])]
            if not isinstance(error, YebanError):
                log.exception("text request failed")
                error = EngineFailed("The engine could not score this text.")
            return [TextReply(error_code=error.code, error_detail=error.detail)]
        inference_ms = (time.time() - started) * 1000
        info = model.classifier.info
        return [
            TextReply(
                scores=rounded(scores)[0],
                model=info.name,
                fingerprint=info.fingerprint,
                precision=info.precision,
                session=info.session,
                queue_ms=max(0.0, (started - request.sent_at) * 1000),
                inference_ms=inference_ms,
                truncated=model.classifier.truncates(request.text),
                cached=cached,
            )
            for request, scores, cached in zip(requests, scored.scores, scored.cached, strict=True)
        ]

    def _send(self, answered: Iterable[tuple[TextRequest, TextReply]]) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        for request, reply in answered:
            pipeline.lpush(request.reply_to, reply.model_dump_json())
            pipeline.expire(request.reply_to, _REPLY_TTL_S)
        try:
            pipeline.execute()
        except RedisError as error:
            log.warning("replies not sent", extra={"error": str(error)})
