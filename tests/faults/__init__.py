"""Whole runs under fire: real processes and servers, faults from a seeded schedule, and what must hold after all of it.

``scripts/faults --minutes N --seed S`` is the long form, ``test_fault_run.py`` the short one. ``docs/reliability.md``
says what is proven by them.
"""
