"""Measure how easy the sources are to live in: ``scripts/house`` prints one table.

Counts modules at the top of each package, small modules with one importer, repeated file names, phrases that read
badly, and from git the files an average commit touches and the length of its subject.
"""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("web", "yeban", "worker")

#: A module with fewer lines and a single importer belongs in its importer.
SMALL_LINES = 60
#: File names that one feature shares with the next.
ROLES = frozenset({"api", "schemas", "pages", "form", "representation", "queries", "__init__", "__main__"})

_COMMITS = 100
_OPENING = re.compile(r"(What|Whoever|Whatever|Whether|Such|That of|Who|Whose|Which|How)\b", re.IGNORECASE)
_PHRASE = re.compile(
    r"\b(what is|whoever|whatever|nobody|somebody|is told|are told|anew|by itself|by themselves|rightly|is none)\b",
    re.IGNORECASE,
)
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Module:
    """One file of the product."""

    path: Path  # relative to the root
    source: str

    @property
    def name(self) -> str:
        """Dotted name, as an import statement has it."""
        return ".".join(self.path.with_suffix("").parts).removesuffix(".__init__")

    @property
    def lines(self) -> int:
        """Number of lines."""
        return self.source.count("\n")

    @cached_property
    def tree(self) -> ast.Module:
        """Syntax tree."""
        return ast.parse(self.source)

    def prose(self) -> Iterator[tuple[str, bool]]:
        """Docstrings, and comments on lines of their own; the flag is true for docstrings."""
        for node in ast.walk(self.tree):
            if isinstance(node, _DOCUMENTED) and (text := ast.get_docstring(node)):
                yield text, True
        for line in self.source.splitlines():
            if line.lstrip().startswith("#"):
                yield line.split("#", 1)[1], False


def modules() -> dict[str, Module]:
    """Every module of the product by its dotted name."""
    found = [
        Module(path.relative_to(ROOT), path.read_text(encoding="utf-8"))
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
    ]
    return {module.name: module for module in found}


def importers(of: Mapping[str, Module]) -> dict[str, set[str]]:
    """Names of the modules that import each module, anywhere in their source."""
    found: dict[str, set[str]] = {name: set() for name in of}
    for module in of.values():
        for node in ast.walk(module.tree):
            names: list[str] = []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
                names = [name if name in of else node.module for name in names]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            for name in names:
                if name in of and name != module.name:
                    found[name].add(module.name)
    return found


def top_entries(package: str) -> list[str]:
    """Files and folders at the top of ``package``, such as ``worker/engine``."""
    return sorted(path.name for path in (ROOT / package).iterdir() if path.name not in {"__pycache__", "__init__.py"})


def small_modules(of: Mapping[str, Module]) -> list[str]:
    """Modules under :data:`SMALL_LINES` lines that one other module imports."""
    by = importers(of)
    return [
        name
        for name, module in of.items()
        if module.lines < SMALL_LINES and module.path.stem not in ROLES and len(by[name]) == 1
    ]


def repeated_names(of: Mapping[str, Module]) -> dict[str, list[str]]:
    """Paths that share a file name within a package, by package and name; roles such as ``api`` are left out."""
    found = defaultdict(list)
    for module in of.values():
        if module.path.stem not in ROLES:
            found[f"{module.path.parts[0]}: {module.path.name}"].append(str(module.path))
    return {name: paths for name, paths in found.items() if len(paths) > 1}


def awkward_rate(of: Mapping[str, Module]) -> float:
    """Openings and phrases that read badly, per 10,000 words of docstrings and comments."""
    words = awkward = 0
    for module in of.values():
        for text, is_docstring in module.prose():
            words += len(text.split())
            awkward += len(_PHRASE.findall(text)) + bool(is_docstring and _OPENING.match(text.strip()))
    return 1e4 * awkward / words


def _git(*arguments: str) -> str:
    return subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True).stdout


def _commits() -> tuple[float, list[int]]:
    """Product files that the latest commits touch on average, and the lengths of their subjects."""
    log = _git("log", "--no-merges", f"-{_COMMITS}", "--name-only", "--format=%x00%s")
    touched, subjects = [], []
    for commit in log.split("\0")[1:]:
        subject, *paths = [line for line in commit.splitlines() if line]
        subjects.append(len(subject))
        product = [path for path in paths if path.endswith(".py") and path.split("/")[0] in PACKAGES]
        if product:
            touched.append(len(product))
    return statistics.mean(touched or [0]), sorted(subjects)


def _table() -> Iterator[tuple[str, str]]:
    of = modules()
    product = sum(module.lines for module in of.values())
    tests = sum(path.read_text(encoding="utf-8").count("\n") for path in (ROOT / "tests").rglob("*.py"))
    files, subjects = _commits()
    tops = ", ".join(f"{package}/ {len(top_entries(package))}" for package in ("web", "worker/engine", "yeban"))
    yield "modules at the top of a package", tops
    yield f"product files an average commit touches (last {_COMMITS})", f"{files:.1f}"
    yield f"modules under {SMALL_LINES} lines with one importer", f"{len(small_modules(of))} of {len(of)}"
    yield "file names used more than once in a package", str(len(repeated_names(of)))
    yield "awkward openings and phrases per 10,000 words", f"{awkward_rate(of):.0f}"
    yield (
        "commit subject, median / p90 characters",
        (f"{statistics.median(subjects):.0f} / {subjects[int(0.9 * len(subjects))]}"),
    )
    yield "lines of product", f"{product:,}"
    yield "tests ÷ product lines", f"{tests / product:.2f}"


def main() -> int:
    """Print the table."""
    for name, value in _table():
        print(f"{name:<62} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
