"""From error to HTTP status: one table for the API and the pages."""

from __future__ import annotations

from http import HTTPStatus

from yeban import errors
from yeban.errors import YebanError, phrase

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

TITLES: dict[type[YebanError], str] = {
    errors.InvalidRequest: phrase("The request is not valid"),
    errors.InvalidLabels: phrase("The labels are not valid"),
    errors.InvalidTemplate: phrase("The template is not valid"),
    errors.InvalidTable: phrase("The file cannot be read as a table"),
    errors.UnknownColumn: phrase("The table has no such column"),
    errors.UnknownModel: phrase("There is no such model"),
    errors.TooLarge: phrase("Too large"),
    errors.NotFound: phrase("Not found"),
    errors.Unauthorized: phrase("Not signed in"),
    errors.RateLimited: phrase("Too many requests"),
    errors.Forbidden: phrase("Not allowed"),
    errors.Conflict: phrase("Not possible now"),
    errors.Overloaded: phrase("Too many requests are waiting"),
    errors.NoAnswer: phrase("No worker answered in time"),
    errors.ServiceUnavailable: phrase("A server that is needed cannot be reached"),
    errors.ModelUnusable: phrase("The model cannot be used"),
    errors.EngineUnavailable: phrase("The engine cannot run here"),
    errors.EngineFailed: phrase("The model failed"),
    errors.ConfigurationError: phrase("The service is not configured rightly"),
    YebanError: phrase("Something went wrong"),
}


def status_of(error: YebanError) -> HTTPStatus:
    """The status for ``error``: that of its class, or of the nearest ancestor in the table."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def title_of(error: YebanError) -> str:
    """A heading that is the same for every error of a kind, in English."""
    return next(TITLES[kind] for kind in type(error).__mro__ if kind in TITLES)


def retry_after_s(error: YebanError) -> int | None:
    """Whole seconds for ``Retry-After``, for errors that pass by themselves."""
    if status_of(error) not in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        return None
    seconds: float = error.context.get("retry_after_s", RETRY_AFTER_S)
    return max(1, round(seconds))
