"""Why a message did not arrive."""

from __future__ import annotations

from enum import StrEnum


class Failure(StrEnum):
    """Stored with a delivery, and shown to whoever may see its webhook."""

    NAME_NOT_FOUND = "name_not_found"  # the host's name has no address
    ADDRESS_REFUSED = "address_refused"  # the name leads where nothing is sent: see yeban.webhooks.addresses
    HTTPS_REQUIRED = "https_required"  # http:// to an address outside this network
    NOT_REACHED = "not_reached"  # nothing listens there, or no way leads there
    CERTIFICATE_NOT_TRUSTED = "certificate_not_trusted"  # the receiver could be anyone
    TLS_FAILED = "tls_failed"  # no encrypted connection came about
    TIMED_OUT = "timed_out"  # no answer in time
    NO_HTTP_ANSWER = "no_http_answer"  # the connection broke, or what came is no HTTP
    NOT_ACCEPTED = "not_accepted"  # an answer other than 2xx
    GONE = "gone"  # 410: the receiver wants no more


class NotSent(Exception):
    """A try that ended before there was an answer."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.value)
        self.failure = failure
