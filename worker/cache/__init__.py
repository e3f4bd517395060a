"""Caches of small float32 vectors by key, in memory and in Redis."""

from __future__ import annotations

from worker.cache.layers import CacheStats, LayeredStore
from worker.cache.memory import MemoryStore
from worker.cache.redis import RedisStore

__all__ = ["CacheStats", "LayeredStore", "MemoryStore", "RedisStore"]
