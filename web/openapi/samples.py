"""How to call an operation from a shell and from Python, made of its examples."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from web.openapi.reading import Operation

#: The file that samples hand in.
FILE_NAME = "tickets.csv"
#: Stands for what is in a path.
EXAMPLE_UUID = "0cca0c22-b766-4c38-9543-2470d0a7a180"

_WIDTH = 96
_TOKEN = "YEBAN_TOKEN"  # noqa: S105  # the name of a variable


def curl(operation: Operation, base_url: str, *, with_token: bool) -> str:
    """A command for a shell that calls the operation at ``base_url``; ``with_token``, one from the environment."""
    # What is refused is no file of results.
    flags = "-s" if _download(operation) is None else "-sSf"
    parts = [f"curl {flags} {shlex.quote(base_url + path_of(operation))}"]
    default = "GET" if operation.body is None else "POST"
    if operation.method != default:
        parts.append(f"-X {operation.method}")
    if with_token:
        parts.append(f'-H "Authorization: Bearer ${_TOKEN}"')
    parts += [f"-H {shlex.quote(f'{name}: {value}')}" for name, value in _headers(operation)]
    kind, example = _body(operation)
    if kind == "application/json":
        parts += ["-H 'Content-Type: application/json'", f"-d {shlex.quote(_json(example))}"]
    elif kind is not None:
        parts.append(f"-F file=@{FILE_NAME}")
        parts += [f"-F {shlex.quote(f'{name}={value}')}" for name, value in _fields(example)]
    if (file := _download(operation)) is not None:
        parts.append(f"-o {file}")
    return " \\\n  ".join(parts)


def python(operation: Operation, base_url: str, *, with_token: bool) -> str:
    """A program that calls the operation with httpx."""
    imports = ["import os", "", "import httpx"] if with_token else ["import httpx"]
    client = [f"base_url={_literal(base_url)}"]
    if with_token:
        imports += ["", f'token = os.environ["{_TOKEN}"]']
        client.append('headers={"Authorization": f"Bearer {token}"}')
    path = f'"{path_of(operation)}"'
    arguments = []
    if headers := _headers(operation):
        arguments.append(f"headers={_literal(dict(headers))}")
    kind, example = _body(operation)
    if kind == "application/json":
        arguments.append(f"json={_literal(example, 8)}")
    elif kind is not None:
        arguments += [f"data={_literal(example, 8)}", 'files={"file": file}']
    lines = [*imports, "", *_call("with httpx.Client", client, "", ") as yeban:")]
    if (name := _download(operation)) is not None:
        lines += [
            *_call("    with yeban.stream", [f'"{operation.method}"', path], "    ", ") as answer:"),
            "        answer.raise_for_status()",
            f'        with open("{name}", "wb") as file:',
            "            for block in answer.iter_bytes():",
            "                file.write(block)",
        ]
        return "\n".join(lines)
    call = f"yeban.{operation.method.lower()}"
    indent = "    "
    if kind is not None and kind != "application/json":
        lines.append(f'    with open("{FILE_NAME}", "rb") as file:')
        indent = "        "
    lines += _call(f"{indent}answer = {call}", [path, *arguments], indent)
    lines += ["answer.raise_for_status()", f"print({_shown(operation)})"]
    return "\n".join(lines)


def path_of(operation: Operation) -> str:
    """The operation's path with something in place of its variables."""
    schemas = {field["name"]: field["schema"] for field in operation.raw.get("parameters", ()) if field["in"] == "path"}

    def some(found: re.Match[str]) -> str:
        return "1" if schemas[found[1]].get("type") == "integer" else EXAMPLE_UUID

    return re.sub(r"\{(\w+)\}", some, operation.path)


def _headers(operation: Operation) -> list[tuple[str, str]]:
    return [
        (parameter["name"], parameter["example"])
        for parameter in operation.raw.get("parameters", ())
        if parameter["in"] == "header" and "example" in parameter
    ]


def _body(operation: Operation) -> tuple[str | None, Any]:
    for kind, content in operation.raw.get("requestBody", {}).get("content", {}).items():
        return kind, content.get("example", {})
    return None, None


def _fields(example: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for name, value in example.items():
        for one in value if isinstance(value, list) else [value]:
            yield name, one if isinstance(one, str) else json.dumps(one)


def _download(operation: Operation) -> str | None:
    """The name of the file that is answered."""
    name = operation.path.rpartition("/")[2]
    return name if "." in name and not name.endswith(".json") else None


def _shown(operation: Operation) -> str:
    content = operation.answers[0].content
    if content is None:
        return "answer.status_code"
    return "answer.json()" if content.media_type == "application/json" else "answer.text"


def _call(function: str, arguments: list[str], indent: str, end: str = ")") -> list[str]:
    line = f"{function}({', '.join(arguments)}{end}"
    if len(line) <= _WIDTH and "\n" not in line:
        return [line]
    inner = [f"{indent}    {argument}," for argument in arguments]
    return [f"{function}(", *"\n".join(inner).split("\n"), f"{indent}{end}"]


def _json(value: Any) -> str:
    flat = json.dumps(value, ensure_ascii=False)
    return flat if len(flat) <= _WIDTH - 8 else json.dumps(value, ensure_ascii=False, indent=2)


def _literal(value: Any, indent: int = 0) -> str:
    """A value of JSON as Python, broken into lines where it is long."""
    if isinstance(value, bool) or value is None:
        return repr(value)
    if not isinstance(value, Mapping | list):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Mapping):
        parts, brackets = [f"{json.dumps(key)}: {_literal(item, indent + 4)}" for key, item in value.items()], "{}"
    else:
        parts, brackets = [_literal(item, indent + 4) for item in value], "[]"
    flat = f"{brackets[0]}{', '.join(parts)}{brackets[1]}"
    if len(flat) <= _WIDTH - indent - 12 and "\n" not in flat:
        return flat
    lines = ",\n".join(f"{' ' * (indent + 4)}{part}" for part in parts)
    return f"{brackets[0]}\n{lines},\n{' ' * indent}{brackets[1]}"
