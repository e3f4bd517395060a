"""Reasons for a failed delivery."""

from __future__ import annotations

from enum import StrEnum


class Failure(StrEnum):
    """Reason for a failed attempt, stored with its delivery."""

    NAME_NOT_FOUND = "name_not_found"  # the host name has no address
    ADDRESS_REFUSED = "address_refused"  # the address may not be called: see yeban.webhooks.addresses
    HTTPS_REQUIRED = "https_required"  # http:// to an address outside this network
    NOT_REACHED = "not_reached"  # connection refused, or no route
    CERTIFICATE_NOT_TRUSTED = "certificate_not_trusted"  # the certificate is not trusted
    TLS_FAILED = "tls_failed"  # TLS handshake failed
    TIMED_OUT = "timed_out"  # no answer before the deadline
    NO_HTTP_ANSWER = "no_http_answer"  # the connection broke, or the answer is not HTTP
    NOT_ACCEPTED = "not_accepted"  # an answer other than 2xx
    GONE = "gone"  # 410: the receiver accepts no more messages


class NotSent(Exception):
    """Raised when an attempt fails before an answer arrives."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.value)
        self.failure = failure
