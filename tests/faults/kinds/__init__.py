"""The kinds of faults, each a function with a name; importing this registers them all."""

from tests.faults.kinds import drafts, messages, network, people, receivers, servers, web, workers
from tests.faults.kinds.registry import KINDS, Kind, NotStruck, Scene

__all__ = [
    "KINDS",
    "Kind",
    "NotStruck",
    "Scene",
    "drafts",
    "messages",
    "network",
    "people",
    "receivers",
    "servers",
    "web",
    "workers",
]
