"""Texts and files to measure with, made from the sample tickets."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.harness import ROOT


def tickets() -> list[str]:
    """The texts of the sample tickets."""
    with (ROOT / "samples" / "tickets.csv").open(encoding="utf-8", newline="") as file:
        return [row["text"] for row in csv.DictReader(file)]


def distinct(count: int, mark: str) -> Iterator[str]:
    """``count`` different texts of natural lengths: tickets, each with a number so that nothing is in a cache."""
    sample = tickets()
    for number in range(count):
        yield f"{sample[number % len(sample)]} {mark}{number}"


def repeating(count: int) -> Iterator[str]:
    """``count`` texts of which each occurs again and again."""
    sample = tickets()
    for number in range(count):
        yield sample[number % len(sample)]


def write_csv(path: Path, texts: Iterator[str]) -> None:
    """A CSV of three columns, as a help desk exports it."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "channel", "text"])
        writer.writerows((f"T-{number:08}", "App", text) for number, text in enumerate(texts, 1))
