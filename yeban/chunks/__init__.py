"""Chunks: leases, outcomes, hints and the sweep."""
