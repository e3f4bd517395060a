"""Subjects of commits: imperative, 60 characters at most; from the day on which the rule began."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
#: The last commit before the rule.
_BEFORE = "c3451d7"
_MAX_CHARS = 60
#: Beginnings that no imperative has.
_NOT_IMPERATIVE = ("Added ", "Adds ", "Fixed ", "Fixes ", "Changed ", "Removed ", "Updates ", "Updated ")


def faults(subjects: list[str]) -> list[str]:
    """The subjects that break the rule."""
    return [
        subject
        for subject in subjects
        if len(subject) > _MAX_CHARS or subject.startswith(_NOT_IMPERATIVE) or subject.endswith(".")
    ]


def main() -> int:
    """Return 0 if every subject keeps the rule, or the history is not here."""
    command = ["git", "-C", str(_ROOT), "log", "--no-merges", "--format=%s", f"{_BEFORE}..HEAD"]
    log = subprocess.run(command, capture_output=True, text=True, check=False)
    if log.returncode != 0:
        print("Commit subjects: not checked, the history is not here.")
        return 0
    found = faults(log.stdout.splitlines())
    for subject in found:
        print(f"Make this subject imperative, of {_MAX_CHARS} characters at most: {subject}")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
