"""The ``yeban`` command."""

from yeban.cli.main import main

__all__ = ["main"]
