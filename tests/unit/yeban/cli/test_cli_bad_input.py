"""Each mistake: one clear line, the documented status, never a traceback."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from tests.unit.yeban.cli.conftest import JOB_ID, FakeServer
from yeban.client import Client

Run = Callable[..., Result]


def assert_refused(ended: Result, status: int, *words: str) -> None:
    assert ended.exit_code == status, ended.output
    assert ended.stdout == ""
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("yeban: "), ended.stderr
    assert "Traceback" not in ended.stderr
    for word in words:
        assert word in last


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("none.csv", "--labels", "a"), "none.csv"),
        ((".", "--labels", "a"), "is a directory"),
        (("in.csv",), "--labels A,B,C or with --labels-file"),
        (("in.csv", "--labels", "a", "--labels-file", "in.csv"), "--labels A,B,C or with --labels-file"),
        (("in.csv", "--labels", " ,，"), "at least one label"),
        (("in.csv", "--labels", "a,a"), "appears twice"),
        (("in.csv", "--labels", "a", "--template", "no place"), "must contain {}"),
        (("in.csv", "--labels", "a", "--threshold", "7"), "--threshold"),
        (("in.csv", "--labels", "a", "--threshold", "nan"), "threshold"),
        (("in.csv", "--labels", "a", "-o", "none/out.csv"), "folder none does not exist"),
        (("in.csv", "--labels", "a", "-o", "in.csv"), "would overwrite the input"),
        (("in.csv", "--labels", "a", "-o", "link.csv"), "would overwrite the input"),
        (("in.csv", "--labels", "a", "-o", "out.pdf"), ".csv, .xlsx or .jsonl"),
        (("in.csv", "--labels", "a", "-o", "folder.csv"), "is a directory"),
        (("in.csv", "--labels", "a", "--server", "localhost"), "http://"),
        (("in.csv", "--labels", "a", "--server", "http://"), "has no host name"),
        (("in.csv", "--labels", "a", "--server", "http://[::1"), "not a server URL"),
        (("in.csv", "--labels", "a", "--what"), "--what"),
        (("pipe", "--labels", "a"), "not an ordinary file"),
    ],
)
def test_tag_refuses(
    run: Run, table: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: str
) -> None:
    def no_stack(*_args: object, **_options: object) -> None:
        raise AssertionError("started servers for a command that cannot succeed")

    monkeypatch.setattr("yeban.cli.connection.run_stack", no_stack)
    Path("link.csv").symlink_to(table)
    Path("folder.csv").mkdir()
    os.mkfifo("pipe")

    assert_refused(run("tag", *arguments), 2, words)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "at least one label"),
        (b"# only a comment\n", "at least one label"),
        (b'["a", "b"', "starts like JSON"),
        (b"[]", "at least one label"),
        (b'{"labels": ["a"]}', "JSON array"),
        (b'["a", 7]', "Label 2"),
        (b'[{"description": "nameless"}]', "Label 1"),
        (b'["a", {"name": "b", "description": 7}]', "Label 2"),
        (b'["a", {"name": "b", "examples": "x"}]', "Label 2"),
        (b'["a", {"name": "b", "examples": ["x", 7]}]', "Label 2"),
        (b'["a", {"name": "b", "colour": "red"}]', "Label 2"),
        ("物流".encode("gb18030"), "not UTF-8"),
        (b"a\na\n", "appears twice"),
    ],
)
def test_a_bad_labels_file_is_refused(run: Run, table: Path, content: bytes, words: str) -> None:
    Path("labels").write_bytes(content)

    assert_refused(run("tag", table, "--labels-file", "labels"), 2, words)


def test_what_the_server_refuses_keeps_its_words_and_status(run: Run, table: Path, server: FakeServer) -> None:
    problem = {"detail": "There is no column “txt”; there are: text.", "code": "unknown_column"}
    server.answers["POST", "/api/v1/jobs"] = (422, problem)

    ended = run("tag", table, "--labels", "a", "--text-column", "txt", "--server", server.url)

    assert_refused(ended, 2, "There is no column “txt”; there are: text.")


def test_a_server_that_is_not_there(run: Run, table: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        assert_refused(run("tag", table, "--labels", "a", "--server", url), 5, url, "yeban up")
        assert_refused(run("job", "list", "--server", url), 5, url)


@pytest.mark.parametrize(
    "answer", [(200, b"<html>hello"), (200, {"hello": 1}), (200, b"[]"), (302, b""), (404, b"nginx"), (500, {"a": 1})]
)
@pytest.mark.parametrize(
    "command",
    [
        ("job", "list"),
        ("job", "status", JOB_ID),
        ("classify", "x", "--labels", "a"),
        ("tag", "in.csv", "--labels", "a"),
    ],
)
def test_a_server_that_is_not_yeban(
    run: Run, table: Path, server: FakeServer, command: tuple[str, ...], answer: tuple[int, object]
) -> None:
    server.answers = dict.fromkeys(
        [
            ("GET", "/api/v1/jobs"),
            ("POST", "/api/v1/jobs"),
            ("GET", f"/api/v1/jobs/{JOB_ID}"),
            ("POST", "/api/v1/classify"),
        ],
        answer,
    )

    assert_refused(run(*command, "--server", server.url), 5, server.url)


def test_a_refusal_of_a_newer_server_is_the_callers_mistake(run: Run, server: FakeServer) -> None:
    server.answers["GET", "/api/v1/jobs"] = (421, {"detail": "Another host.", "code": "misdirected_request"})

    assert_refused(run("job", "list", "--server", server.url), 2, "Another host.")


def test_bad_settings_are_named(run: Run, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YEBAN_PORT", "many")

    assert_refused(run("tag", table, "--labels", "a"), 2, "YEBAN_PORT")
    assert_refused(run("doctor"), 2, "YEBAN_PORT")
    assert_refused(run("models", "list"), 2, "YEBAN_PORT")


@pytest.mark.parametrize("command", [("tag", "in.csv", "--labels", "a"), ("up",), ("classify", "x", "--labels", "a")])
def test_a_data_directory_that_cannot_be_made(
    run: Run, table: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("YEBAN_DATA_DIR", str(table / "under a file"))

    assert_refused(run(*command), 2, "YEBAN_DATA_DIR")


def test_a_program_that_needs_servers_says_that_there_are_none(run: Run) -> None:
    assert_refused(run("worker", "--role", "bulk"), 2, "yeban up")
    assert_refused(run("web"), 2, "yeban up")
    assert_refused(run("worker", "--role", "both"), 2, "--role")


@pytest.mark.parametrize("verb", ["status", "pause", "resume", "cancel"])
def test_a_job_id_is_a_uuid(run: Run, verb: str) -> None:
    assert_refused(run("job", verb, "../../readyz"), 2, "UUID")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-o", "none/out.csv"), "folder none does not exist"),
        (("-o", "out.txt"), ".csv, .xlsx or .jsonl"),
        (("--errors", "-o", "out.xlsx"), ".csv"),
        ((), "--output"),
    ],
)
def test_download_refuses(run: Run, server: FakeServer, arguments: tuple[str, ...], words: str) -> None:
    assert_refused(run("job", "download", JOB_ID, *arguments, "--server", server.url), 2, words)


def test_a_text_must_be_there_and_be_readable(run: Run, server: FakeServer) -> None:
    command = ("--labels", "a", "--server", server.url)
    assert_refused(run("classify", " ", *command), 2, "no text")
    assert_refused(run("classify", "-", *command, input=b"\xff\xfe"), 2, "not UTF-8")
    assert_refused(run("classify", "\udcff", *command), 2, "UTF-8")
    assert server.requests == []


@pytest.mark.parametrize("debug", [True, False])
def test_a_defect_is_told_in_one_line_and_traced_on_request(
    run: Run, table: Path, monkeypatch: pytest.MonkeyPatch, debug: bool
) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise ZeroDivisionError("of\nall things")

    monkeypatch.setattr(Client, "create_job", fail)
    if debug:
        monkeypatch.setenv("YEBAN_LOG_LEVEL", "DEBUG")

    ended = run("tag", table, "--labels", "a", "--server", "http://127.0.0.1:1")

    assert ended.exit_code == 1
    assert ended.stderr.splitlines()[-1].startswith("yeban: unexpected ZeroDivisionError: of all things")
    assert ("Traceback" in ended.stderr) is debug


def test_labels_may_be_objects_in_a_file(run: Run, table: Path, server: FakeServer) -> None:
    labels = ["物流", {"name": "退款", "description": "退钱", "examples": ["钱呢"]}]
    Path("labels.json").write_text(json.dumps(labels), encoding="utf-8")

    assert run("tag", table, "--labels-file", "labels.json", "--server", server.url).exit_code == 0
    sent = [{"name": "物流", "description": "", "examples": []}, labels[1]]
    assert json.dumps(sent, ensure_ascii=False) in server.bodies[0].decode()


def test_labels_may_be_lines_of_a_file(run: Run, table: Path, server: FakeServer) -> None:
    Path("labels.txt").write_text("\ufeff物流\r\n\r\n# 说明\r\n 退款 \r\n", encoding="utf-8")

    assert run("tag", table, "--labels-file", "labels.txt", "--server", server.url).exit_code == 0
    assert [label["name"] for label in json.loads(form_field(server.bodies[0], "labels"))] == ["物流", "退款"]


def form_field(body: bytes, name: str) -> str:
    """A field of a multipart form."""
    return body.decode().partition(f'name="{name}"')[2].split("\r\n")[2]
