"""Statements go through SQLAlchemy; ruff's S608 finds the ones that are put together from strings."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
SOURCES = [path for package in ("yeban", "web", "worker", "migrations") for path in (ROOT / package).rglob("*.py")]
#: COPY and starting the bundled server need more than SQLAlchemy has.
DRIVER_USERS = {"yeban/database/engine.py", "yeban/runtime/servers/postgres.py"}


def test_only_the_database_package_and_the_bundled_server_use_the_driver() -> None:
    users = {
        str(path.relative_to(ROOT))
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in _imported(node)
        if name.partition(".")[0] in {"psycopg", "psycopg2", "asyncpg"}
    }

    assert users == DRIVER_USERS


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []
