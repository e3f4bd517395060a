"""Samples in curl and Python, made from the examples in the document."""

from __future__ import annotations

import json
import pprint
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import indent
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader

from yeban.database.tables.states import FINISHED

#: The file that samples upload.
FILE_NAME = "tickets.csv"
#: Stands for the ids in paths.
EXAMPLE_UUID = "0cca0c22-b766-4c38-9543-2470d0a7a180"
#: The file that the whole program of the page writes.
RESULT_NAME = "tagged.csv"
#: Seconds between two requests for the state of a job.
PAUSE_S = 5

_WIDTH = 96
_TOKEN = "YEBAN_TOKEN"  # noqa: S105  # the name of a variable
_TEMPLATES = Environment(  # noqa: S701  # programs, which the page escapes
    loader=FileSystemLoader(Path(__file__).parents[2] / "templates"), trim_blocks=True
)


class Operation(NamedTuple):
    """One method of one path; ``raw`` is its part of the document."""

    method: str
    path: str
    raw: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The unique operation id."""
        return str(self.raw["operationId"])

    @property
    def example_path(self) -> str:
        """The path with its parameters filled in."""
        schemas = {parameter["name"]: parameter["schema"] for parameter in self.raw.get("parameters", ())}
        return re.sub(
            r"\{(\w+)\}",
            lambda found: "1" if schemas[found[1]].get("type") == "integer" else EXAMPLE_UUID,
            self.path,
        )

    @property
    def body(self) -> tuple[str, Any]:
        """Media type of the body, blank without one, and its example."""
        for kind, content in self.raw.get("requestBody", {}).get("content", {}).items():
            return kind, content.get("example", {})
        return "", None

    @property
    def headers(self) -> dict[str, str]:
        """Headers with an example."""
        return {
            each["name"]: each["example"]
            for each in self.raw.get("parameters", ())
            if each["in"] == "header" and "example" in each
        }

    @property
    def download(self) -> str:
        """Name of the downloaded file; blank for other operations."""
        name = self.path.rpartition("/")[2]
        return name if "." in name and not name.endswith(".json") else ""


def operations(document: Mapping[str, Any]) -> Iterator[Operation]:
    """Yield every operation of a document."""
    for path, found in document["paths"].items():
        for method, raw in found.items():
            yield Operation(method.upper(), path, raw)


def curl(operation: Operation, base_url: str, *, with_token: bool) -> str:
    """Write a shell command that calls the operation, ``with_token`` from the environment if wanted."""
    kind, example = operation.body
    # A problem document must not be saved as the file.
    parts = [f"curl {'-sSf' if operation.download else '-s'} {shlex.quote(base_url + operation.example_path)}"]
    if operation.method != ("POST" if kind else "GET"):
        parts.append(f"-X {operation.method}")
    if with_token:
        parts.append(f'-H "Authorization: Bearer ${_TOKEN}"')
    parts += [f"-H {shlex.quote(f'{name}: {value}')}" for name, value in operation.headers.items()]
    if kind == "application/json":
        text = json.dumps(example, ensure_ascii=False, indent=2 if len(str(example)) > _WIDTH else None)
        parts += ["-H 'Content-Type: application/json'", f"-d {shlex.quote(text)}"]
    elif kind:
        parts.append(f"-F file=@{FILE_NAME}")
        for name, value in example.items():
            several = value if isinstance(value, list) else [value]
            parts += [f"-F {shlex.quote(f'{name}={_text(one)}')}" for one in several]
    if operation.download:
        parts.append(f"-o {operation.download}")
    return " \\\n  ".join(parts)


def python(operation: Operation, base_url: str, *, with_token: bool) -> str:
    """Write a program that calls the operation with httpx."""
    kind, example = operation.body
    token = [f'headers={{"Authorization": f"Bearer {{os.environ[\'{_TOKEN}\']}}"}}'] if with_token else []
    given = {"headers": operation.headers, "json" if kind == "application/json" else "data": example}
    arguments = [_literal(operation.example_path)]
    arguments += [_literal(value, f"{name}=") for name, value in given.items() if value]
    lines = [
        "import os\n" if with_token else "",
        "import httpx\n",
        f"with httpx.Client({_arguments([f'base_url={_literal(base_url)}', *token], 0)}) as yeban:",
    ]
    if operation.download:
        lines += [
            f'    with yeban.stream("{operation.method}", {arguments[0]}) as answer:',
            "        answer.raise_for_status()",
            f'        with open("{operation.download}", "wb") as file:',
            "            for block in answer.iter_bytes():",
            "                file.write(block)",
        ]
        return "\n".join(lines).lstrip()
    if kind.startswith("multipart/"):
        arguments.append(f'files={{"file": open("{FILE_NAME}", "rb")}}')
    first = next(iter(operation.raw["responses"].values())).get("content", {})
    shown = {"": "status_code", "application/json": "json()"}.get(next(iter(first), ""), "text")
    lines += [f"    answer = yeban.{operation.method.lower()}({_arguments(arguments, 4)})"]
    return "\n".join([*lines, "answer.raise_for_status()", f"print(answer.{shown})"]).lstrip()


def program(template: str, base_url: str, *, with_token: bool) -> str:
    """Write ``upload.sh.txt`` or ``upload.py.txt``: from a file to its labels."""
    return _TEMPLATES.get_template(template).render(
        url=shlex.quote(base_url),
        base_url=json.dumps(base_url),
        with_token=with_token,
        file=FILE_NAME,
        result=RESULT_NAME,
        finished=sorted(FINISHED),
        pause=PAUSE_S,
    )


def _arguments(arguments: list[str], depth: int) -> str:
    flat = ", ".join(arguments)
    if len(flat) <= _WIDTH - 32 and "\n" not in flat:
        return flat
    return "\n" + indent(",\n".join(arguments), " " * (depth + 4)) + ",\n" + " " * depth


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _literal(value: Any, before: str = "") -> str:
    """Write a value as Python after the text ``before``; continuation lines are indented."""
    if isinstance(value, str):
        return before + json.dumps(value, ensure_ascii=False)
    text = pprint.pformat(value, width=_WIDTH - 16, sort_dicts=False)
    return before + text.replace("\n", "\n" + " " * len(before))
