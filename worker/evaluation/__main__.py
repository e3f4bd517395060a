"""``python -m worker.evaluation FILE… --gold-column C``: what ``yeban eval`` runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from worker.engine.phrasing import FEATURES
from worker.evaluation.documents import document
from worker.evaluation.evaluations import Evaluation, Wanted, evaluate
from worker.evaluation.files import LabelledFile, labels_of, read_labelled
from worker.evaluation.open_set import why_not
from worker.evaluation.scorer import open_scorer
from worker.evaluation.tables import present
from yeban.cli.exit_codes import Exit, status_of
from yeban.cli.options import read_labels_file
from yeban.cli.terminal import console, phase, print_json
from yeban.errors import InvalidLabels, InvalidRequest, YebanError, msg
from yeban.labels import DEFAULT_TEMPLATE, Label, split_labels
from yeban.settings import Settings, get_settings
from yeban.tabular import ReadOptions


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate and return the exit status, as :class:`~yeban.cli.exit_codes.Exit` has them."""
    options = _parser().parse_args(arguments)
    try:
        _evaluate(options, get_settings())
    except YebanError as error:
        click.echo(f"yeban: {error.detail}", err=True)
        return status_of(error)
    return Exit.OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="yeban eval", description="Measure accuracy on files with right labels.", allow_abbrev=False
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a table: CSV, TSV, XLSX or JSONL")
    parser.add_argument("--gold-column", required=True, help="column with the right label")
    parser.add_argument("--text-column", help="column with the text")
    labels = parser.add_mutually_exclusive_group()
    labels.add_argument("--labels", help="candidate labels (default: those of the gold column)")
    labels.add_argument("--labels-file", type=Path, help="file with the labels")
    parser.add_argument("--template", default=DEFAULT_TEMPLATE, help="hypothesis template")
    parser.add_argument("--model", help="model to use")
    parser.add_argument("--model-dir", type=Path, help="where models live (default: the data directory's models)")
    parser.add_argument("--no-refine", action="store_true", help="row by row only")
    parser.add_argument("--examples", type=int, default=0, help="rows of each label given as its examples")
    parser.add_argument("--corrections", type=int, default=0, help="corrections to simulate")
    parser.add_argument("--leave-out", action="append", default=[], help="label whose rows should be rejected")
    parser.add_argument("--without", action="append", default=[], choices=FEATURES, help="feature to leave out")
    parser.add_argument("--precision", type=float, help="precision that a threshold should meet")
    parser.add_argument("--seed", type=int, default=0, help="of the examples drawn and the bootstrap")
    parser.add_argument("--encoding", help="encoding of the files")
    parser.add_argument("--delimiter", help="delimiter of the files")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _evaluate(options: argparse.Namespace, settings: Settings) -> None:
    wanted = _wanted(options)
    # All of them first: a mistake in the last file must not cost the work done for the others.
    files = _read(options, settings)
    _check_left_out(files, wanted.leave_out)
    screen = console(stderr=True)
    with phase(screen, "Opening the model…") as update:
        model_dir = options.model_dir or settings.model_dir
        name = options.model or settings.model
        scorer = open_scorer(name, model_dir, settings, without=options.without, say=update)
        for file in files:
            scorer.check(file.label_set)
    evaluations: list[Evaluation] = []
    for file in files:
        with phase(screen, f"Evaluating {file.name}: {len(file.texts):,} rows…") as update:
            scorer.say = update
            evaluations.append(evaluate(file, scorer, wanted))
    if options.json:
        print_json(document(evaluations, wanted, scorer.info))
    else:
        present(evaluations, wanted, scorer.info, console())


def _wanted(options: argparse.Namespace) -> Wanted:
    """Raises ``InvalidRequest``."""
    for name in ("examples", "corrections", "seed"):
        if getattr(options, name) < 0:
            raise InvalidRequest(msg("--%(name)s takes a number from 0 on.", name=name), field=name)
    if options.precision is not None and not 0 < options.precision <= 1:
        raise InvalidRequest(msg("--precision takes a number over 0 and up to 1."), field="precision")
    if options.corrections and options.no_refine:
        raise InvalidRequest(msg("Corrections teach by refinement; drop --no-refine or --corrections."))
    return Wanted(
        refine=not options.no_refine,
        examples=options.examples,
        corrections=options.corrections,
        leave_out=tuple(dict.fromkeys(label.strip() for label in options.leave_out)),
        precision=options.precision,
        seed=options.seed,
    )


def _read(options: argparse.Namespace, settings: Settings) -> list[LabelledFile]:
    read_options = ReadOptions(
        encoding=options.encoding,
        delimiter=options.delimiter,
        text_column=options.text_column,
        gold_column=options.gold_column,
        max_cell_chars=settings.max_cell_chars,
        max_columns=settings.max_columns,
        max_rows=settings.max_rows,
    )
    labels = _labels(options)
    return [read_labelled(path, read_options, labels=labels, template=options.template) for path in options.files]


def _labels(options: argparse.Namespace) -> tuple[Label, ...] | None:
    if options.labels is not None:
        return labels_of(split_labels(options.labels))
    return None if options.labels_file is None else labels_of(read_labels_file(options.labels_file))


def _check_left_out(files: Sequence[LabelledFile], labels: Sequence[str]) -> None:
    """Raise ``InvalidLabels`` for a label that can be left out of none of the files, with the first file's reason."""
    for label in labels:
        reasons = [why_not(file, label) for file in files]
        if None not in reasons:
            raise InvalidLabels(msg("%(name)s: %(reason)s", name=files[0].name, reason=reasons[0]), label=label)


if __name__ == "__main__":
    sys.exit(main())
