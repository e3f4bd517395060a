"""A small client of API v1, as the command line uses it."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import httpx

from yeban.errors import InvalidRequest, ServiceUnavailable, YebanError, error_from_code

_TIMEOUT = httpx.Timeout(30.0, connect=5.0)
# An upload is answered when its last row is stored; a million rows take about a minute.
_UPLOAD_TIMEOUT = httpx.Timeout(3600.0, connect=5.0)


class Client:
    """Talks to one server. Every method raises the :class:`~yeban.errors.YebanError` that the server reported."""

    def __init__(self, url: str) -> None:
        """``url`` is the server's root, such as ``http://127.0.0.1:8400``."""
        if not url.startswith(("http://", "https://")):
            raise InvalidRequest(f"{url!r} is not a server URL; it starts with http:// or https://.")
        # A proxy from the environment must not come between us and a server on this machine.
        self._http = httpx.Client(base_url=url.rstrip("/"), timeout=_TIMEOUT, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def classify(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Classify one text; ``request`` is the API's body."""
        return self._json("POST", "/api/v1/classify", json=dict(request))

    def create_job(
        self, file: Path, fields: Mapping[str, str | list[str]], *, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """Upload ``file`` and create a job from it; ``fields`` are the API's form fields."""
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        with file.open("rb") as source:
            return self._json(
                "POST",
                "/api/v1/jobs",
                data=dict(fields),
                files={"file": (file.name, source)},
                headers=headers,
                timeout=_UPLOAD_TIMEOUT,
            )

    def job(self, job_id: str) -> dict[str, Any]:
        """One job as it stands."""
        return self._json("GET", f"/api/v1/jobs/{job_id}")

    def jobs(self, *, state: str | None = None, limit: int = 50) -> list[dict[str, Any]]:
        """The newest jobs."""
        params: dict[str, str | int] = {"limit": limit}
        if state is not None:
            params["state"] = state
        jobs: list[dict[str, Any]] = self._json("GET", "/api/v1/jobs", params=params)["jobs"]
        return jobs

    def change(self, job_id: str, verb: str) -> dict[str, Any]:
        """``cancel``, ``pause`` or ``resume`` a job."""
        return self._json("POST", f"/api/v1/jobs/{job_id}/{verb}")

    def download(self, job_id: str, format_: str, target: Path) -> None:
        """Write the tagged table to ``target``, which appears only when it is whole."""
        self._download(f"/api/v1/jobs/{job_id}/results.{format_}", target)

    def download_errors(self, job_id: str, target: Path) -> None:
        """Write the rows that could not be scored to ``target``, as CSV."""
        self._download(f"/api/v1/jobs/{job_id}/errors.csv", target)

    def models(self) -> list[dict[str, Any]]:
        """The models that live workers serve."""
        models: list[dict[str, Any]] = self._json("GET", "/api/v1/models")["models"]
        return models

    def readiness(self) -> dict[str, Any] | None:
        """What ``/readyz`` says, ready or not; ``None`` when nobody answers yet."""
        try:
            response = self._http.get("/readyz")
        except httpx.TransportError:
            return None
        answer: dict[str, Any] = response.json() | {"ready": response.status_code == httpx.codes.OK}
        return answer

    def _json(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        with self._errors():
            response = self._http.request(method, path, **options)
            _raise_for_problem(response)
            answer: dict[str, Any] = response.json()
            return answer

    def _download(self, path: str, target: Path) -> None:
        draft = tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False)  # noqa: SIM115
        try:
            with self._errors(), draft, self._http.stream("GET", path) as response:
                if response.is_error:
                    response.read()
                    _raise_for_problem(response)
                for block in response.iter_bytes():
                    draft.write(block)
            Path(draft.name).chmod(0o666 & ~_umask())
            Path(draft.name).replace(target)
        except BaseException:
            Path(draft.name).unlink(missing_ok=True)
            raise

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except httpx.TransportError as error:
            raise ServiceUnavailable(
                f"No answer from the Yeban server at {self._http.base_url}: {error}. Is it running (`yeban up`)?"
            ) from error


def wait_until_ready(client: Client, timeout_s: float, still_alive: Any) -> None:
    """Wait until the server and its workers are ready; ``still_alive()`` may raise to stop the waiting."""
    deadline = time.monotonic() + timeout_s
    while True:
        answer = client.readiness()
        if answer is not None and answer["ready"]:
            return
        still_alive()
        if time.monotonic() > deadline:
            raise ServiceUnavailable(f"Yeban was not ready within {timeout_s:g} s: {answer or 'no answer'}.")
        time.sleep(0.1)


def _raise_for_problem(response: httpx.Response) -> None:
    if not response.is_error:
        return
    try:
        problem = response.json()
        detail, code = str(problem["detail"]), str(problem["code"])
    except (ValueError, KeyError, TypeError):
        raise YebanError(f"The server answered {response.status_code} {response.reason_phrase}.") from None
    raise error_from_code(code, detail)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
