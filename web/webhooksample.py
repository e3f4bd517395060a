"""How a receiver checks a message, to be shown to people. The tests run it."""

from __future__ import annotations

SAMPLE = '''\
import base64
import hashlib
import hmac
import time


def verify(secret, headers, body, tolerance_s=300):
    """Whether Yeban signed this message in the last minutes; `body` has the bytes exactly as they came."""
    message_id = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    if not timestamp.isdecimal() or abs(time.time() - int(timestamp)) > tolerance_s:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{message_id}.{timestamp}.".encode() + body
    wanted = b"v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
    given = headers.get("webhook-signature", "").encode().split()
    return any(hmac.compare_digest(wanted, one) for one in given)
'''
