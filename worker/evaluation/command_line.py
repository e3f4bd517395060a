"""``yeban eval``: accuracy on labelled files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from worker.engine.phrasing import FEATURES
from worker.evaluation.evaluations import Evaluation, Wanted, evaluate
from worker.evaluation.files import LabelledFile, read_labelled
from worker.evaluation.open_set import why_not
from worker.evaluation.representation import document
from worker.evaluation.scorer import open_scorer
from worker.evaluation.tables import present
from yeban.errors import InvalidLabels, msg
from yeban.labels import Label, split_labels
from yeban.runtime import parameters
from yeban.runtime.terminal import console, phase, print_json
from yeban.settings import get_settings
from yeban.tabular import ReadOptions


@click.command("eval")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=parameters.INPUT)
@click.option("--gold-column", metavar="C", required=True, help="Column with the right label (a name, or #N).")
@click.option("--text-column", metavar="C", help="Column with the text (a name, or #N).")
@click.option("--labels", metavar="A,B,C", help="Candidate labels; by default those of each file's gold column.")
@parameters.labels_file
@parameters.template
@click.option("--model", metavar="M", help="Model to measure.")
@parameters.model_dir
@click.option("--no-refine", is_flag=True, help="Measure row by row only.")
@click.option(
    "--examples",
    type=click.IntRange(min=1),
    metavar="N",
    help="Also measure with N random rows of each label as its examples.",
)
@click.option(
    "--corrections",
    type=click.IntRange(min=1),
    metavar="N",
    help="Also simulate N corrections of suggested rows.",
)
@click.option(
    "--leave-out",
    metavar="LABEL",
    multiple=True,
    help="Also measure how well rows of LABEL are rejected without it; repeatable.",
)
@click.option(
    "--without",
    type=click.Choice(FEATURES),
    multiple=True,
    help="Turn off a feature of embedding models for bare labels; repeatable.",
)
@click.option(
    "--precision",
    type=click.FloatRange(0, 1, min_open=True),
    metavar="P",
    help="Also find the lowest threshold with this share of right rows.",
)
@click.option("--seed", type=click.IntRange(min=0), metavar="N", default=0, help="Random seed.")
@click.option("--encoding", metavar="E", help="Encoding of the files, if detection fails.")
@click.option("--delimiter", metavar="D", help="Delimiter of the files, if detection fails.")
@parameters.as_json
def evaluate_files(
    *,
    files: tuple[Path, ...],
    labels: str | None,
    labels_file: tuple[Label, ...] | None,
    template: str,
    model: str | None,
    model_dir: Path,
    without: tuple[str, ...],
    as_json: bool,
    no_refine: bool,
    examples: int | None,
    corrections: int | None,
    leave_out: tuple[str, ...],
    precision: float | None,
    seed: int,
    **columns: Any,
) -> None:
    """Measure the accuracy of tags on labelled FILEs.

    Tags each file row by row and refined, as a job would, and reports accuracy, macro-F1 and calibration. Needs no
    server and writes nothing.
    """
    if labels is not None and labels_file is not None:
        raise click.UsageError("Give the labels with --labels A,B,C or with --labels-file FILE.")
    if corrections and no_refine:
        raise click.UsageError("Corrections teach by refinement; drop --no-refine or --corrections.")
    if precision is not None and math.isnan(precision):
        raise click.UsageError("--precision takes a number over 0 and up to 1.")
    settings = get_settings()
    wanted = Wanted(
        refine=not no_refine,
        examples=examples or 0,
        corrections=corrections or 0,
        leave_out=tuple(dict.fromkeys(label.strip() for label in leave_out)),
        precision=precision,
        seed=seed,
    )
    candidates = labels_file if labels is None else tuple(Label(name=name) for name in split_labels(labels))
    read_options = ReadOptions(
        **columns, max_cell_chars=settings.max_cell_chars, max_columns=settings.max_columns, max_rows=settings.max_rows
    )
    # Read all files first: a mistake in the last one must not cost the work on the others.
    labelled = [read_labelled(path, read_options, labels=candidates, template=template) for path in files]
    _check_left_out(labelled, wanted.leave_out)
    screen = console(stderr=True)
    with phase(screen, "Opening the model…") as update:
        scorer = open_scorer(model or settings.model, model_dir, settings, without=without, say=update)
        for file in labelled:
            scorer.check(file.label_set)
    evaluations: list[Evaluation] = []
    for file in labelled:
        with phase(screen, f"Evaluating {file.name}: {len(file.texts):,} rows…") as update:
            scorer.say = update
            evaluations.append(evaluate(file, scorer, wanted))
    if as_json:
        print_json(document(evaluations, wanted, scorer.info))
    else:
        present(evaluations, wanted, scorer.info, console())


def _check_left_out(files: Sequence[LabelledFile], labels: Sequence[str]) -> None:
    """Raise ``InvalidLabels`` for a label that can be left out of no file, with the first file's reason."""
    for label in labels:
        reasons = [why_not(file, label) for file in files]
        if None not in reasons:
            raise InvalidLabels(msg("%(name)s: %(reason)s", name=files[0].name, reason=reasons[0]), label=label)
