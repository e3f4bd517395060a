"""Viewers, owners and permissions have no defaults: forgetting one is a type error."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SOURCES = [path for package in ("yeban", "web", "worker") for path in (ROOT / package).rglob("*.py")]
#: Columns have server defaults, which apply to statements without an ORM only.
TABLES = ROOT / "yeban/database/tables"
NAMES = {"viewer", "owner", "role"}


def defaults(source: str) -> Iterator[str]:
    """Parameters and fields of :data:`NAMES` that have a default, with their lines."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.arguments):
            positional = [*node.posonlyargs, *node.args]
            given = [*zip(positional[len(positional) - len(node.defaults) :], node.defaults, strict=True)]
            given += [pair for pair in zip(node.kwonlyargs, node.kw_defaults, strict=True) if pair[1] is not None]
            yield from (f"{argument.lineno}: {argument.arg}" for argument, _ in given if argument.arg in NAMES)
        elif isinstance(node, ast.ClassDef):
            for field in node.body:
                if isinstance(field, ast.AnnAssign) and field.value and ast.unparse(field.target) in NAMES:
                    yield f"{field.lineno}: {ast.unparse(field.target)}"


def test_no_viewer_owner_or_role_has_a_default() -> None:
    found = {
        str(path.relative_to(ROOT)): lines
        for path in SOURCES
        if TABLES not in path.parents and (lines := [*defaults(path.read_text(encoding="utf-8"))])
    }

    assert found == {}


@pytest.mark.parametrize(
    "source",
    [
        "def get(database, viewer=UNRESTRICTED): ...",
        "def get(database, *, viewer: Viewer = UNRESTRICTED): ...",
        "class Job:\n    owner: str = ''",
    ],
)
def test_a_default_is_found(source: str) -> None:
    assert [*defaults(source)]
