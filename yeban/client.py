"""A client of API v1 for the command line."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import httpx

from yeban.errors import InvalidRequest, Message, ServiceUnavailable, YebanError, error_classes, error_from_code, msg

_TIMEOUT = httpx.Timeout(30.0, connect=5.0)
# An upload is answered when its last row is stored; a million rows take about a minute.
_UPLOAD_TIMEOUT = httpx.Timeout(3600.0, connect=5.0)


# The server closes connections after two idle seconds; a request sent at that moment would be lost.
_LIMITS = httpx.Limits(keepalive_expiry=1.0)
# Members of each kind of answer, to recognise a Yeban server.
_CLASSIFICATION = ("labels", "scores", "assigned", "model", "timing")
_JOB = ("id", "state", "source", "progress", "times", "model", "summary", "refinement", "corrections", "error")
_CORRECTED = ("stored", "removed", "job")


class Client:
    """Client of one server. Methods raise the :class:`~yeban.errors.YebanError` that the server reports."""

    def __init__(self, url: str, *, token: str | None = None) -> None:
        """``url`` is the server's root, such as ``http://127.0.0.1:8400``; ``token`` is for one with accounts."""
        if not url.startswith(("http://", "https://")):
            raise InvalidRequest(
                msg("%(url)s is not a server URL. It must start with http:// or https://.", url=repr(url))
            )
        try:
            # Ignore proxies of the environment: the server may be on this machine.
            self._http = httpx.Client(
                base_url=url.rstrip("/"),
                timeout=_TIMEOUT,
                limits=_LIMITS,
                trust_env=False,
                headers={} if token is None else {"Authorization": f"Bearer {token}"},
            )
        except httpx.InvalidURL as error:
            raise InvalidRequest(msg("%(url)s is not a server URL: %(error)s.", url=repr(url), error=error)) from error
        if not self._http.base_url.host:
            raise InvalidRequest(msg("%(url)s is not a server URL: it has no host name.", url=repr(url)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def classify(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Classify one text; ``request`` is the API's body."""
        return self._json("POST", "/api/v1/classify", _CLASSIFICATION, json=dict(request))

    def create_job(
        self, file: Path, fields: Mapping[str, str | list[str]], *, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """Upload ``file`` and create a job from it; ``fields`` are the API's form fields."""
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        try:
            source = file.open("rb")
        except OSError as error:
            raise InvalidRequest(msg("Cannot read %(file)s: %(reason)s.", file=file, reason=error.strerror)) from error
        with source:
            return self._json(
                "POST",
                "/api/v1/jobs",
                _JOB,
                data=dict(fields),
                files={"file": (file.name, source)},
                headers=headers,
                timeout=_UPLOAD_TIMEOUT,
            )

    def job(self, job_id: str) -> dict[str, Any]:
        """One job."""
        return self._json("GET", f"/api/v1/jobs/{job_id}", _JOB)

    def jobs(self, *, state: str | None = None, name: str | None = None, limit: int = 50) -> list[dict[str, Any]]:
        """The newest jobs; optionally only those in ``state``, or with ``name`` in their file name."""
        params: dict[str, str | int] = {"limit": limit}
        params |= {field: value for field, value in (("state", state), ("name", name)) if value is not None}
        return self._listed("/api/v1/jobs", "jobs", params)

    def change(self, job_id: str, verb: str) -> dict[str, Any]:
        """``cancel``, ``pause`` or ``resume`` a job."""
        return self._json("POST", f"/api/v1/jobs/{job_id}/{verb}", _JOB)

    def delete_job(self, job_id: str) -> None:
        """Delete a finished or stopped job with its rows and results."""
        with self._errors():
            self._raise_for_problem(self._http.delete(f"/api/v1/jobs/{job_id}"))

    def correct(
        self, job_id: str, corrections: Mapping[int, Sequence[str] | None], *, author: str = ""
    ) -> dict[str, Any]:
        """Correct the labels of rows by their number: an empty list if no label fits, ``None`` to undo a correction."""
        items = [
            {"row": row, "labels": None if labels is None else list(labels)} for row, labels in corrections.items()
        ]
        body = {"corrections": items, "author": author}
        return self._json("PUT", f"/api/v1/jobs/{job_id}/corrections", _CORRECTED, json=body)

    def refine(self, job_id: str) -> dict[str, Any]:
        """Refine a completed job again; it is ``finishing`` meanwhile."""
        return self._json("POST", f"/api/v1/jobs/{job_id}/refine", _JOB)

    def download(self, job_id: str, format_: str, target: Path) -> None:
        """Write the tagged table to ``target``, which appears only once it is complete."""
        self._download(f"/api/v1/jobs/{job_id}/results.{format_}", target)

    def download_errors(self, job_id: str, target: Path) -> None:
        """Write the rows that could not be scored to ``target``, as CSV."""
        self._download(f"/api/v1/jobs/{job_id}/errors.csv", target)

    def models(self) -> list[dict[str, Any]]:
        """The models of the live workers."""
        return self._listed("/api/v1/models", "models", {})

    def readiness(self) -> dict[str, Any] | None:
        """The answer of ``/readyz``; ``None`` without one, or if another program answers."""
        try:
            response = self._http.get("/readyz")
            answer = response.json()
        except (httpx.TransportError, ValueError):
            return None
        if not isinstance(answer, dict) or "checks" not in answer:
            return None
        return answer | {"ready": response.status_code == httpx.codes.OK}

    def _listed(self, path: str, member: str, params: Mapping[str, str | int]) -> list[dict[str, Any]]:
        listed = self._json("GET", path, (member,), params=dict(params))[member]
        if not isinstance(listed, list):
            raise self._foreign(f"no list of {member}")
        return listed

    def _json(self, method: str, path: str, members: Sequence[str], **options: Any) -> dict[str, Any]:
        with self._errors():
            response = self._http.request(method, path, **options)
            self._raise_for_problem(response)
            try:
                answer = response.json()
            except ValueError:
                raise self._foreign("no JSON") from None
            if not isinstance(answer, dict) or any(member not in answer for member in members):
                raise self._foreign("other JSON")
            return answer

    def _download(self, path: str, target: Path) -> None:
        try:
            draft = tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False)  # noqa: SIM115
            try:
                with self._errors(), draft, self._http.stream("GET", path) as response:
                    if not response.is_success:
                        response.read()
                    self._raise_for_problem(response)
                    for block in response.iter_bytes():
                        draft.write(block)
                Path(draft.name).chmod(0o666 & ~_umask())
                Path(draft.name).replace(target)
            except BaseException:
                Path(draft.name).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise InvalidRequest(
                msg("Cannot write %(target)s: %(reason)s.", target=target, reason=error.strerror or error)
            ) from error

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except httpx.TransportError as error:
            raise ServiceUnavailable(
                msg(
                    "No answer from the Yeban server at %(base_url)s: %(reason)s. Is it running (`yeban up`)?",
                    base_url=self._http.base_url,
                    reason=error or type(error).__name__,
                )
            ) from error
        except httpx.DecodingError as error:
            raise self._foreign(str(error)) from error
        except UnicodeEncodeError as error:
            raise InvalidRequest(
                msg(
                    "The text or a label contains bytes that this system's locale cannot decode. Use a UTF-8 "
                    "locale, such as C.UTF-8."
                )
            ) from error

    def _raise_for_problem(self, response: httpx.Response) -> None:
        if response.is_success:
            return
        try:
            problem = response.json()
            message, code = Message.verbatim(str(problem["detail"])), str(problem["code"])
        except (ValueError, KeyError, TypeError):
            raise self._foreign(f"{response.status_code} {response.reason_phrase}") from None
        if code not in error_classes() and response.is_client_error:
            raise InvalidRequest(message)
        raise error_from_code(code, message)

    def _foreign(self, answer: str) -> YebanError:
        return ServiceUnavailable(
            msg(
                "The server at %(base_url)s is not a Yeban server (%(answer)s). Check the URL.",
                base_url=self._http.base_url,
                answer=answer,
            )
        )


def wait_until_ready(client: Client, timeout_s: float, still_alive: Callable[[], None]) -> None:
    """Wait until the server and its workers are ready; ``still_alive()`` may raise to stop waiting."""
    deadline = time.monotonic() + timeout_s
    while True:
        answer = client.readiness()
        if answer is not None and answer["ready"]:
            return
        still_alive()
        if time.monotonic() > deadline:
            raise ServiceUnavailable(
                msg(
                    "Yeban was not ready within %(timeout_s)s s: %(answer)s.",
                    timeout_s=format(timeout_s, "g"),
                    answer=answer or "no answer",
                )
            )
        time.sleep(0.1)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
