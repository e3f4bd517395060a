"""Why TLS with a server failed, in the words of whoever looked at its certificate."""

from __future__ import annotations

import ssl


def tls_failure(error: BaseException) -> str | None:
    """What went wrong, if TLS is at the bottom of ``error``: a refused certificate, or a server without TLS."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate was refused: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return f"TLS failed: {(cause.reason or 'unknown reason').lower().replace('_', ' ')}"
        cause = cause.__cause__ or cause.__context__
    return None
