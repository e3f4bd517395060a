"""Asks pip-audit about the locked dependencies and decides what of its answer fails a run (see scripts/audit)."""

from __future__ import annotations

import datetime as dt
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONSTRAINTS = Path(__file__).resolve().parent.parent / "constraints"
IGNORE_FILE = "audit-ignore.toml"

_TIMEOUT_S = 120
_QUOTED_LINES = 3
#: How pip-audit ends where the service is not reached or does not serve: its own words, or an exception of requests.
_UNREACHABLE = re.compile(
    r"^requests\.exceptions\.(?:\w*ConnectionError|\w*Timeout|ProxyError|SSLError|ChunkedEncodingError)\b"
    r"|^requests\.exceptions\.HTTPError: (?:403|407|429|5\d\d)\b"
    r"|Could not connect to PyPI's vulnerability feed|PyPI is not redirecting properly",
    re.MULTILINE,
)


class BadIgnoreFile(Exception):
    """The ignore file does not say what it must."""


class Unreachable(Exception):
    """The vulnerability service does not answer from here."""


class AuditFailed(Exception):
    """There is no report, and not for want of a network."""


@dataclass(frozen=True, kw_only=True)
class Ignored:
    """A vulnerability that is known and borne, until a day and that day included."""

    id: str
    package: str
    reason: str
    until: dt.date


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Report lines, and a flag for failure."""

    lines: tuple[str, ...]
    failed: bool


def read_ignored(path: Path) -> list[Ignored]:
    """Raises :class:`BadIgnoreFile` for an entry without a reason or a date."""
    found = []
    for number, entry in enumerate(tomllib.loads(path.read_text(encoding="utf-8")).get("ignore", []), 1):
        try:
            ignored = Ignored(**entry)
        except TypeError as error:
            raise BadIgnoreFile(f"{path.name}: entry {number} wants id, package, reason and until ({error})") from None
        if type(ignored.until) is not dt.date or not str(ignored.reason).strip():
            raise BadIgnoreFile(f"{path.name}: entry {number} wants a reason, and a date in until (until = 2026-12-31)")
        found.append(ignored)
    return found


def judge(reports: Iterable[Mapping[str, Any]], ignored: Sequence[Ignored], today: dt.date) -> Verdict:
    """``reports`` are pip-audit's, one a constraints file."""
    dependencies = {
        (entry["name"], entry.get("version")): entry for report in reports for entry in report["dependencies"]
    }
    if not dependencies:
        return Verdict(lines=("there is nothing to look up in the constraints",), failed=True)
    unknown = sorted(entry["name"] for entry in dependencies.values() if "skip_reason" in entry)
    if len(unknown) == len(dependencies):
        return Verdict(lines=("not done: the vulnerability service does not answer from here",), failed=False)
    borne = {name: entry for entry in ignored for name in [(entry.package, entry.id)]}
    used: set[tuple[str, str]] = set()
    lines, failed = [], False
    for (package, version), dependency in sorted(dependencies.items(), key=str):
        for vulnerability in dependency.get("vulns", []):
            names = {(package, name) for name in (vulnerability["id"], *vulnerability.get("aliases", []))}
            known = next((borne[name] for name in sorted(names & borne.keys())), None)
            used |= names & borne.keys()
            what = f"{package} {version}: {vulnerability['id']}"
            if known is not None and today <= known.until:
                lines.append(f"borne until {known.until}: {what} ({known.reason})")
                continue
            failed = True
            remedy = ", ".join(vulnerability.get("fix_versions", [])) or "no version yet"
            lines.append(f"VULNERABLE: {what}, mended in {remedy}{'' if known is None else '; its time is over'}")
    lines += [f"no longer found, remove it: {package} {name}" for package, name in sorted(borne.keys() - used)]
    if unknown:
        lines.append(f"not known to the service: {', '.join(unknown)}")
    lines.append(f"{len(dependencies) - len(unknown)} versions looked up, {'see above' if failed else 'none to mend'}")
    return Verdict(lines=tuple(lines), failed=failed)


def ask(constraints: Path, auditor: Sequence[str] = (sys.executable, "-m", "pip_audit")) -> dict[str, Any]:
    """pip-audit's report on one constraints file. Raises :class:`Unreachable` and :class:`AuditFailed`."""
    command = [*auditor, "--requirement", str(constraints), "--no-deps", "--disable-pip"]
    command += ["--format", "json", "--progress-spinner", "off", "--timeout", "10"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise Unreachable from error
    try:
        report = json.loads(answer.stdout)
    except ValueError:
        report = None
    if isinstance(report, dict) and isinstance(report.get("dependencies"), list):
        return report
    if _UNREACHABLE.search(answer.stderr):
        raise Unreachable
    said = [line for line in answer.stderr.splitlines() if line.strip() and not line.startswith("WARNING:")]
    reason = " ".join(line.strip() for line in said[-_QUOTED_LINES:])
    raise AuditFailed(f"{constraints.name}: pip-audit gives no report: {reason or f'status {answer.returncode}'}")


def main() -> int:
    try:
        ignored = read_ignored(CONSTRAINTS / IGNORE_FILE)
    except (OSError, BadIgnoreFile, tomllib.TOMLDecodeError) as error:
        print(f"audit: {error}", file=sys.stderr)
        return 1
    try:
        reports = [ask(path) for path in sorted(CONSTRAINTS.glob("*.txt"))]
    except Unreachable:
        print("audit: not done: the vulnerability service cannot be reached from here", file=sys.stderr)
        return 0
    except AuditFailed as error:
        print(f"audit: {error}", file=sys.stderr)
        return 1
    verdict = judge(reports, ignored, dt.datetime.now(dt.UTC).date())
    for line in verdict.lines:
        print(f"audit: {line}", file=sys.stderr)
    return int(verdict.failed)


if __name__ == "__main__":
    sys.exit(main())
