"""``yeban eval``: hands over to the worker's own evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from yeban.cli import options
from yeban.cli.outputs import INPUT, check_input
from yeban.cli.worker_programs import hand_over


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=INPUT)
@click.option("--gold-column", metavar="C", required=True, help="Column with the right label (a name, or #N).")
@click.option("--text-column", metavar="C", help="Column with the text (a name, or #N).")
@click.option("--labels", metavar="A,B,C", help="Candidate labels; by default all that the gold column of a file has.")
@click.option("--labels-file", type=INPUT, help="File with the labels, as for yeban tag.")
@click.option("--template", help="Hypothesis template; {} is the label.")
@click.option("--model", metavar="M", help="Model to use.")
@click.option(
    "--model-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where models live; by default in the data directory.",
)
@click.option("--no-refine", is_flag=True, help="Measure row by row only.")
@click.option(
    "--examples",
    type=click.IntRange(min=1),
    metavar="N",
    help="Also with N rows of each label, drawn at random, as its examples.",
)
@click.option(
    "--corrections",
    type=click.IntRange(min=1),
    metavar="N",
    help="Also how far N corrections go, of rows chosen by the tool.",
)
@click.option(
    "--leave-out",
    metavar="LABEL",
    multiple=True,
    help="Also how well the rows of LABEL are rejected when it is no candidate; may be given several times.",
)
@click.option(
    "--without",
    type=click.Choice(["phrasing", "background"]),
    multiple=True,
    help="Leave out what an embedding model does for bare labels; may be given several times.",
)
@click.option(
    "--precision",
    type=click.FloatRange(0, 1, min_open=True),
    metavar="P",
    help="Also the lowest threshold over which this share of the rows is right.",
)
@click.option("--seed", type=click.IntRange(min=0), metavar="N", help="Seed of everything drawn at random.")
@click.option("--encoding", metavar="E", help="Encoding of the files, where it is not detected right.")
@click.option("--delimiter", metavar="D", help="Delimiter of the files, where it is not detected right.")
@options.as_json
def eval(  # noqa: A001 - as the command is called
    *, files: tuple[Path, ...], no_refine: bool, as_json: bool, **given: Any
) -> None:
    """Measure how often the tags of labelled FILEs are right.

    Row by row and refined, as a job would tag them, with accuracy, macro-F1 and calibration. No server is needed, and
    nothing is written.
    """
    if given["labels"] is not None and given["labels_file"] is not None:
        raise click.UsageError("Give the labels with --labels A,B,C or with --labels-file FILE.")
    for file in files:
        check_input(file)
    arguments = ["--no-refine"] if no_refine else []
    arguments += ["--json"] if as_json else []
    for name, value in given.items():
        if value is None:
            continue
        for one in value if isinstance(value, tuple) else (value,):
            # In one word, since a value may begin with a hyphen.
            arguments.append(f"--{name.replace('_', '-')}={one}")
    status = hand_over("worker.evaluation", *arguments, "--", *map(str, files))
    click.get_current_context().exit(status)
