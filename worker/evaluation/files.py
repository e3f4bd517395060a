"""Labelled files: tables with a gold column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from yeban.errors import InvalidLabels, InvalidTable, YebanError, msg
from yeban.labels import Label, LabelSet
from yeban.tabular import ReadOptions, open_table

Indices = NDArray[np.intp]


@dataclass(frozen=True, kw_only=True)
class LabelledFile:
    """The rows of a file with a text and a gold label.

    ``gold`` ``(n_rows,)`` indexes :attr:`names`. ``without_gold`` and ``unusable`` count the rows left out: without a
    gold label, and without a text or with another problem.
    """

    name: str
    texts: tuple[str, ...]
    gold: Indices
    label_set: LabelSet
    other_labels: tuple[str, ...]
    without_gold: int
    unusable: int

    @property
    def names(self) -> tuple[str, ...]:
        """The candidate labels, then the other gold labels."""
        return self.label_set.names + self.other_labels

    @property
    def other_counts(self) -> dict[str, int]:
        """Rows of each gold label that is no candidate; they are always misses."""
        n_labels = len(self.label_set)
        counts = np.bincount(self.gold, minlength=len(self.names))[n_labels:]
        return dict(Counter(dict(zip(self.other_labels, counts.tolist(), strict=True))).most_common())


def read_labelled(
    path: Path, options: ReadOptions, *, labels: Sequence[Label] | None = None, template: str
) -> LabelledFile:
    """Read a table; ``options`` names the gold column.

    The candidates are ``labels``, or all labels of the gold column, sorted by name. Raises ``InvalidTable``,
    ``UnknownColumn``, ``TooLarge``, ``InvalidLabels`` or ``InvalidTemplate``, naming the file.
    """
    try:
        return _read(path, options, labels, template)
    except OSError as error:
        raise InvalidTable(
            msg("Cannot read %(path)s: %(reason)s.", path=path, reason=error.strerror or str(error).rstrip("."))
        ) from error
    except YebanError as error:
        raise type(error)(msg("%(path)s: %(problem)s", path=path.name, problem=error), **error.context) from error


def _read(path: Path, options: ReadOptions, labels: Sequence[Label] | None, template: str) -> LabelledFile:
    texts, golds, without_gold, unusable = [], [], 0, 0
    with path.open("rb") as file, open_table(file, path.name, options) as table:
        for row in table:
            if row.gold is None:
                without_gold += 1
            elif row.problem is not None:
                unusable += 1
            else:
                texts.append(row.text)
                golds.append(row.gold)
    if not golds:
        raise InvalidTable(
            msg(
                "No row has both a text and a gold label in the column “%(gold_column)s”.",
                gold_column=options.gold_column,
            )
        )
    found = sorted(set(golds))
    label_set = LabelSet(
        labels=tuple(labels) if labels is not None else tuple(Label(name=name) for name in found), template=template
    )
    if len(label_set) < 2:
        raise InvalidLabels(
            msg("There is only one label, “%(name)s”. An evaluation needs at least two.", name=label_set.names[0])
        )
    candidates = set(label_set.names)
    others = tuple(name for name in found if name not in candidates)
    number_of = {name: number for number, name in enumerate((*label_set.names, *others))}
    return LabelledFile(
        name=path.name,
        texts=tuple(texts),
        gold=np.fromiter((number_of[gold] for gold in golds), np.intp, len(golds)),
        label_set=label_set,
        other_labels=others,
        without_gold=without_gold,
        unusable=unusable,
    )
