"""From a file to its tags in one go: what the samples of single operations leave to be put together."""

from __future__ import annotations

import json
import shlex

from web.openapi.samples import FILE_NAME
from yeban.database.tables.states import ENDED

#: The file that comes of it.
RESULT_NAME = "tagged.csv"
#: Between two looks at the job, in seconds.
PAUSE_S = 5

_LABELS = "物流,退款,发票"
_SHELL = """\
jobs={url}/api/v1/jobs

job=$(curl -sSf $jobs{header} -F file=@{file} -F labels={labels} | sed 's/^{{"id":"\\([^"]*\\)".*/\\1/')
until curl -sSf $jobs/${{job:?}}{header} | grep -Eq '^[{{]"id":"[^"]*","state":"({ended})"'; do sleep {pause}; done
curl -sSf $jobs/$job/results.csv{header} -o {result}"""
_HEADER = ' -H "Authorization: Bearer $YEBAN_TOKEN"'

_PYTHON = """\
{imports}
import time

import httpx

ENDED = {ended}

with httpx.Client({client}) as yeban:
    with open("{file}", "rb") as file:
        answer = yeban.post("/api/v1/jobs", data={{"labels": "{labels}"}}, files={{"file": file}})
    job = answer.raise_for_status().json()
    while job["state"] not in ENDED:
        time.sleep({pause})
        job = yeban.get(job["links"]["self"]).raise_for_status().json()
    with yeban.stream("GET", job["links"]["csv"]) as answer, open("{result}", "wb") as file:
        answer.raise_for_status()
        for block in answer.iter_bytes():
            file.write(block)
print(job["state"], job["progress"])"""


def shell(base_url: str, *, with_token: bool) -> str:
    """Commands that hand a file in, wait for its job to end, and fetch the tagged file."""
    return _SHELL.format(
        url=shlex.quote(base_url),
        header=_HEADER if with_token else "",
        file=FILE_NAME,
        labels=_LABELS,
        ended="|".join(sorted(ENDED)),
        pause=PAUSE_S,
        result=RESULT_NAME,
    )


def python(base_url: str, *, with_token: bool) -> str:
    """A program that does the same with httpx."""
    client = f"base_url={json.dumps(base_url)}"
    if with_token:
        client += ', headers={"Authorization": f"Bearer {os.environ[\'YEBAN_TOKEN\']}"}'
    program = _PYTHON.format(
        imports="import os" if with_token else "",
        client=client,
        ended="{" + ", ".join(f'"{state}"' for state in sorted(ENDED)) + "}",
        file=FILE_NAME,
        labels=_LABELS,
        pause=PAUSE_S,
        result=RESULT_NAME,
    )
    return program.lstrip("\n")
