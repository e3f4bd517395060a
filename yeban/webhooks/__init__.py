"""Webhooks: the ends of jobs, told to URLs that people named, signed as Standard Webhooks has it.

An end becomes one delivery for each webhook in the transaction that marks it as told, so none is lost or doubled there.
Each delivery is then sent until it arrives or is given up: at least once, always under the same id.
"""
