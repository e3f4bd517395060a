"""Answers to errors: problem details (RFC 9457) for programs, pages for people."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, g, render_template, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.wrappers import Response as AnyResponse

from web.http.htmx import asked_by_htmx
from web.http.json import dumps
from web.http.refusals import Refusal
from web.http.resubmission import resubmission
from web.i18n.library_messages import of_request
from web.i18n.messages import translated
from web.server.connection import RequestStalled
from web.services import services
from yeban import errors
from yeban.errors import Message, TooLarge, Unauthorized, YebanError, msg
from yeban.telemetry import metrics

log = logging.getLogger(__name__)

_HTML = "text/html; charset=utf-8"
#: Marks our answers to htmx, so that the page's script does not show the error page of a proxy.
_PART = "X-Problem"
#: Puts the error into its own place on the page, and leaves the form as it is.
_INTO_PAGE = {"HX-Retarget": "#refusal", "HX-Reswap": "innerHTML", "HX-Reselect": "unset", "HX-Push-Url": "false"}
_MACHINE_PATHS = ("/api/", "/healthz", "/readyz", "/metrics")
_CODES = {
    HTTPStatus.BAD_REQUEST: "malformed",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: TooLarge.code,
    HTTPStatus.INTERNAL_SERVER_ERROR: YebanError.code,
}
#: ``Retry-After`` of an error that does not set it.
_RETRY_AFTER_S = 5

#: Status and title of each kind of error.
ANSWERS: dict[type[YebanError], tuple[HTTPStatus, Message]] = {
    errors.InvalidRequest: (HTTPStatus.UNPROCESSABLE_ENTITY, msg("The request is not valid")),
    errors.InvalidLabels: (HTTPStatus.UNPROCESSABLE_ENTITY, msg("The labels are not valid")),
    errors.InvalidTemplate: (HTTPStatus.UNPROCESSABLE_ENTITY, msg("The template is not valid")),
    errors.InvalidTable: (HTTPStatus.UNPROCESSABLE_ENTITY, msg("The file cannot be read as a table")),
    errors.UnknownColumn: (HTTPStatus.UNPROCESSABLE_ENTITY, msg("The table has no such column")),
    errors.UnknownModel: (HTTPStatus.UNPROCESSABLE_ENTITY, msg("There is no such model")),
    errors.TooLarge: (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, msg("Too large")),
    errors.NotFound: (HTTPStatus.NOT_FOUND, msg("Not found")),
    errors.Unauthorized: (HTTPStatus.UNAUTHORIZED, msg("Not signed in")),
    errors.RateLimited: (HTTPStatus.TOO_MANY_REQUESTS, msg("Too many requests")),
    errors.Forbidden: (HTTPStatus.FORBIDDEN, msg("Not allowed")),
    errors.Conflict: (HTTPStatus.CONFLICT, msg("Not possible now")),
    errors.Overloaded: (HTTPStatus.TOO_MANY_REQUESTS, msg("Too many requests are waiting")),
    errors.NoAnswer: (HTTPStatus.GATEWAY_TIMEOUT, msg("No worker answered in time")),
    errors.ServiceUnavailable: (HTTPStatus.SERVICE_UNAVAILABLE, msg("A required server cannot be reached")),
    errors.ModelUnusable: (HTTPStatus.SERVICE_UNAVAILABLE, msg("The model cannot be used")),
    errors.EngineUnavailable: (HTTPStatus.SERVICE_UNAVAILABLE, msg("The engine cannot run here")),
    errors.EngineFailed: (HTTPStatus.BAD_GATEWAY, msg("The model failed")),
    errors.ConfigurationError: (HTTPStatus.INTERNAL_SERVER_ERROR, msg("The service is misconfigured")),
    YebanError: (HTTPStatus.INTERNAL_SERVER_ERROR, msg("Something went wrong")),
}


@dataclass(frozen=True)
class Problem:
    """An error as an answer: in English for programs, in the reader's language for people."""

    title: Message
    detail: Message
    code: str
    context: Mapping[str, Any] = field(default_factory=dict)

    def for_programs(self) -> dict[str, Any]:
        """Return the members of problem details, without the status."""
        return {
            "type": f"urn:yeban:problem:{self.code}",
            **self.context,
            "title": str(self.title),
            "detail": str(self.detail),
            "code": self.code,
        }

    def for_people(self) -> dict[str, str]:
        """Return the title and the detail in the reader's language."""
        return {"title": translated(self.title), "detail": translated(self.detail)}


def install(app: Flask) -> None:
    """Handle every error of ``app``."""
    app.register_error_handler(YebanError, answer)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(RequestStalled, _stalled)
    app.register_error_handler(Exception, _unexpected)


def answer(error: YebanError) -> Response:
    """Answer with problem details or an error page."""
    count(error.code)
    problem = Problem(title_of(type(error)), error.message, error.code, error.context)
    return _respond(status_of(type(error)), problem, headers_of(error))


def page(template: str, error: YebanError, **values: Any) -> Response:
    """Answer with a page that shows ``error`` above the submitted form."""
    count(error.code)
    problem = Problem(title_of(type(error)), error.message, error.code)
    rendered = render_template(template, problem=problem.for_people(), **values)
    return Response(rendered, status_of(type(error)), headers_of(error), content_type=_HTML)


def part(template: str, error: YebanError, **values: Any) -> Response:
    """Answer htmx with a part of a page that shows ``error``."""
    response = page(template, error, **values)
    response.headers[_PART] = error.code
    return response


def count(code: str) -> None:
    """Count an error in the metrics."""
    metrics.ERRORS.labels(program="web", code=code).inc()


def headers_of(error: YebanError) -> dict[str, str]:
    """Return the headers of the answer to ``error``, and log errors of the server."""
    if status_of(type(error)) >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning(error.detail, extra={"code": error.code, "request_id": g.request_id})
    headers = {} if (seconds := retry_after_s(error)) is None else {"Retry-After": str(seconds)}
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = 'Bearer realm="yeban"'
    return headers


def upload_too_large() -> TooLarge:
    """Return the error for a request body over the limit of its route."""
    limit = request.max_content_length or 0
    if request.mimetype == "multipart/form-data":
        megabytes = services().settings.max_upload_mb
        return TooLarge(
            msg(
                "The upload is larger than %(megabytes)s MiB. Split the file, or raise YEBAN_MAX_UPLOAD_MB.",
                megabytes=megabytes,
            ),
            limit=megabytes * 2**20,
        )
    return TooLarge(msg("The request is larger than %(limit)s bytes.", limit=limit), limit=limit)


def _http_error(error: HTTPException) -> AnyResponse:
    if isinstance(error, RequestEntityTooLarge):
        return answer(upload_too_large())
    if error.code is None or error.code < HTTPStatus.BAD_REQUEST:
        return error.get_response()
    status = HTTPStatus(error.code)
    headers = {}
    if allowed := getattr(error, "valid_methods", None):
        headers["Allow"] = ", ".join(sorted(allowed))
    code = _CODES.get(status, status.phrase.lower().replace(" ", "_").replace("-", "_"))
    count(code)
    title, detail = of_request(error, status)
    if isinstance(error, Refusal):
        detail = error.message
    return _respond(status, Problem(title, detail, code), headers)


def _stalled(error: RequestStalled) -> AnyResponse:
    message = msg("The request stalled for %(seconds)s s.", seconds=format(error.seconds, "g"))
    return _http_error(Refusal(HTTPStatus.REQUEST_TIMEOUT, message))


def _unexpected(error: Exception) -> Response:
    log.error("unexpected error", exc_info=error, extra={"request_id": g.request_id})
    return answer(
        YebanError(
            msg("Something went wrong. The log has the details under request %(request_id)s.", request_id=g.request_id),
            request_id=g.request_id,
        )
    )


def _respond(status: HTTPStatus, problem: Problem, headers: dict[str, str]) -> Response:
    if request.path.startswith(_MACHINE_PATHS):
        document = {**problem.for_programs(), "status": status.value}
        return Response(dumps(document), status, headers, content_type="application/problem+json")
    template = "error.html"
    if asked_by_htmx():
        template = "problem.html"
        headers = {**headers, **_INTO_PAGE, _PART: problem.code}
    with resubmission(status) as form:
        page = render_template(template, problem=problem.for_people(), resubmission=form)
    return Response(page, status, headers, content_type=_HTML)


def status_of(kind: type[YebanError]) -> HTTPStatus:
    """Return the status of a kind of error, or of its nearest ancestor in :data:`ANSWERS`."""
    return next(ANSWERS[ancestor][0] for ancestor in kind.__mro__ if ancestor in ANSWERS)


def title_of(kind: type[YebanError]) -> Message:
    """Return the title of a kind of error, or of its nearest ancestor in :data:`ANSWERS`."""
    return next(ANSWERS[ancestor][1] for ancestor in kind.__mro__ if ancestor in ANSWERS)


def retry_after_s(error: YebanError) -> int | None:
    """Return the seconds for ``Retry-After``, at least 1; ``None`` where a retry does not help."""
    if status_of(type(error)) not in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        return None
    seconds: float = error.context.get("retry_after_s", _RETRY_AFTER_S)
    return max(1, round(seconds))
