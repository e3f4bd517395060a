"""Every failure as an answer: problem details (RFC 9457) for programs, a page for people."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, g, render_template, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.wrappers import Response as AnyResponse

from web.http import resubmission
from web.http.htmx import asked_by_htmx
from web.http.json import dumps
from web.http.refusals import Refusal
from web.i18n.library_messages import of_request
from web.i18n.messages import translated
from web.services import services
from yeban import errors
from yeban.errors import Message, TooLarge, Unauthorized, YebanError, msg
from yeban.telemetry import metrics

log = logging.getLogger(__name__)

_HTML = "text/html; charset=utf-8"
#: By this header a page's script knows a refusal of ours from the page of a proxy, and puts it in place.
_PART = "X-Problem"
#: Where it goes if the view had no say in it: what was entered stays as it is, whatever the part was to replace.
_INTO_PAGE = {"HX-Retarget": "#refusal", "HX-Reswap": "innerHTML", "HX-Reselect": "unset", "HX-Push-Url": "false"}
_MACHINE_PATHS = ("/api/", "/healthz", "/readyz", "/metrics")
_CODES = {
    HTTPStatus.BAD_REQUEST: "malformed",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: TooLarge.code,
    HTTPStatus.INTERNAL_SERVER_ERROR: YebanError.code,
}


@dataclass(frozen=True)
class Problem:
    """A failure as it is told: to programs in English, to people in their language."""

    title: Message
    detail: Message
    code: str
    context: Mapping[str, Any] = field(default_factory=dict)

    def for_programs(self) -> dict[str, Any]:
        """The members of problem details, without the status."""
        return {
            "type": f"urn:yeban:problem:{self.code}",
            **self.context,
            "title": str(self.title),
            "detail": str(self.detail),
            "code": self.code,
        }

    def for_people(self) -> dict[str, str]:
        """The title and the detail in the reader's language."""
        return {"title": translated(self.title), "detail": translated(self.detail)}


def install(app: Flask) -> None:
    """Answer every error of ``app`` in the caller's own form."""
    app.register_error_handler(YebanError, answer)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected)


def answer(error: YebanError) -> Response:
    """The answer to an expected failure."""
    count(error.code)
    problem = Problem(title_of(error), error.message, error.code, error.context)
    return _respond(status_of(error), problem, headers_of(error))


def page(template: str, error: YebanError, **values: Any) -> Response:
    """A page that shows ``error`` beside what was entered."""
    count(error.code)
    problem = Problem(title_of(error), error.message, error.code)
    rendered = render_template(template, problem=problem.for_people(), **values)
    return Response(rendered, status_of(error), headers_of(error), content_type=_HTML)


def part(template: str, error: YebanError, **values: Any) -> Response:
    """The part of a page that htmx asked for, which shows ``error`` in the place of what it was to show."""
    response = page(template, error, **values)
    response.headers[_PART] = error.code
    return response


def count(code: str) -> None:
    """Count an answer that is an error."""
    metrics.ERRORS.labels(program="web", code=code).inc()


def headers_of(error: YebanError) -> dict[str, str]:
    """Further headers of the answer to ``error``, which is logged if it is not the caller's fault."""
    if status_of(error) >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning(error.detail, extra={"code": error.code, "request_id": g.request_id})
    headers = {} if (seconds := retry_after_s(error)) is None else {"Retry-After": str(seconds)}
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = 'Bearer realm="yeban"'
    return headers


def upload_too_large() -> TooLarge:
    """The error for a request body over the limit of its route."""
    limit = request.max_content_length or 0
    if request.mimetype == "multipart/form-data":
        megabytes = services().settings.max_upload_mb
        return TooLarge(
            msg(
                "The upload is larger than %(megabytes)s MiB; split the file, or raise YEBAN_MAX_UPLOAD_MB.",
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
    with resubmission.kept(status) as kept:
        page = render_template(template, problem=problem.for_people(), kept=kept)
    return Response(page, status, headers, content_type=_HTML)


#: Seconds after which a client may try again, where the error does not say.
RETRY_AFTER_S = 5

STATUS: dict[type[YebanError], HTTPStatus] = {
    errors.InvalidRequest: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.InvalidLabels: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.InvalidTemplate: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.InvalidTable: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.UnknownColumn: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.UnknownModel: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.Unauthorized: HTTPStatus.UNAUTHORIZED,
    errors.RateLimited: HTTPStatus.TOO_MANY_REQUESTS,
    errors.Forbidden: HTTPStatus.FORBIDDEN,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.Overloaded: HTTPStatus.TOO_MANY_REQUESTS,
    errors.NoAnswer: HTTPStatus.GATEWAY_TIMEOUT,
    errors.ServiceUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.ModelUnusable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.EngineUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.EngineFailed: HTTPStatus.BAD_GATEWAY,
    errors.ConfigurationError: HTTPStatus.INTERNAL_SERVER_ERROR,
    YebanError: HTTPStatus.INTERNAL_SERVER_ERROR,
}

TITLES: dict[type[YebanError], Message] = {
    errors.InvalidRequest: msg("The request is not valid"),
    errors.InvalidLabels: msg("The labels are not valid"),
    errors.InvalidTemplate: msg("The template is not valid"),
    errors.InvalidTable: msg("The file cannot be read as a table"),
    errors.UnknownColumn: msg("The table has no such column"),
    errors.UnknownModel: msg("There is no such model"),
    errors.TooLarge: msg("Too large"),
    errors.NotFound: msg("Not found"),
    errors.Unauthorized: msg("Not signed in"),
    errors.RateLimited: msg("Too many requests"),
    errors.Forbidden: msg("Not allowed"),
    errors.Conflict: msg("Not possible now"),
    errors.Overloaded: msg("Too many requests are waiting"),
    errors.NoAnswer: msg("No worker answered in time"),
    errors.ServiceUnavailable: msg("A required server cannot be reached"),
    errors.ModelUnusable: msg("The model cannot be used"),
    errors.EngineUnavailable: msg("The engine cannot run here"),
    errors.EngineFailed: msg("The model failed"),
    errors.ConfigurationError: msg("The service is misconfigured"),
    YebanError: msg("Something went wrong"),
}


def status_of(error: YebanError) -> HTTPStatus:
    """The status for ``error``: that of its class, or of the nearest ancestor in the table."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def title_of(error: YebanError) -> Message:
    """A heading that is the same for every error of a kind."""
    return next(TITLES[kind] for kind in type(error).__mro__ if kind in TITLES)


def retry_after_s(error: YebanError) -> int | None:
    """Whole seconds for ``Retry-After``, for errors that pass by themselves."""
    if status_of(error) not in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        return None
    seconds: float = error.context.get("retry_after_s", RETRY_AFTER_S)
    return max(1, round(seconds))
