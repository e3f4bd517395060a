"""Runs models: the engine, its caches, and the Celery worker around them."""
