"""``yeban models``: hands over to the engine's own command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from yeban.cli import options
from yeban.cli.exit_codes import Exit
from yeban.cli.worker_programs import hand_over

# What the engine's command ends with when a model could not be built, or is not what it should be.
_FAILED = 1

_model_dir = click.option(
    "--model-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where models live; by default in the data directory.",
)


@click.group()
def models() -> None:
    """List, build and check models."""


@models.command(name="list")
@_model_dir
@options.as_json
def list_(**given: Any) -> None:
    """List the models that are built, and those that can be."""
    _engine("list", **given)


@models.command()
@click.argument("name")
@click.option("--name", "called", help="What to call the model of a folder; by default as the folder.")
@click.option("--int8", help="A cross-encoder's way to int8; by default the fastest that keeps the labels.")
@click.option("--force", is_flag=True, help="Build again even if it is there and intact.")
@_model_dir
@options.as_json
def build(name: str, called: str | None, int8: str | None, **given: Any) -> None:
    """Build the model NAME for this machine, or the one in the folder of a checkpoint."""
    further = [] if called is None else ["--name", called]
    further += [] if int8 is None else ["--int8", int8]
    _engine("build", *further, "--", name, **given)


@models.command()
@click.argument("name")
@_model_dir
@options.as_json
def check(name: str, **given: Any) -> None:
    """Verify the built model NAME against its manifest and fp32."""
    _engine("check", name, **given)


def _engine(command: str, *names: str, as_json: bool, model_dir: Path | None, force: bool = False) -> None:
    arguments = [command]
    arguments += ["--json"] if as_json else []
    arguments += ["--force"] if force else []
    arguments += ["--model-dir", str(model_dir)] if model_dir is not None else []
    status = hand_over("worker.engine", *arguments, *names)
    click.get_current_context().exit(Exit.UNAVAILABLE if status == _FAILED else status)
