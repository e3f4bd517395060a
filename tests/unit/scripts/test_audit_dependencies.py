from __future__ import annotations

import datetime as dt
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts import audit_dependencies
from scripts.audit_dependencies import (
    CONSTRAINTS,
    IGNORE_FILE,
    AuditFailed,
    BadIgnoreFile,
    Ignored,
    Unreachable,
    ask,
    judge,
    read_ignored,
)

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


def test_constraints_without_a_dependency_fail() -> None:
    assert judge([report()], [], TODAY).failed
    assert judge([], [], TODAY).failed


def auditor(tmp_path: Path, *, out: str = "", err: str = "", status: int = 1) -> list[str]:
    """A program that ends like pip-audit."""
    program = tmp_path / "auditor.py"
    program.write_text(
        f"import sys\nsys.stdout.write({out!r})\nsys.stderr.write({err!r})\nsys.exit({status})\n", encoding="utf-8"
    )
    return [sys.executable, str(program)]


FILE = Path("py311.txt")


def test_a_report_is_taken_whatever_the_status(tmp_path: Path) -> None:
    sent = report(found("bad", "P-1"))

    assert ask(FILE, auditor(tmp_path, out=json.dumps(sent), err="Found 1 known vulnerability")) == sent


@pytest.mark.parametrize(
    "said",
    [
        "requests.exceptions.ConnectionError: HTTPSConnectionPool(host='pypi.org', port=443): Max retries exceeded",
        "requests.exceptions.ReadTimeout: HTTPSConnectionPool(host='pypi.org', port=443): Read timed out.",
        "requests.exceptions.ProxyError: HTTPSConnectionPool(host='pypi.org', port=443): Max retries exceeded",
        "requests.exceptions.HTTPError: 503 Server Error: Unavailable for url: …\n\npip_audit….ServiceError",
        "ERROR:pip_audit._cli:Could not connect to PyPI's vulnerability feed\nERROR:pip_audit._cli:Tip: your network …",
    ],
)
def test_a_service_that_cannot_be_reached_is_told_from_a_broken_audit(tmp_path: Path, said: str) -> None:
    with pytest.raises(Unreachable):
        ask(FILE, auditor(tmp_path, err=f"Traceback (most recent call last):\n{said}\n"))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"err": "WARNING:x\nERROR:pip_audit._cli:invalid requirements input: none.txt\n"}, "invalid requirements"),
        ({"err": "/usr/bin/python3: No module named pip_audit\n"}, "No module named pip_audit"),
        ({"err": "Traceback …\nKeyError: 'id'\n"}, "KeyError"),
        ({"err": "requests.exceptions.HTTPError: 400 Client Error\n"}, "400 Client Error"),
        ({"out": "[]", "status": 0}, "status 0"),
        ({"out": '{"fixes": []}', "status": 0}, "status 0"),
        ({"out": "No known vulnerabilities found", "status": 0}, "status 0"),
    ],
)
def test_anything_else_without_a_report_fails(tmp_path: Path, answer: dict[str, Any], reason: str) -> None:
    with pytest.raises(AuditFailed, match=rf"py311\.txt: pip-audit gives no report: .*{reason}"):
        ask(FILE, auditor(tmp_path, **answer))


@pytest.mark.parametrize(("error", "status"), [(Unreachable(), 0), (AuditFailed("broken"), 1)])
def test_only_a_missing_network_lets_a_run_pass(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, status: int
) -> None:
    def fail(_path: Path) -> None:
        raise error

    monkeypatch.setattr(audit_dependencies, "ask", fail)

    assert audit_dependencies.main() == status
    assert capsys.readouterr().err.startswith("audit: ")


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
