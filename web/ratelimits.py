"""How often whoever asks may ask. Counted in Redis for all web processes; while it is away, by each for itself."""

from __future__ import annotations

import logging
import time

import redis
from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.errors import StorageError
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from yeban.errors import RateLimited, phrase
from yeban.settings import Settings

log = logging.getLogger(__name__)

#: Wrong passwords for one name from one address, and for one name from anywhere: whoever guesses is held up, and one
#: who guesses from elsewhere does not shut the owner of the name out at once.
_FAILURES = RateLimitItemPerMinute(5, 15)
_FAILURES_ANYWHERE = RateLimitItemPerMinute(100, 15)
#: Wrong names and passwords, and wrong tokens, from one address.
_FAILURES_OF_ADDRESS = RateLimitItemPerMinute(60, 5)


class RateLimits:
    """The limits of one app. Thread-safe."""

    def __init__(self, settings: Settings, client: redis.Redis) -> None:
        """``client`` lends its connections."""
        # The URL only tells which library is meant.
        shared = RedisStorage(
            "redis://", connection_pool=client.connection_pool, key_prefix="yeban:rate", wrap_exceptions=True
        )
        self._shared = SlidingWindowCounterRateLimiter(shared)
        self._own = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._kinds: dict[str, tuple[RateLimitItem, str]] = {
            "texts": (RateLimitItemPerMinute(settings.rate_texts), phrase("texts a minute")),
            "uploads": (RateLimitItemPerHour(settings.rate_uploads), phrase("uploads an hour")),
            "requests": (RateLimitItemPerMinute(settings.rate_requests), phrase("requests a minute")),
        }

    def count(self, kind: str, who: str, *, times: int = 1) -> None:
        """Count ``times`` more of ``texts``, ``uploads`` or ``requests``. Raises :class:`~yeban.errors.RateLimited`."""
        item, words = self._kinds[kind]
        if not self._ask("hit", item, kind, who, cost=times):
            wait_s = self._wait_s(item, kind, who)
            raise RateLimited(
                f"{item.amount} {words} are the most; try again in {wait_s} s.",
                limit=item.amount,
                retry_after_s=wait_s,
            )

    def check_sign_in(self, name: str, address: str) -> None:
        """Refuse one more try where too many have failed. Raises :class:`~yeban.errors.RateLimited`."""
        for item, keys in _failures(name, address):
            if not self._ask("test", item, *keys):
                wait_s = self._wait_s(item, *keys)
                raise RateLimited(
                    f"Too many attempts to sign in have failed; try again in {-(-wait_s // 60)} minutes.",
                    retry_after_s=wait_s,
                )

    def count_failure(self, name: str, address: str) -> None:
        """Count an attempt to sign in that failed."""
        for item, keys in _failures(name, address):
            self._ask("hit", item, *keys)

    def check_token(self, address: str) -> None:
        """Refuse whoever has sent too many wrong tokens. Raises :class:`~yeban.errors.RateLimited`."""
        if not self._ask("test", _FAILURES_OF_ADDRESS, "tokens", address):
            wait_s = self._wait_s(_FAILURES_OF_ADDRESS, "tokens", address)
            raise RateLimited(f"Too many wrong tokens were sent; try again in {wait_s} s.", retry_after_s=wait_s)

    def count_wrong_token(self, address: str) -> None:
        """Count a token that is none."""
        self._ask("hit", _FAILURES_OF_ADDRESS, "tokens", address)

    def _ask(self, verb: str, item: RateLimitItem, *keys: str, cost: int = 1) -> bool:
        try:
            return bool(getattr(self._shared, verb)(item, *keys, cost=cost))
        except StorageError as error:
            log.warning("rates are counted by this process alone: Redis did not answer", extra={"error": str(error)})
            return bool(getattr(self._own, verb)(item, *keys, cost=cost))

    def _wait_s(self, item: RateLimitItem, *keys: str) -> int:
        try:
            stats = self._shared.get_window_stats(item, *keys)
        except StorageError:
            stats = self._own.get_window_stats(item, *keys)
        return max(1, round(stats.reset_time - time.time()))


def _failures(name: str, address: str) -> list[tuple[RateLimitItem, tuple[str, ...]]]:
    return [
        (_FAILURES_OF_ADDRESS, ("address", address)),
        (_FAILURES, ("name", name, address)),
        (_FAILURES_ANYWHERE, ("name", name)),
    ]
