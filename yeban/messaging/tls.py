"""Reasons for a failed TLS connection."""

from __future__ import annotations

import ssl


def tls_failure(error: BaseException) -> str | None:
    """Describe the TLS failure that caused ``error``; ``None`` if TLS was not the cause."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate was refused: {cause.verify_message.rstrip('.')}"
        if isinstance(cause, ssl.SSLError):
            return f"TLS failed: {(cause.reason or 'unknown reason').lower().replace('_', ' ')}"
        cause = cause.__cause__ or cause.__context__
    return None
