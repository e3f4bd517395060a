"""Webhooks: POST the ends of jobs to URLs, signed as in Standard Webhooks.

One transaction creates a delivery per webhook and marks the end as announced, so none is lost or doubled. Each delivery
is then sent until it arrives or is given up: at least once, always under the same id.
"""
