from __future__ import annotations

import http.server
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from worker.engine.checkpoints import hub
from yeban.errors import EngineUnavailable, ModelUnusable, UnknownModel

Install = Callable[..., list[tuple[str, dict[str, Any]]]]


@pytest.fixture
def endpoint() -> Iterator[str]:
    """A hub that answers, if only to say that there is no such page."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Install:
    """Put a stand-in for the ``modelscope`` package in place; the calls of its download are returned."""

    def install_with(endpoint: str, error: Exception | None = None) -> list[tuple[str, dict[str, Any]]]:
        calls: list[tuple[str, dict[str, Any]]] = []

        def snapshot_download(model_id: str, **options: Any) -> str:
            calls.append((model_id, options))
            if error is not None:
                raise error
            return str(tmp_path / model_id)

        parts: dict[str, dict[str, Any]] = {
            "modelscope": {},
            "modelscope.hub": {},
            "modelscope.hub.api": {"HubApi": lambda: SimpleNamespace(endpoint=endpoint)},
            "modelscope.hub.snapshot_download": {"snapshot_download": snapshot_download},
        }
        for name, members in parts.items():
            module = ModuleType(name)
            vars(module).update(members)
            monkeypatch.setitem(sys.modules, name, module)
        return calls

    return install_with


@pytest.mark.parametrize("size", ["base", "large"])
def test_a_model_is_fetched_by_the_name_it_has_on_the_hub(
    size: str, endpoint: str, install: Install, tmp_path: Path
) -> None:
    calls = install(endpoint)

    folder = hub.fetch(f"structbert-{size}")

    model_id = f"damo/nlp_structbert_zero-shot-classification_chinese-{size}"
    assert folder == tmp_path / model_id
    assert [called for called, _ in calls] == [model_id]


def test_data_is_asked_for_and_no_code(endpoint: str, install: Install) -> None:
    calls = install(endpoint)
    hub.fetch("structbert-base")
    patterns = [Path(pattern) for pattern in calls[0][1]["allow_patterns"]]

    def asked_for(name: str) -> bool:
        return any(Path(name).match(str(pattern)) for pattern in patterns)

    wanted = ("config.json", "configuration.json", "vocab.txt", "pytorch_model.bin", "model.safetensors", "README.md")
    assert all(map(asked_for, wanted))
    assert not any(map(asked_for, ("modeling_bert.py", "run.sh", "resources/a.png", "model.onnx", "tf_model.h5")))


def test_a_name_that_is_on_no_hub_is_unknown() -> None:
    with pytest.raises(UnknownModel, match="structbert-base, structbert-large"):
        hub.fetch("structbert-huge")


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "modelscope", None)

    with pytest.raises(EngineUnavailable, match=r"pip install 'yeban\[models\]'"):
        hub.fetch("structbert-base")


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9", "http://no-such-host.invalid", "http://[broken"])
def test_a_hub_that_cannot_be_reached_is_named_and_not_asked_for_files(endpoint: str, install: Install) -> None:
    calls = install(endpoint)

    with pytest.raises(ModelUnusable, match=r"hub .* cannot be reached.*yeban models build PATH") as caught:
        hub.fetch("structbert-large")

    assert endpoint in caught.value.detail
    assert calls == []


def test_a_download_that_fails_says_why_and_what_else_to_do(endpoint: str, install: Install) -> None:
    install(endpoint, OSError("No space left on device"))

    with pytest.raises(ModelUnusable, match=r"No space left on device.*Try again.*yeban models build PATH") as caught:
        hub.fetch("structbert-base")

    assert endpoint in caught.value.detail
