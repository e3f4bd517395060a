"""What a run found, as a table for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.benchmarks.harness import provenance
from tests.faults.invariants import Tally, told


@dataclass(kw_only=True)
class Outcome:
    """Everything that is told of one run."""

    command: str
    seed: int
    struck: Counter[str] = field(default_factory=Counter)
    missed: dict[str, list[str]] = field(default_factory=dict)  # by kind, why
    kinds: Sequence[str] = ()
    tally: Tally = field(default_factory=Tally)
    violations: list[str] = field(default_factory=list)
    seconds: float = 0.0
    settled_s: float = 0.0
    answers: int = 0
    slowest_s: float = 0.0
    calls: int = 0
    snapshots: int = 0
    deaths: dict[str, int] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        return not self.violations

    def lines(self) -> list[str]:
        """The report as Markdown."""
        tally = self.tally
        faults = [
            f"| {kind} | {self.struck[kind]} | {'; '.join(sorted(set(self.missed.get(kind, ()))))} |"
            for kind in self.kinds
        ]
        figures = {
            "strikes": sum(self.struck.values()),
            "jobs": tally.jobs,
            "rows": tally.rows,
            "rows with a result": tally.scored,
            "rows left pending by a cancel": tally.pending,
            "lost": tally.lost,
            "doubled": tally.doubled,
            "wrong": tally.wrong,
            "errors expected / found": f"{tally.errors_expected} / {tally.errors_found}",
            "jobs refined": tally.refined,
            "jobs deleted": tally.deleted,
            "ends told to a webhook / messages received": f"{tally.told} / {tally.received}",
            "processes that died": ", ".join(f"{name} {count}" for name, count in self.deaths.items()),
            "API calls": self.calls,
            "answers of /healthz (slowest)": f"{self.answers} ({self.slowest_s:.2f} s)",
            "snapshots of all jobs": self.snapshots,
            "seconds under fire / until all had ended": f"{self.seconds:.0f} / {self.settled_s:.0f}",
            "seed": self.seed,
            "violations": len(self.violations),
        }
        return [
            *provenance(self.command),
            "",
            "| fault | struck | not struck, because |",
            "|---|---|---|",
            *faults,
            "",
            "| | |",
            "|---|---|",
            *(f"| {name} | {value} |" for name, value in figures.items()),
            "",
            *(f"- **violation**: {violation}" for violation in told(self.violations)),
        ]
