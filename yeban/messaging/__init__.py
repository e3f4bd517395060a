"""Queues and the connection to Redis."""
