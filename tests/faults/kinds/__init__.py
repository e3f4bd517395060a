"""The kinds of faults, each a function with a name; importing this registers them all."""

from tests.faults.kinds import messages, network, people, servers, web, workers
from tests.faults.kinds.registry import KINDS, Kind, NotStruck, Scene

__all__ = ["KINDS", "Kind", "NotStruck", "Scene", "messages", "network", "people", "servers", "web", "workers"]
