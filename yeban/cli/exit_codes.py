"""Exit statuses, and the status of each error."""

from __future__ import annotations

from enum import IntEnum

from yeban import errors


class Exit(IntEnum):
    """Exit statuses of ``yeban``."""

    OK = 0  # finished; every row is tagged or abstained
    INTERNAL = 1  # a defect of Yeban; from `probe`: unhealthy
    USAGE = 2  # bad arguments, labels, template, settings or file
    ROW_ERRORS = 3  # finished and written, but some rows are error results
    JOB_FAILED = 4  # the job failed or expired
    UNAVAILABLE = 5  # a server, worker, model or engine is missing or does not answer
    REFUSED = 6  # no such job, a conflict, or no permission
    CANCELLED = 130  # stopped by Ctrl-C; finished rows are written


_STATUS: dict[type[errors.YebanError], Exit] = {
    errors.ConfigurationError: Exit.USAGE,
    errors.Conflict: Exit.REFUSED,
    errors.EngineFailed: Exit.UNAVAILABLE,
    errors.EngineUnavailable: Exit.UNAVAILABLE,
    errors.Forbidden: Exit.REFUSED,
    errors.InvalidLabels: Exit.USAGE,
    errors.InvalidRequest: Exit.USAGE,
    errors.InvalidTable: Exit.USAGE,
    errors.InvalidTemplate: Exit.USAGE,
    errors.ModelUnusable: Exit.UNAVAILABLE,
    errors.NoAnswer: Exit.UNAVAILABLE,
    errors.NotFound: Exit.REFUSED,
    errors.Overloaded: Exit.UNAVAILABLE,
    errors.RateLimited: Exit.UNAVAILABLE,
    errors.ServiceUnavailable: Exit.UNAVAILABLE,
    errors.TooLarge: Exit.USAGE,
    errors.Unauthorized: Exit.REFUSED,
    errors.UnknownColumn: Exit.USAGE,
    errors.UnknownModel: Exit.USAGE,
    errors.YebanError: Exit.INTERNAL,
}


def status_of(error: errors.YebanError) -> Exit:
    """The exit status of an error, by the nearest class in its hierarchy."""
    return next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
