"""Sample run: tag the first rows of a file at once, to try the labels."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from web.classify import service
from web.classify.service import Classification
from web.services import Services
from yeban.errors import NoAnswer, ServiceUnavailable, TooLarge, YebanError, msg
from yeban.labels import LABEL_JOINER, LabelSet
from yeban.tabular import Row

#: Texts of a sample run.
ROWS = 20

# Factor on the deadline of a single text if the label set is larger than a single text may have: the first text waits
# until all labels are embedded.
_PATIENCE = 6
_THREADS = 4  # leave workers for other users


@dataclass(frozen=True, kw_only=True)
class TriedRow:
    """One row with its answer or error; both are ``None`` if the run stopped before it."""

    row: Row
    found: Classification | None = None
    error: YebanError | None = None
    cut: bool = False  # the model did not read the end of the text

    def agrees(self, *, multi_label: bool) -> bool | None:
        """True if the labels equal those of the gold column; ``None`` without an answer or gold labels."""
        if self.found is None or self.row.gold is None:
            return None
        parts = self.row.gold.split(LABEL_JOINER) if multi_label else [self.row.gold]
        return {part.strip() for part in parts if part.strip()} == set(self.found.assigned)


@dataclass(frozen=True, kw_only=True)
class Tried:
    """Result of a sample run. ``judged`` rows have gold labels and an answer; ``agreeing`` of them match."""

    rows: Sequence[TriedRow]
    judged: int
    agreeing: int
    left_out: int = 0  # rows left out, since each takes long with so many labels

    @property
    def errors(self) -> int:
        """Rows without an answer."""
        return sum(row.found is None for row in self.rows)


def try_rows(services: Services, rows: Sequence[Row], label_set: LabelSet, model: str | None) -> Tried:
    """Tag the texts of ``rows``, a few at a time.

    The run may cost as much as :data:`ROWS` single texts with the most labels: longer label sets get fewer texts, down
    to one. Raises :class:`~yeban.errors.TooLarge` if one is too much.

    An error of one row is reported beside it. An error of all rows is raised, as when the labels are too long for the
    model or no worker is running; after a row without an answer, the run stops.
    """
    budget = ROWS * services.settings.interactive_label_chars
    chars = max(service.label_chars(label_set), 1)
    if chars > budget:
        raise TooLarge(
            msg(
                "The labels have %(chars)s characters in total; a sample run accepts up to %(budget)s. "
                "The job itself accepts them.",
                chars=chars,
                budget=budget,
            ),
            field="labels",
            limit=budget,
        )
    wanted = rows[: budget // chars]
    settings = services.settings
    wait_s = settings.interactive_deadline_ms / 1000
    longer = chars > settings.interactive_label_chars
    if longer:
        wait_s *= _PATIENCE
    stop = threading.Event()

    def one(row: Row) -> TriedRow:
        if stop.is_set():
            return TriedRow(row=row)
        # A job accepts longer texts than a single request; the model reads no more of them.
        text = row.text[: services.settings.max_text_chars]
        try:
            found = service.classify(services, text, label_set, model, most_label_chars=budget, wait_s=wait_s)
        except YebanError as error:
            if isinstance(error, NoAnswer | ServiceUnavailable):
                stop.set()
            return TriedRow(row=row, error=error)
        return TriedRow(row=row, found=found, cut=found.reply.truncated or len(text) < len(row.text))

    with ThreadPoolExecutor(_THREADS, thread_name_prefix="try") as pool:
        # Run the first text alone, so that many labels are embedded once and not by several workers at a time.
        first = [one(row) for row in wanted[:1]] if longer else []
        asked = [pool.submit(contextvars.copy_context().run, one, row) for row in wanted[len(first) :]]
        tried = [*first, *(future.result() for future in asked)]
    failed = next((row.error for row in tried if row.error is not None), None)
    if failed is not None and all(row.found is None for row in tried):
        raise failed
    verdicts = [row.agrees(multi_label=label_set.multi_label) for row in tried]
    return Tried(
        rows=tried,
        judged=sum(verdict is not None for verdict in verdicts),
        agreeing=sum(map(bool, verdicts)),
        left_out=len(rows) - len(wanted),
    )
