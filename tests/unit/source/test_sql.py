"""No value ever becomes a part of a statement: SQL is made of constants, and values go beside it as parameters."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = ("yeban", "web", "worker", "migrations")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

#: Every statement that is put together, which the linter has to be told of (S608), and of what.
PUT_TOGETHER = {
    "web/monitoring/metrics.py": 2,  # a condition that is written once and used twice
    "yeban/drafts.py": 4,  # names of columns that are written once, and the condition of yeban.accounts.viewer
    "yeban/jobs/control.py": 1,  # a condition that is written once and used twice
    "yeban/results/confusion.py": 1,  # fragments of yeban.results.effective
    "yeban/results/corrections.py": 2,  # fragments of yeban.results.effective and of yeban.accounts.viewer
    "yeban/results/completion.py": 1,  # a condition of yeban.chunks.clock
    "yeban/chunks/hints.py": 1,  # a condition of yeban.chunks.clock
    "yeban/chunks/leases.py": 1,  # the same
    "yeban/jobs/locking.py": 1,  # the condition of yeban.accounts.viewer
    "yeban/results/refinement_data.py": 1,  # a condition that views has too
    "yeban/results/rows.py": 1,  # fragments of yeban.results.effective
    "yeban/jobs/retention.py": 1,  # a condition of yeban.chunks.clock
    "yeban/results/summary.py": 3,  # fragments of yeban.results.effective
    "yeban/chunks/sweep.py": 1,  # a condition of yeban.chunks.clock
    "yeban/jobs/views.py": 2,  # conditions that are written once
    "yeban/webhooks/deliveries.py": 4,  # what is written once and used twice; yeban.accounts.viewer
    "yeban/webhooks/endpoints.py": 2,  # the condition of yeban.accounts.viewer
    "yeban/label_sets.py": 3,  # the condition of yeban.accounts.viewer
}
#: Who may speak to the driver: COPY, and starting the bundled server, need more than SQLAlchemy has.
DRIVER_USERS = {"yeban/database/engine.py", "yeban/runtime/servers/postgres.py"}

_STATEMENT = re.compile(r"\b(SELECT\s|INSERT\s+INTO\s|UPDATE\s+\S+\s+SET\s|DELETE\s+FROM\s)")
_CONSTANT = re.compile(r"_?[A-Z][A-Z_]*|final\.[A-Z]+|PENDING")


def findings(source: str) -> list[str]:
    """Expressions that may bring a value into a statement."""
    tree = ast.parse(source)
    found = [piece for call in _calls(tree, "text") for piece in _of_call(tree, call)]
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr | ast.BinOp | ast.Call) and _STATEMENT.search(_words(node)):
            found += [piece for piece in _pieces(node) if not _is_constant(tree, piece)]
    return [ast.unparse(piece) for piece in found]


def _of_call(tree: ast.Module, call: ast.Call) -> Iterator[ast.expr]:
    for piece in _pieces(call.args[0]):
        if _is_constant(tree, piece):
            continue
        # A parameter of a function of this module: then what its callers here give.
        given = list(_given(tree, call, piece)) if isinstance(piece, ast.Name) else []
        if not given:
            yield piece
        for argument in given:
            yield from (each for each in _pieces(argument) if not _is_constant(tree, each))


def _given(tree: ast.Module, call: ast.Call, piece: ast.Name) -> Iterator[ast.expr]:
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        names = [argument.arg for argument in (*function.args.args, *function.args.kwonlyargs)]
        if piece.id in names and any(node is call for node in ast.walk(function)):
            for use in _calls(tree, function.name):
                yield from (keyword.value for keyword in use.keywords if keyword.arg == piece.id)
                if names.index(piece.id) < len(use.args):
                    yield use.args[names.index(piece.id)]
    # A loop over a table of constants.
    for node in ast.walk(tree):
        if isinstance(node, ast.DictComp) and any(inner is call for inner in ast.walk(node)):
            table = node.generators[0].iter
            if isinstance(table, ast.Call) and isinstance(table.func, ast.Attribute) and table.func.attr == "items":
                yield table.func.value


def _pieces(node: ast.expr) -> list[ast.expr]:
    """The parts of a string that are not written there."""
    if isinstance(node, ast.Constant):
        return []
    if isinstance(node, ast.JoinedStr):
        return [part for value in node.values if isinstance(value, ast.FormattedValue) for part in _pieces(value.value)]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return [*_pieces(node.left), *_pieces(node.right)]
    if isinstance(node, ast.IfExp):
        return [*_pieces(node.body), *_pieces(node.orelse)]
    if isinstance(node, ast.Dict):
        return [part for value in node.values for part in _pieces(value)]
    return [node]


def _is_constant(tree: ast.Module, piece: ast.expr) -> bool:
    name = ast.unparse(piece)
    if not _CONSTANT.fullmatch(name):
        return False
    values = [
        node.value for node in tree.body if isinstance(node, ast.Assign) and name in map(ast.unparse, node.targets)
    ]
    return all(_is_constant(tree, part) for value in values for part in _pieces(value))


def _calls(tree: ast.AST, name: str) -> list[ast.Call]:
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == name and node.args
    ]


def _words(node: ast.expr) -> str:
    """What is written of a string that is put together, by whatever means."""
    if isinstance(node, ast.Call):
        formatted = isinstance(node.func, ast.Attribute) and node.func.attr in {"format", "join", "replace"}
        return _words(node.func.value) if formatted and isinstance(node.func, ast.Attribute) else ""
    if isinstance(node, ast.BinOp):
        return _words(node.left) + _words(node.right)
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_statement_is_made_of_constants(path: Path) -> None:
    assert findings(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "text(f'SELECT {name}')",
        "text('SELECT ' + name)",
        "text('SELECT %s' % name)",
        "text('SELECT {}'.format(name))",
        "query = f'SELECT {name} FROM job'",
        "query = 'DELETE FROM job WHERE id = ' + str(number)",
        "query = 'UPDATE job SET state = %s' % state",
        "query = 'SELECT * FROM {}'.format(table)",
        "def run(statement): text(statement)\nrun(f'SELECT {name}')",
        "def run(*, statement): text(statement)\nrun(statement=name)",
        "def run(statement): text(statement)",
        "_WHERE = f'id = {name}'\ntext(f'SELECT 1 WHERE {_WHERE}')",
        "connection.execute(sqlalchemy.text(name))",
    ],
)
def test_a_value_in_a_statement_is_found(source: str) -> None:
    assert findings(source)


@pytest.mark.parametrize(
    "source",
    [
        "text('SELECT :id')",
        "_WHERE = 'id = :id'\ntext(f'SELECT 1 WHERE {_WHERE}')",
        "def run(statement): text(statement)\nrun('SELECT 1')",
    ],
)
def test_constants_pass(source: str) -> None:
    assert findings(source) == []


def test_every_statement_that_is_put_together_is_listed() -> None:
    told = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8").count("noqa: S608") for path in SOURCES}

    assert {name: count for name, count in told.items() if count} == PUT_TOGETHER


def test_only_those_who_must_speak_to_the_driver() -> None:
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
