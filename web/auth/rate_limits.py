"""Rate limits of accounts, sign-ins and tokens.

Redis counts for all web processes. While it is unreachable, each process counts its own requests.
"""

from __future__ import annotations

import hashlib
import logging
import time

import redis
from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.errors import StorageError
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import RateLimiter, SlidingWindowCounterRateLimiter

from web.blueprints import Limit
from yeban.errors import Message, RateLimited, msg
from yeban.settings import Settings

log = logging.getLogger(__name__)

#: Attempts to sign in with one name from one address; a success clears them.
_ATTEMPTS = RateLimitItemPerMinute(5, 15)
#: Attempts with one name from all addresses where it has not signed in for 30 days.
_ATTEMPTS_ANYWHERE = RateLimitItemPerMinute(100, 15)
#: Attempts with any name from one address.
_ATTEMPTS_OF_ADDRESS = RateLimitItemPerMinute(100, 5)
#: Wrong tokens from one address.
_WRONG_TOKENS = RateLimitItemPerMinute(60, 5)
_KNOWN_ADDRESS_S = 30 * 24 * 3600


class RateLimits:
    """Rate limits of one app. Thread-safe."""

    def __init__(self, settings: Settings, client: redis.Redis) -> None:
        """Count over the connections of ``client``."""
        # The URL merely selects the Redis library.
        shared = RedisStorage(
            "redis://", connection_pool=client.connection_pool, key_prefix="yeban:rate", wrap_exceptions=True
        )
        self._shared = SlidingWindowCounterRateLimiter(shared)
        self._client = client
        self._own = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._limits: dict[Limit, tuple[RateLimitItem, Message]] = {
            "texts": (RateLimitItemPerMinute(settings.rate_texts), msg("texts per minute")),
            "uploads": (RateLimitItemPerHour(settings.rate_uploads), msg("uploads per hour")),
            "requests": (RateLimitItemPerMinute(settings.rate_requests), msg("requests per minute")),
        }

    def charge(self, limit: Limit, account_id: int, *, cost: int) -> None:
        """Charge ``cost`` against a limit of an account. Raises :class:`~yeban.errors.RateLimited`."""
        item, words = self._limits[limit]
        if wait_s := self._hit(item, limit, str(account_id), cost=cost):
            raise RateLimited(
                msg(
                    "The limit is %(amount)s %(words)s. Try again in %(wait_s)s s.",
                    amount=item.amount,
                    words=words,
                    wait_s=wait_s,
                ),
                limit=item.amount,
                retry_after_s=wait_s,
            )

    def count_attempt(self, name: str, address: str) -> None:
        """Count an attempt to sign in, before the password is checked. Raises :class:`~yeban.errors.RateLimited`."""
        limits = [(_ATTEMPTS_OF_ADDRESS, ("address", address)), (_ATTEMPTS, ("name", _digest(name), address))]
        if not self._is_known(name, address):  # guesses from elsewhere must not lock the account out
            limits.append((_ATTEMPTS_ANYWHERE, ("name", _digest(name))))
        for item, keys in limits:
            if wait_s := self._hit(item, *keys):
                raise RateLimited(
                    msg(
                        "Too many failed sign-ins. Try again in %(minutes)s minutes.",
                        minutes=-(-wait_s // 60),
                    ),
                    retry_after_s=wait_s,
                )

    def clear_attempts(self, name: str, address: str) -> None:
        """Forget the failed attempts before a success, and remember the address as known."""
        keys = ("name", _digest(name), address)
        try:
            self._shared.clear(_ATTEMPTS, *keys)
            self._client.set(_known_key(name, address), 1, ex=_KNOWN_ADDRESS_S)
        except (StorageError, redis.RedisError):
            self._own.clear(_ATTEMPTS, *keys)

    def _is_known(self, name: str, address: str) -> bool:
        """Return whether the name has signed in from this address lately."""
        try:
            return bool(self._client.exists(_known_key(name, address)))
        except redis.RedisError:
            return False

    def count_wrong_token(self, address: str) -> None:
        """Count an invalid token. Raises :class:`~yeban.errors.RateLimited` after too many."""
        if wait_s := self._hit(_WRONG_TOKENS, "tokens", address):
            raise RateLimited(
                msg("Too many invalid tokens. Try again in %(wait_s)s s.", wait_s=wait_s), retry_after_s=wait_s
            )

    def _hit(self, item: RateLimitItem, *keys: str, cost: int = 1) -> int:
        """Charge ``cost`` and return 0, or return the whole seconds to wait."""
        try:
            return _hit(self._shared, item, keys, cost)
        except StorageError as error:
            log.warning("Redis did not answer; this process counts its own requests", extra={"error": str(error)})
            return _hit(self._own, item, keys, cost)


def _hit(limiter: RateLimiter, item: RateLimitItem, keys: tuple[str, ...], cost: int) -> int:
    if limiter.hit(item, *keys, cost=cost):
        return 0
    return max(1, round(limiter.get_window_stats(item, *keys).reset_time - time.time()))


def _digest(name: str) -> str:
    """Return a key of fixed length: callers send names of any length."""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _known_key(name: str, address: str) -> str:
    return f"yeban:signed-in:{_digest(name)}:{address}"
