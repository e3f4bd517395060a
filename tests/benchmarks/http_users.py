"""Many users of the classify API at once, from one cheap event loop: the server is to be measured, not its callers."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.benchmarks.harness import LABELS, percentile

OK, TOO_MANY = 200, 429


@dataclass(frozen=True, slots=True)
class Answer:
    """One request: its status (0 where the connection failed), and how long it took in milliseconds."""

    status: int
    ms: float


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What all users got within ``seconds``."""

    seconds: float
    answers: Sequence[Answer]

    def times_ms(self, status: int) -> list[float]:
        return [answer.ms for answer in self.answers if answer.status == status]

    def per_s(self, status: int = OK) -> float:
        return len(self.times_ms(status)) / self.seconds

    def percentile_ms(self, share: float, status: int = OK) -> float:
        return percentile(self.times_ms(status) or [float("nan")], share)

    def others(self) -> dict[int, int]:
        """How many answers had another status than 200 and 429, by status."""
        found: dict[int, int] = {}
        for answer in self.answers:
            if answer.status not in (OK, TOO_MANY):
                found[answer.status] = found.get(answer.status, 0) + 1
        return found


def run_users(url: str, users: int, texts: Iterator[str], seconds: float) -> Answers:
    """``users`` who each send the next text as soon as the last is answered, and wait as told when refused."""
    return asyncio.run(_run(url, users, texts, seconds))


async def _run(url: str, users: int, texts: Iterator[str], seconds: float) -> Answers:
    parts = urlsplit(url)
    assert parts.hostname in {"127.0.0.1", "localhost"}, "loopback only"
    answers: list[Answer] = []
    started = time.perf_counter()
    await asyncio.gather(
        *(
            _user(parts.hostname, parts.port or 80, texts, started + seconds, answers, delay_s=number / users)
            for number in range(users)
        )
    )
    return Answers(seconds=time.perf_counter() - started, answers=answers)


async def _user(
    host: str, port: int, texts: Iterator[str], until: float, answers: list[Answer], *, delay_s: float
) -> None:
    await asyncio.sleep(delay_s)  # not all in the same instant
    connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    while time.perf_counter() < until:
        body = json.dumps({"text": next(texts), "labels": LABELS}).encode()
        head = f"POST /api/v1/classify HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        began = time.perf_counter()
        try:
            if connection is None:
                connection = await asyncio.open_connection(host, port)
            reader, writer = connection
            writer.write(request)
            status, retry_after_s, closes = await _answer(reader)
        except (OSError, asyncio.IncompleteReadError):
            status, retry_after_s, closes = 0, 0.0, True
        answers.append(Answer(status, (time.perf_counter() - began) * 1000))
        if closes and connection is not None:
            connection[1].close()
            connection = None
        if retry_after_s:
            # The server closes a connection that is idle; ours would meet that.
            if connection is not None:
                connection[1].close()
                connection = None
            await asyncio.sleep(min(retry_after_s, max(0.0, until - time.perf_counter())))
    if connection is not None:
        connection[1].close()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, float, bool]:
    """Status, Retry-After in seconds, and whether the server closes the connection."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    fields = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
    await reader.readexactly(int(fields.get("content-length", 0)))
    return int(head[0].split()[1]), float(fields.get("retry-after", 0)), fields.get("connection") == "close"
