"""Summaries of jobs, for people and programs."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

_BAR_CHARS = 30


def summarise(job: dict[str, Any], output: Path | None = None) -> dict[str, Any]:
    """The object that ``--json`` prints."""
    progress, made = job["progress"], job["summary"] or {}
    seconds = made.get("seconds", _seconds(job["times"]))
    summary: dict[str, Any] = {
        "job": job["id"],
        "state": job["state"],
        "rows": progress["rows"],
        "ok": progress["ok"],
        "abstained": progress["abstained"],
        "errors": progress["errors"],
        "seconds": seconds,
        "rows_per_s": round(progress["done"] / seconds, 1) if seconds else None,
        "labels": made.get("labels", {}),
        "model": job["model"],
    }
    if (refinement := job["refinement"]) is not None:
        summary["refinement"] = {
            key: refinement[key] for key in ("state", "reason", "changed", "seconds") if key in refinement
        }
    if output is not None:
        summary["output"] = str(output)
    if evaluation := made.get("evaluation"):
        summary["accuracy"] = evaluation["accuracy"]
        summary["macro_f1"] = evaluation["macro_f1"]
        summary["unknown_gold"] = evaluation["unknown_gold"]
        if (by_row := evaluation.get("by_row")) is not None:
            summary["accuracy_by_row"] = by_row["accuracy"]
    return summary


def print_summary(summary: dict[str, Any], console: Console) -> None:
    """Print a summary for a person."""
    if summary["labels"]:
        table = Table(title="Labels", title_justify="left")
        table.add_column("label")
        table.add_column("rows", justify="right")
        table.add_column("share", justify="right")
        table.add_column("")
        most = max(summary["labels"].values()) or 1
        for label, count in sorted(summary["labels"].items(), key=lambda item: -item[1]):
            share = count / max(summary["rows"], 1)
            table.add_row(label, f"{count:,}", f"{share:.1%}", "█" * round(_BAR_CHARS * count / most))
        console.print(table)
    parts = [f"{summary['rows']:,} rows", f"{summary['ok']:,} tagged"]
    parts += [f"{summary[name]:,} {name}" for name in ("abstained", "errors") if summary[name]]
    if summary["rows_per_s"]:
        parts.append(f"{summary['seconds']:.1f} s ({summary['rows_per_s']:,.0f} rows/s)")
    console.print(f"{summary['state'].replace('_', ' ').capitalize()}: {', '.join(parts)}.")
    if refinement := summary.get("refinement"):
        console.print(_refinement(refinement))
    if summary.get("accuracy") is not None:
        by_row = summary.get("accuracy_by_row")
        console.print(
            f"Against the gold column: accuracy {summary['accuracy']:.3f}"
            f"{'' if by_row is None else f' (row by row {by_row:.3f})'}, macro-F1 {summary['macro_f1']:.3f}.",
        )
    if summary.get("unknown_gold"):
        listed = ", ".join(f"{label} ({count})" for label, count in summary["unknown_gold"].items())
        console.print(f"Gold labels that are not among the labels: {listed}.")
    if "output" in summary:
        console.print(f"Written to {summary['output']}", soft_wrap=True)


def _refinement(report: dict[str, Any]) -> str:
    if report["state"] == "done":
        return f"Refined over the whole file: {report['changed']:,} rows changed their label."
    return f"Not refined: {report['reason']}"


def _seconds(times: dict[str, str]) -> float | None:
    """Seconds that a job without a summary ran."""
    if "running_at" not in times or "ended_at" not in times:
        return None
    ran = datetime.fromisoformat(times["ended_at"]) - datetime.fromisoformat(times["running_at"])
    return max(0.0, round(ran.total_seconds(), 3))
