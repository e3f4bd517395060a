"""Download published checkpoints from ModelScope."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import httpx

from yeban.errors import EngineUnavailable, ModelUnusable, UnknownModel, msg

MODELS = {
    "structbert-base": "damo/nlp_structbert_zero-shot-classification_chinese-base",
    "structbert-large": "damo/nlp_structbert_zero-shot-classification_chinese-large",
}
"""Our names of models, and the hub's."""

FILES = (
    "README.md",
    "added_tokens.json",
    "config.json",
    "configuration.json",
    "model*.safetensors",
    "model.safetensors.index.json",
    "pytorch_model*.bin",
    "pytorch_model.bin.index.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
)
"""All that is fetched: data, and no code."""

_PROBE_TIMEOUT_S = 10.0


def fetch(name: str) -> Path:
    """Download the model ``name``, one of :data:`MODELS`, into ModelScope's own cache and return its folder.

    Cached files are not downloaded again; an interrupted download resumes.

    Raises :class:`~yeban.errors.UnknownModel` for another name, :class:`~yeban.errors.EngineUnavailable` when the
    ``modelscope`` package is not installed, and :class:`~yeban.errors.ModelUnusable` if the hub cannot be reached
    (detected within seconds) or does not serve the files.
    """
    model_id = MODELS.get(name)
    if model_id is None:
        raise UnknownModel(
            msg(
                "%(name)s cannot be downloaded from a hub. Available: %(models)s.", name=name, models=", ".join(MODELS)
            ),
            model=name,
        )
    api, download = _client(name)
    endpoint = api.HubApi().endpoint
    _reach(name, model_id, endpoint)
    try:
        folder = download.snapshot_download(model_id, allow_patterns=list(FILES))
    # The package raises errors of several libraries, which differ between its versions.
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise ModelUnusable(
            msg(
                "Cannot download %(model_id)s from %(endpoint)s: %(reason)s Try again (the part already "
                "downloaded is kept), or %(advice)s",
                model_id=model_id,
                endpoint=endpoint,
                reason=reason,
                advice=_instead(model_id),
            ),
            model=name,
        ) from error
    return Path(folder)


def _client(name: str) -> tuple[Any, Any]:
    try:
        return importlib.import_module("modelscope.hub.api"), importlib.import_module(
            "modelscope.hub.snapshot_download"
        )
    except ImportError as error:
        raise EngineUnavailable(
            msg(
                "Downloading %(name)s needs the package modelscope (%(error)s). Run: pip install 'yeban[models]'",
                name=name,
                error=error,
            )
        ) from error


def _reach(name: str, model_id: str, endpoint: str) -> None:
    """Probe the hub; the client alone would retry for minutes before it reports a failure."""
    try:
        httpx.head(endpoint, timeout=_PROBE_TIMEOUT_S)
    # The last two: an unsupported kind of proxy.
    except (httpx.HTTPError, httpx.InvalidURL, ImportError, ValueError) as error:
        raise ModelUnusable(
            msg(
                "The hub %(endpoint)s cannot be reached (%(error)s). Check the network, or %(advice)s",
                endpoint=endpoint,
                error=error,
                advice=_instead(model_id),
            ),
            model=name,
        ) from error


def _instead(model_id: str) -> str:
    return f"download {model_id} elsewhere, copy the folder here and run: yeban models build PATH"
