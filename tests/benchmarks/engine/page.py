"""The page ``docs/benchmarks/engine.md``: sections, each with its own date and commit, renewed one at a time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tests.benchmarks.harness import ROOT, Target, provenance

SECTIONS = {
    "base": "StructBERT-base geometry",
    "large": "StructBERT-large geometry",
    "trained": "What int8 costs trained weights",
    "ways": "Other ways to run the graph",
}

_PAGE = ROOT / "docs" / "benchmarks" / "engine.md"
_INTRODUCTION = """\
# engine

The cross-encoder beside ModelScope's own pipeline and the usual other ways to run the same checkpoint, one run for
each section, renewed by the command it names. The published weights could not be had here, so checkpoints have the
published geometry and random weights: speed and memory do not depend on their values, agreement does, and is
therefore measured on a small trained model as well.
"""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table, with an empty line after it."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows), ""]


def verdicts(targets: Iterable[Target]) -> list[str]:
    """A line for each target."""
    return [*(f"- {'Reached' if target.reached else '**Missed**'}: {target.text}" for target in targets), ""]


def publish(section: str, command: str, lines: Sequence[str], *, record: bool) -> None:
    """Print a section; with ``record`` put it into the page, where what other runs and people wrote stays."""
    title = SECTIONS.get(section, section)
    text = "\n".join([f"## {title}", "", *provenance(command), "", *lines]).rstrip() + "\n"
    print(text)
    if not record:
        return
    page = _PAGE.read_text(encoding="utf-8") if _PAGE.exists() else ""
    kept = dict(re.findall(r"^## (.+)\n((?:(?!## ).*\n?)*)", page, re.MULTILINE))
    kept[title] = text.partition("\n")[2]
    order = [*SECTIONS.values(), *(name for name in kept if name not in SECTIONS.values())]
    sections = [f"## {name}\n\n{kept[name].strip()}\n" for name in order if name in kept]
    _PAGE.write_text("\n".join([_INTRODUCTION, *sections]), encoding="utf-8")
