"""Read a BERT cross-encoder from a folder as ModelScope or Hugging Face publish it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worker.engine.checkpoints.bert_config import CONFIG_FILE, BertConfig, bert_config, read_config
from worker.engine.checkpoints.weight_files import StoredTensor, open_weights
from worker.engine.tokenisers import pairs, wordpiece
from yeban.errors import ModelUnusable, msg

__all__ = ["BertConfig", "Checkpoint", "read_checkpoint"]

_WORDS = "embeddings.word_embeddings.weight"
_CLASSIFIER = "classifier.weight"
_OUTER = {
    "emb.word": _WORDS,
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
    "pooler.w": "pooler.dense.weight",
    "pooler.b": "pooler.dense.bias",
}
_LAYER = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
_OLD_NAMES = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
_MOST_UNNAMED = 127
"""Rows of the word embeddings without a token that pass for padding to a round number."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A validated folder: every weight is present, of the right shape, and finite.

    ``weights`` reads one tensor at a time, as float32, matrices ``(out, in)``: ``emb.word`` ``(vocab, hidden)``,
    ``emb.pos``, ``emb.type``, ``emb.ln.w``/``.b``; for layer ``i`` ``l{i}.q``, ``.k``, ``.v``, ``.ao`` (attention
    output), ``.aln`` (its layer norm), ``.fi`` (intermediate), ``.fo`` (output), ``.oln``, each with ``.w`` and
    ``.b``; ``pooler.w``/``.b``; ``cls.w`` ``(classes, hidden)`` and ``cls.b``. Release each tensor after use.
    """

    config: BertConfig
    weights: Mapping[str, NDArray[np.float32]]
    weight_files: tuple[Path, ...]
    tokeniser_files: tuple[Path, ...]
    model_id: str | None
    licence: str | None


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read the model in ``folder`` and check all of it (one pass over the weights).

    Raises :class:`~yeban.errors.ModelUnusable` which names the file at fault and the remedy, and
    :class:`~yeban.errors.EngineUnavailable` when the weights are a pickle and PyTorch is not installed.
    """
    document = read_config(folder)
    stored = _named(folder, open_weights(folder), document)
    config = bert_config(folder / CONFIG_FILE, document, classes=_classes(stored["cls.w"]))
    _check_shapes(config, stored)
    _check_vocabulary(folder, config)
    weights = _Weights(stored)
    for name, tensor in weights.items():
        # A NaN propagates to both minimum and maximum.
        if not (np.isfinite(tensor.min()) and np.isfinite(tensor.max())):
            raise ModelUnusable(
                msg(
                    "%(file)s contains numbers that are not finite, in %(name)s. Download it again.",
                    file=stored[name].file,
                    name=name,
                )
            )
    return Checkpoint(
        config=config,
        weights=weights,
        weight_files=tuple(sorted({tensor.file for tensor in stored.values()})),
        tokeniser_files=tuple(folder / name for name in wordpiece.FILES if (folder / name).is_file()),
        model_id=_model_id(document),
        licence=_licence(folder),
    )


class _Weights(Mapping[str, NDArray[np.float32]]):
    def __init__(self, stored: Mapping[str, StoredTensor]) -> None:
        self._stored = stored

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        return self._stored[name].load()

    def __iter__(self) -> Iterator[str]:
        return iter(self._stored)

    def __len__(self) -> int:
        return len(self._stored)


def _named(
    folder: Path, tensors: Mapping[str, StoredTensor], document: Mapping[str, Any]
) -> Mapping[str, StoredTensor]:
    """The tensors under the names of :class:`Checkpoint`; tensors that a classifier does not use are left out."""
    prefix = _encoder_prefix(folder, tensors, document)
    head = _one_prefix(folder, tensors, _CLASSIFIER, "a classifier: it is not a classification model")
    layers = document["num_hidden_layers"]
    layer_keys = re.compile(re.escape(prefix) + r"encoder\.layer\.(\d+)\.")
    found = {int(match[1]) for key in tensors if (match := layer_keys.match(key))}
    if found and max(found) + 1 != layers:
        raise ModelUnusable(
            msg(
                "%(folder)s has weights for %(layers)s layers, but %(config_file)s says %(expected)s.",
                folder=folder,
                layers=max(found) + 1,
                config_file=CONFIG_FILE,
                expected=layers,
            )
        )
    wanted = {name: prefix + source for name, source in _OUTER.items()}
    for layer in sorted(found):
        for short, source in _LAYER.items():
            wanted[f"l{layer}.{short}.w"] = f"{prefix}encoder.layer.{layer}.{source}.weight"
            wanted[f"l{layer}.{short}.b"] = f"{prefix}encoder.layer.{layer}.{source}.bias"
    wanted |= {"cls.w": f"{head}classifier.weight", "cls.b": f"{head}classifier.bias"}
    stored = {name: tensors[_present(folder, tensors, key)] for name, key in wanted.items()}
    if not found:
        raise ModelUnusable(
            msg(
                "%(folder)s has no layers: no weight is named %(prefix)sencoder.layer.0.*.",
                folder=folder,
                prefix=prefix,
            )
        )
    return stored


def _present(folder: Path, tensors: Mapping[str, StoredTensor], key: str) -> str:
    if key in tensors:
        return key
    for new, old in _OLD_NAMES.items():
        if key.endswith(new) and (older := key.removesuffix(new) + old) in tensors:
            return older
    raise ModelUnusable(
        msg(
            "%(folder)s lacks the weight %(key)s. It is incomplete, or not a classifier of the BERT family.",
            folder=folder,
            key=key,
        )
    )


def _encoder_prefix(folder: Path, tensors: Mapping[str, StoredTensor], document: Mapping[str, Any]) -> str:
    """Prefix of the encoder's tensor names: ``bert.``, the one in the config, or none."""
    named = document.get("base_model_prefix")
    if isinstance(named, str) and f"{named}.{_WORDS}" in tensors:
        return f"{named}."
    return _one_prefix(folder, tensors, _WORDS, "a BERT encoder")


def _one_prefix(folder: Path, tensors: Mapping[str, StoredTensor], name: str, what: str) -> str:
    prefixes = [key.removesuffix(name) for key in tensors if key == name or key.endswith(f".{name}")]
    if not prefixes:
        raise ModelUnusable(
            msg(
                "The weights in %(folder)s do not include %(what)s (no weight is named %(name)s).",
                folder=folder,
                what=what,
                name=name,
            )
        )
    if len(prefixes) > 1:
        keys = ", ".join(sorted(prefix + name for prefix in prefixes))
        raise ModelUnusable(
            msg("The weights in %(folder)s contain more than one model: %(keys)s.", folder=folder, keys=keys)
        )
    return prefixes[0]


def _classes(head: StoredTensor) -> int:
    return head.shape[0] if head.shape else 0


def _check_shapes(config: BertConfig, stored: Mapping[str, StoredTensor]) -> None:
    hidden, inner = config.hidden, config.intermediate
    shapes: dict[str, tuple[int, ...]] = {
        "emb.word": (config.vocab, hidden),
        "emb.pos": (config.positions, hidden),
        "emb.type": (config.types, hidden),
        "cls.w": (config.classes, hidden),
        "cls.b": (config.classes,),
        "fi.w": (inner, hidden),
        "fi.b": (inner,),
        "fo.w": (hidden, inner),
    }
    square = ("q.w", "k.w", "v.w", "ao.w", "pooler.w")
    for name, tensor in stored.items():
        short = re.sub(r"^l\d+\.", "", name)
        expected = shapes.get(short, (hidden, hidden) if short in square else (hidden,))
        if tensor.shape != expected:
            raise ModelUnusable(
                msg(
                    "%(file)s has %(name)s with the shape %(shape)s, but %(config_file)s implies "
                    "%(expected)s. The two files do not belong together.",
                    file=tensor.file,
                    name=name,
                    shape=list(tensor.shape),
                    config_file=CONFIG_FILE,
                    expected=list(expected),
                )
            )


def _check_vocabulary(folder: Path, config: BertConfig) -> None:
    size = pairs.vocabulary_size(folder)
    if not config.vocab - _MOST_UNNAMED <= size <= config.vocab:
        raise ModelUnusable(
            msg(
                "The vocabulary in %(folder)s has %(size)s tokens, but the model needs %(vocab)s. The files "
                "do not belong together, or one of them is incomplete. Download them again.",
                folder=folder,
                size=size,
                vocab=config.vocab,
            )
        )


def _model_id(document: Mapping[str, Any]) -> str | None:
    name = document.get("_name_or_path")
    return name if isinstance(name, str) and re.fullmatch(r"[\w.-]+/[\w.-]+", name) else None


def _licence(folder: Path) -> str | None:
    """The licence that the front matter of README.md names."""
    try:
        text = (folder / "README.md").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    front = re.match(r"---\n(.*?)\n---", text, re.DOTALL)
    line = front and re.search(r"^license:[ \t]*\n?[ \t-]*(\S.*)$", front[1], re.MULTILINE)
    return line[1].strip().strip("\"'") if line else None
