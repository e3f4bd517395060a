"""Celery workers that run models: the engine, its caches and the tasks."""
