"""Backup, restore and removal of expired data."""
