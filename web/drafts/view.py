"""Template values of a draft's page, whole or in the parts that its script reloads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from werkzeug.datastructures import MultiDict

from web.auth.authentication import viewer
from web.blueprints import pages
from web.drafts import preview
from web.drafts.form import TONIGHT, reading_of
from web.drafts.preview import Look
from web.http.form_values import entered
from web.label_sets.input import label_set, labels_of_form, labels_text
from web.monitoring.served_models import model_choices
from web.services import services
from yeban.drafts import Draft
from yeban.errors import YebanError
from yeban.jobs.estimate import estimate
from yeban.jobs.views import latest_job_of
from yeban.runtime.programs import BULK_ROLE
from yeban.tabular import MAX_DISTINCT_TEXTS, Profile

# Files up to this size are counted with the page; workbooks take longer to read.
_COUNTED_AT_ONCE_BYTES = 1 << 20
_WORKBOOK_AT_ONCE_BYTES = 1 << 16
_COLUMNS = 12
_GOLD_LABELS = 20
_FORMATS = ("csv", "tsv", "xlsx", "jsonl")
_ENCODINGS = ("utf-8", "gb18030", "big5", "utf-16-le", "utf-16-be", "shift_jis", "euc-kr", "cp1252")
_DELIMITERS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "pipe", None: "none"}


@dataclass(frozen=True, kw_only=True)
class Counted:
    """Counts over the whole file, or the reason for their absence."""

    profile: Profile | None = None
    problem: YebanError | None = None
    long_tokens: int = preview.DEFAULT_MAX_TOKENS


def page(draft: Draft, values: MultiDict[str, str], *, counted: Counted | None = None) -> dict[str, Any]:
    """Values of the whole page, except the sample run."""
    shown = reading(draft, values)
    if counted is None and shown["look"] is not None and _is_small(draft, shown["look"]):
        counted = count(draft, values, shown["look"])
    rows = None if counted is None or counted.profile is None else counted.profile.rows
    return {
        **shown,
        **counts(draft, counted),
        **estimated(values, rows),
        "models": list(model_choices(services(), role=BULK_ROLE)),
        "refinable": True,
        "earlier": latest_job_of(services().database, draft.sha256, viewer=viewer()),
        "tonight": TONIGHT,
        "first_rows": preview.FIRST_ROWS,
    }


def reading(draft: Draft, values: MultiDict[str, str]) -> dict[str, Any]:
    """Values for the reading options, first rows and columns."""
    look, problem, sheets = None, None, []
    try:
        look = preview.look(services(), draft, reading_of(values))
        problem, sheets = look.problem, list(look.sheets)
    except YebanError as error:
        problem, sheets = _told(error), list(error.context.get("sheets", []))
    return {
        "draft": draft,
        "values": entered(values),
        "look": look,
        "look_problem": problem,
        "sheets": sheets,
        "shown_columns": [] if look is None else _shown_columns(look),
        "formats": _FORMATS,
        "encodings": _ENCODINGS,
        "delimiters": tuple(_DELIMITERS.values()),
        "found_delimiter": None if look is None else _DELIMITERS.get(look.header.delimiter, look.header.delimiter),
        "counts_later": look is not None and look.text_index is not None,
    }


def count(draft: Draft, values: MultiDict[str, str], look: Look | None = None) -> Counted:
    """Count over the whole file with the form's options, or with those of ``look``."""
    long_tokens = preview.DEFAULT_MAX_TOKENS
    try:
        asked = reading_of(values)
        if look is not None:
            asked = look.settled(asked)
        if look is not None and look.text_index is None:
            return Counted()
        long_tokens = preview.longest_read(services(), _model(values))
        multi_label = bool(values.get("multi_label"))
        found = preview.count(services(), draft, asked, long_tokens=long_tokens, multi_label=multi_label)
    except YebanError as error:
        return Counted(problem=_told(error), long_tokens=long_tokens)
    return Counted(profile=found, long_tokens=long_tokens)


def counts(draft: Draft, counted: Counted | None) -> dict[str, Any]:
    """Counts for the page; ``None`` if the script requests them later."""
    found = None if counted is None else counted.profile
    gold = [] if found is None or not found.gold else list(found.gold.items())
    names = [name for name, _ in gold]
    return {
        "draft": draft,
        "counted": counted,
        "gold_labels": gold[:_GOLD_LABELS],
        "gold_names": names,
        "gold_field": labels_text(names, ", ") if names else "",
        "most_distinct": MAX_DISTINCT_TEXTS,
    }


def estimated(values: MultiDict[str, str], rows: int | None) -> dict[str, Any]:
    """Estimate a job's duration; ``rows`` comes from the form unless just counted."""
    if rows is None:
        rows = values.get("rows", type=int)
    labels = _labels(values)
    found = None
    if rows and labels and rows <= services().settings.max_rows:
        found = estimate(services().database, model=_model(values), rows=rows, labels=labels)
    return {"rows": rows, "estimate": found, "estimate_labels": labels}


def _told(error: YebanError) -> YebanError:
    """Copy an error without its traceback, which would keep the rows in memory."""
    error.__context__ = error.__cause__ = None
    return error.with_traceback(None)


def _labels(values: MultiDict[str, str]) -> int:
    """Number of labels in the form; 0 while they are invalid."""
    try:
        names = labels_of_form(values.getlist("labels"))
        return len(label_set(names))
    except YebanError:
        return 0


def _model(values: MultiDict[str, str]) -> str:
    """The model named in the form, known or not, without NUL characters."""
    named = values.get("model", "")
    return named if named and "\x00" not in named else services().settings.model


def _is_small(draft: Draft, look: Look) -> bool:
    most = _WORKBOOK_AT_ONCE_BYTES if look.header.format == "xlsx" else _COUNTED_AT_ONCE_BYTES
    return draft.size_bytes <= most


def _shown_columns(look: Look) -> list[int]:
    """The chosen columns first, so that a phone shows them, then the others."""
    chosen = [index for index in (look.id_index, look.text_index, look.gold_index) if index is not None]
    return list(dict.fromkeys([*chosen, *range(min(len(look.header.columns), _COLUMNS))]))


@pages.app_template_filter()
def file_size(size_bytes: int) -> str:
    """Format bytes in a fitting unit, as ``3.4 MiB``."""
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size_bytes >= factor:
            return f"{size_bytes / factor:.1f} {unit}"
    return f"{size_bytes} B"
