"""``yeban models``: hands over to the engine's own command, which this package may not import."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec

import click

from yeban.errors import EngineUnavailable


@click.group()
def models() -> None:
    """List, build and check models."""


_PASS_ON = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}


@models.command(name="list", context_settings=_PASS_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def list_(arguments: tuple[str, ...]) -> None:
    """List the models that are built, and those that can be."""
    _engine("list", arguments)


@models.command(context_settings=_PASS_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def build(arguments: tuple[str, ...]) -> None:
    """Build a model (NAME or PATH) for this machine."""
    _engine("build", arguments)


@models.command(context_settings=_PASS_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def check(arguments: tuple[str, ...]) -> None:
    """Verify a built model against its manifest and fp32."""
    _engine("check", arguments)


def _engine(command: str, arguments: tuple[str, ...]) -> None:
    if find_spec("numpy") is None:
        raise EngineUnavailable("The engine is not installed here; install it with: pip install 'yeban[worker]'.")
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "worker.engine", command, *arguments])  # noqa: S606  # no shell
