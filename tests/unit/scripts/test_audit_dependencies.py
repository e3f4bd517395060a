from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from scripts.audit_dependencies import CONSTRAINTS, IGNORE_FILE, BadIgnoreFile, Ignored, judge, read_ignored

TODAY = dt.date(2026, 11, 25)


def report(*dependencies: dict[str, Any]) -> dict[str, Any]:
    """As ``pip-audit --format json`` prints it."""
    return {"dependencies": list(dependencies), "fixes": []}


def found(name: str, *ids: str) -> dict[str, Any]:
    vulnerabilities = [
        {"id": each, "fix_versions": ["1.1"], "aliases": [f"CVE-{each}"], "description": "…"} for each in ids
    ]
    return {"name": name, "version": "1.0", "vulns": vulnerabilities}


def skipped(name: str) -> dict[str, Any]:
    return {"name": name, "skip_reason": f"Dependency not found on PyPI and could not be audited: {name} (1.0)"}


def borne(**changes: Any) -> Ignored:
    return Ignored(**{"id": "P-1", "package": "bad", "reason": "not reached", "until": TODAY, **changes})


def test_nothing_found_passes() -> None:
    verdict = judge([report(found("good"))], [], TODAY)

    assert (verdict.failed, verdict.lines) == (False, ("1 versions looked up, none to mend",))


def test_a_vulnerability_fails_and_says_what_mends_it() -> None:
    verdict = judge([report(found("good"), found("bad", "P-1"))], [], TODAY)

    assert verdict.failed
    assert "VULNERABLE: bad 1.0: P-1, mended in 1.1" in verdict.lines


@pytest.mark.parametrize("name", ["P-1", "CVE-P-1"])
def test_one_that_is_borne_passes_by_any_of_its_names(name: str) -> None:
    verdict = judge([report(found("bad", "P-1"))], [borne(id=name)], TODAY)

    assert not verdict.failed
    assert verdict.lines[0] == "borne until 2026-11-25: bad 1.0: P-1 (not reached)"


@pytest.mark.parametrize("entry", [borne(until=TODAY - dt.timedelta(days=1)), borne(package="other"), borne(id="P-2")])
def test_one_that_is_borne_no_longer_or_is_another_fails(entry: Ignored) -> None:
    assert judge([report(found("bad", "P-1"))], [entry], TODAY).failed


def test_an_entry_that_is_not_needed_is_told() -> None:
    verdict = judge([report(found("good"))], [borne()], TODAY)

    assert not verdict.failed
    assert "no longer found, remove it: bad P-1" in verdict.lines


def test_a_service_that_knows_nothing_is_told_in_one_line() -> None:
    verdict = judge([report(skipped("a"), skipped("b"))], [], TODAY)

    assert (verdict.failed, len(verdict.lines)) == (False, 1)
    assert verdict.lines[0].startswith("not done: ")


def test_what_the_service_does_not_know_is_named_beside_the_rest() -> None:
    verdict = judge([report(found("good"), skipped("ours"))], [], TODAY)

    assert "not known to the service: ours" in verdict.lines


@pytest.mark.parametrize(
    "text",
    [
        '[[ignore]]\nid = "P-1"\npackage = "bad"\nuntil = 2026-12-31\n',
        '[[ignore]]\nid = "P-1"\npackage = "bad"\nreason = " "\nuntil = 2026-12-31\n',
        '[[ignore]]\nid = "P-1"\npackage = "bad"\nreason = "later"\n',
        '[[ignore]]\nid = "P-1"\npackage = "bad"\nreason = "later"\nuntil = "some day"\n',
    ],
)
def test_an_entry_without_a_reason_or_a_date_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / IGNORE_FILE
    path.write_text(text)

    with pytest.raises(BadIgnoreFile, match="entry 1 wants"):
        read_ignored(path)


def test_our_own_file_can_be_read() -> None:
    for entry in read_ignored(CONSTRAINTS / IGNORE_FILE):
        assert entry.package
