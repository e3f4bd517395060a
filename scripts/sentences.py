"""Finds the sentences in our sources that pages show, for the catalogue (see scripts/translate).

An error's sentence is an f-string where it is raised. Here it becomes a message with numbered places, as in
``Row {0} has {1} cells; the limit is {2}.``, which web/i18n/error_messages.py knows again in what was said.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from web.i18n import library_messages
from yeban.errors import error_classes, msg

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("web", "worker", "yeban")

#: Programs and their parts that no page hears from: a terminal or a log does.
UNHEARD = (
    "web/__main__.py",
    "web/auth/first_account.py",
    "web/auth/sessions.py",
    "web/server/gunicorn.py",
    "worker/__main__.py",
    "worker/app.py",
    "worker/broker.py",
    "worker/evaluation/",
    "worker/heartbeat.py",
    "worker/lifecycle.py",
    "worker/process_limits.py",
    "worker/monitoring.py",
    "yeban/runtime/local_url.py",
    "yeban/maintenance/backup.py",
    "yeban/cli/",
    "yeban/client.py",
    "yeban/runtime/servers/",
    "yeban/messaging/redis_url.py",
    "yeban/database/migrations.py",
    "yeban/settings.py",
    "yeban/runtime/stack.py",
    "yeban/telemetry/tracing.py",
    # What builds models, which only the command line does.
    "worker/engine/__main__.py",
    "worker/engine/checkpoints/bert_config.py",
    "worker/engine/checkpoints/checkpoint.py",
    "worker/engine/checkpoints/hub.py",
    "worker/engine/nli/parity.py",
    "worker/engine/embedding/parity.py",
    "worker/engine/graphs/quantisation.py",
    "worker/engine/models/recipes.py",
    "worker/engine/sessions/trt_build.py",
    "worker/engine/checkpoints/weight_files.py",
)

#: Whose first argument is shown: our errors, and other classes that end up in one or in a row's reason.
_ERRORS = frozenset(kind.__name__ for kind in error_classes().values()) | {
    "BadRequest",
    "MisdirectedRequest",
    "NotRefined",
    "RequestTimeout",
    "UnsupportedMediaType",
    "_BadLineError",
}
#: Classes whose values are shown, as words.
_STATES = {"yeban/database/tables/states.py": "JobState", "yeban/labels.py": "Status"}

_Part = str | ast.expr


@dataclass(frozen=True, kw_only=True, order=True)
class Sentence:
    """A message, and what stands in each of its places, as the source has it."""

    text: str
    places: tuple[str, ...] = ()


def sources() -> list[Path]:
    """The files whose sentences may reach a page, in a fixed order."""
    found = (path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py")))
    return [path for path in found if not path.relative_to(ROOT).as_posix().startswith(UNHEARD)]


def sentences(path: Path) -> list[Sentence]:
    """The sentences of one file, in the order of the source."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = [sentence for expression in _shown(tree) for sentence in _sentences(expression)]
    found += _values(tree, _STATES.get(path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else ""))
    return list(dict.fromkeys(found))


def of_libraries() -> list[Sentence]:
    """Sentences of others, which no source of ours makes."""
    return [Sentence(text=text) for text in (*library_messages.OF_REQUESTS, *library_messages.OF_VALUES)]


def opaque(path: Path) -> list[str]:
    """What is shown and says nothing here: a name or a call in place of words."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [ast.unparse(expression) for expression in _shown(tree) if not _sentences(expression)]


def _shown(tree: ast.Module) -> Iterator[ast.expr]:
    for call in sorted(_calls(tree), key=lambda node: (node.lineno, node.col_offset)):
        name = _name(call)
        if name == msg.__name__:
            yield call
        elif call.args and name in _ERRORS and not _has_message(call.args[0]):
            yield call.args[0]
        yield from (keyword.value for keyword in call.keywords if keyword.arg == "custom_error_message")
    # What a pydantic validator raises; it is shown without pydantic's "Value error, ".
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and _is_validator(tree, node):
            for raised in (inner.exc for inner in ast.walk(node) if isinstance(inner, ast.Raise)):
                if isinstance(raised, ast.Call) and ast.unparse(raised.func) == "ValueError" and raised.args:
                    yield raised.args[0]


def _calls(tree: ast.AST) -> list[ast.Call]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


def _name(call: ast.Call) -> str:
    return ast.unparse(call.func).rpartition(".")[2]


def _is_validator(tree: ast.Module, function: ast.FunctionDef) -> bool:
    if any("validator" in ast.unparse(decorator) for decorator in function.decorator_list):
        return True
    names = (ast.unparse(call) for call in _calls(tree))
    return any(f"Validator({function.name})" in name for name in names)


def _values(tree: ast.Module, name: str | None) -> list[Sentence]:
    classes = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    values = (ast.literal_eval(line.value) for found in classes for line in found.body if isinstance(line, ast.Assign))
    return [Sentence(text=str(value).replace("_", " ")) for value in values]


def _sentences(expression: ast.expr) -> list[Sentence]:
    return [made for parts in _wordings(expression) if (made := _sentence(parts)) is not None]


def _sentence(parts: Sequence[_Part]) -> Sentence | None:
    text, places = "", list[str]()
    for part in parts:
        if isinstance(part, str):
            text += part.replace("{", "{{").replace("}", "}}")
        else:
            text += f"{{{len(places)}}}"
            places.append(ast.unparse(part))
    has_words = any(char.isalpha() for part in parts if isinstance(part, str) for char in part)
    return Sentence(text=text, places=tuple(places)) if has_words else None


def _wordings(expression: ast.expr) -> list[list[_Part]]:
    """All that the expression may say: a choice of words in it makes several wordings."""
    if isinstance(expression, ast.Constant) and isinstance(expression.value, str):
        return [[expression.value]]
    if isinstance(expression, ast.Call) and _name(expression) == msg.__name__:
        return _wordings(_filled(expression))
    if isinstance(expression, ast.JoinedStr):
        return _joined(_of_value(value) for value in expression.values)
    if isinstance(expression, ast.BinOp) and isinstance(expression.op, ast.Add):
        return _joined([_wordings(expression.left), _wordings(expression.right)])
    if isinstance(expression, ast.IfExp):
        return [*_wordings(expression.body), *_wordings(expression.orelse)]
    return [[expression]]


def _has_message(expression: ast.expr) -> bool:
    return any(_name(call) == msg.__name__ for call in _calls(expression))


def _filled(call: ast.Call) -> ast.expr:
    """The f-string that a call of ``msg`` stands for."""
    values = {keyword.arg: keyword.value for keyword in call.keywords}
    parts = re.split(r"%\((\w+)\)s", str(ast.literal_eval(call.args[0])))
    return ast.JoinedStr(
        [
            ast.FormattedValue(values[part], -1) if number % 2 else ast.Constant(part.replace("%%", "%"))
            for number, part in enumerate(parts)
        ]
    )


def _of_value(value: ast.expr) -> list[list[_Part]]:
    if not isinstance(value, ast.FormattedValue):
        return _wordings(value)
    plain = value.conversion == -1 and value.format_spec is None
    return _wordings(value.value) if plain and _has_words(value.value) else [[value.value]]


def _has_words(expression: ast.expr) -> bool:
    return isinstance(expression, ast.IfExp | ast.JoinedStr | ast.Constant)


def _joined(pieces: Iterable[list[list[_Part]]]) -> list[list[_Part]]:
    return [[part for piece in choice for part in piece] for choice in product(*pieces)]
