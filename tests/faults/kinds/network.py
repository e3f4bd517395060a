"""Connections between a worker and a server that are refused, swallowed or reset."""

from __future__ import annotations

import random
from functools import partial

from tests.faults.kinds.registry import Scene, fault
from tests.faults.proxy import Weather
from tests.faults.stage import LEASE_S, Slot

_SERVERS = {"PostgreSQL": "to_database", "Valkey": "to_redis"}


def _cut(way: str, weather: Weather, scene: Scene, rng: random.Random, slot: Slot) -> None:
    proxy = getattr(slot, way)
    try:
        proxy.set(weather)
        scene.pause(rng.uniform(0.2, 2.5 * LEASE_S))
    finally:
        proxy.set(Weather.FAIR)


for _server, _way in _SERVERS.items():
    for _weather in (Weather.REFUSE, Weather.BLACK_HOLE, Weather.RESET):
        fault(f"network to {_server}: {_weather.value}", "worker")(partial(_cut, _way, _weather))
