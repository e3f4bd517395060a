"""Benchmarks: each compares side by side in one run. Started by ``scripts/bench``, never by the test run."""
