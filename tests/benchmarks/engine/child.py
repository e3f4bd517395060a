"""A contender in a process of its own, which answers commands over a pipe.

``python -m tests.benchmarks.engine.child`` reads a line of JSON for each command and answers with one.
"""

from __future__ import annotations

import ctypes
import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from tests.benchmarks.engine.contenders import CONTENDERS, Contender, Place

_PR_SET_PDEATHSIG = 1
_OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


class Child:
    """The parent's end. It stands still between commands, so that only one contender runs at a time."""

    def __init__(self, name: str, place: Place) -> None:
        self.name = name
        described = {name: str(value) for name, value in dataclasses.asdict(place).items()}
        self._errors = tempfile.TemporaryFile("w+b")  # noqa: SIM115 - closed with the child
        self.started = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.engine.child", json.dumps([name, described])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, **_OFFLINE, "OMP_NUM_THREADS": str(place.threads)},
        )
        self._running = True

    def ask(self, command: str, **arguments: Any) -> Any:
        """The answer to one command. Raises :class:`SystemExit` with what it last said when the process has ended."""
        if not self._running:
            self._process.send_signal(signal.SIGCONT)
        answer = b""
        try:
            self._process.stdin.write(json.dumps([command, arguments]).encode() + b"\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            pass
        if not answer:
            self._process.wait()
            self._errors.seek(0)
            said = self._errors.read().decode(errors="replace").strip()[-2000:]
            raise SystemExit(f"{self.name} ended with status {self._process.returncode}:\n{said}")
        self._process.send_signal(signal.SIGSTOP)
        self._running = False
        return json.loads(answer)

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()
        self._errors.close()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Commands:
    """The child's end."""

    def __init__(self, contender: Contender) -> None:
        self._contender = contender

    def load(self, *, warm_up: bool = False) -> dict[str, float]:
        """Seconds of importing, loading and warming up."""
        times = {}
        steps = {"imports": self._contender.imports, "load": self._contender.load}
        if warm_up:
            steps["warm_up"] = self._contender.warm_up
        for name, step in steps.items():
            started = time.perf_counter()
            step()
            times[name] = time.perf_counter() - started
        return times

    def score(self, *, texts: Sequence[str], labels: Sequence[str]) -> float:
        """Seconds for all texts."""
        started = time.perf_counter()
        self._contender.score(texts, labels)
        return time.perf_counter() - started

    def each(self, *, texts: Sequence[str], labels: Sequence[str]) -> list[float]:
        """Seconds for each text alone."""
        return [self.score(texts=[text], labels=labels) for text in texts]

    def logits(self, *, texts: Sequence[str], labels: Sequence[str]) -> list[list[list[float]]]:
        """Three logits for each text and label."""
        return self._contender.logits(texts, labels)

    def peak_bytes(self) -> int:
        """The most memory that was resident so far."""
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError("the kernel does not tell the peak of resident memory")


def main() -> None:
    """Answer commands until the pipe is closed."""
    # One that stands still would not notice that its parent is gone.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # Libraries print what they please: the pipe is kept for answers.
    answers: IO[bytes] = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    name, described = json.loads(sys.argv[1])
    place = Place(
        **{part: Path(described[part]) for part in ("checkpoint", "model_dir", "onnx_int8")},
        scheme=described["scheme"],
        threads=int(described["threads"]),
    )
    commands = _Commands(CONTENDERS[name](place))
    for line in sys.stdin.buffer:
        command, arguments = json.loads(line)
        answer = getattr(commands, command)(**arguments)
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()


if __name__ == "__main__":
    main()
