"""``config.json`` of a BERT cross-encoder: sizes, and the meaning of its classes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yeban.errors import ModelUnusable, msg

CONFIG_FILE = "config.json"
MODELSCOPE_FILE = "configuration.json"
MODEL_TYPES = ("structbert", "bert")

_DEFAULTS: dict[str, Any] = {
    "model_type": None,
    "is_decoder": False,
    "add_cross_attention": False,
    "vocab_size": 30522,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "hidden_act": "gelu",
    "position_embedding_type": "absolute",
}
"""What both libraries take where config.json is silent."""

_SUPPORTED = {
    "model_type": MODEL_TYPES,
    "hidden_act": ("gelu",),
    "position_embedding_type": ("absolute",),
    "is_decoder": (False,),
    "add_cross_attention": (False,),
}


@dataclass(frozen=True, kw_only=True)
class BertConfig:
    """Sizes of a BERT classifier, and the meaning of its classes."""

    model_type: str
    layers: int
    hidden: int
    heads: int
    intermediate: int
    positions: int
    types: int
    vocab: int
    epsilon: float
    activation: str
    classes: int
    entailment: int
    contradiction: int


def read_config(folder: Path) -> dict[str, Any]:
    """Read ``config.json`` in ``folder``, with both libraries' defaults for missing keys.

    Raises :class:`~yeban.errors.ModelUnusable` if it is missing or describes another kind of model.
    """
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise ModelUnusable(
            msg(
                "%(folder)s is not a model folder: it has no %(config_file)s. Give the folder with the "
                "model's %(config_file)s, weights and vocabulary.",
                folder=folder,
                config_file=CONFIG_FILE,
            )
        )
    document = _DEFAULTS | _read_object(path)
    # ModelScope prefers its own file if it exists.
    document["model_type"] = _modelscope_type(folder / MODELSCOPE_FILE) or document["model_type"]
    for key, values in _SUPPORTED.items():
        if document[key] not in values:
            raise ModelUnusable(
                msg(
                    "%(path)s has %(key)s %(value)s; supported: %(allowed)s.",
                    path=path,
                    key=key,
                    value=json.dumps(document[key]),
                    allowed=", ".join(map(json.dumps, values)),
                )
            )
    return document


def _read_object(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelUnusable(
            msg("%(path)s cannot be read (%(error)s). Download it again.", path=path, error=error)
        ) from error
    if not isinstance(document, dict):
        raise ModelUnusable(msg("%(path)s is not a JSON object. Download it again.", path=path))
    return document


def _modelscope_type(path: Path) -> str | None:
    model = _read_object(path).get("model") if path.is_file() else None
    if not isinstance(model, Mapping):
        return None
    kind = model.get("type", model.get("model_type"))
    return kind if kind in MODEL_TYPES else None


def bert_config(path: Path, document: Mapping[str, Any], *, classes: int) -> BertConfig:
    """The config in ``document``, as :func:`read_config` gave it; ``path`` is the file, for errors.

    Raises :class:`~yeban.errors.ModelUnusable` if it is malformed or does not name the ``classes`` for entailment
    and contradiction.
    """

    def number(key: str) -> int:
        value = document[key]
        if type(value) is not int or value < 1:
            raise ModelUnusable(
                msg(
                    "%(path)s has %(key)s %(value)s, which is not a valid count. Download it again.",
                    path=path,
                    key=key,
                    value=json.dumps(value),
                )
            )
        return value

    hidden, heads, types = number("hidden_size"), number("num_attention_heads"), number("type_vocab_size")
    if hidden % heads:
        raise ModelUnusable(
            msg(
                "%(path)s has hidden_size %(hidden)s, which is not a multiple of its %(heads)s attention heads.",
                path=path,
                hidden=hidden,
                heads=heads,
            )
        )
    if types < 2:
        raise ModelUnusable(
            msg(
                "%(path)s has type_vocab_size %(types)s, but a model for text pairs needs two token types.",
                path=path,
                types=types,
            )
        )
    epsilon = document["layer_norm_eps"]
    if not isinstance(epsilon, int | float) or not 0 < epsilon < 1:
        raise ModelUnusable(
            msg(
                "%(path)s has the invalid layer_norm_eps %(epsilon)s. Download it again.",
                path=path,
                epsilon=json.dumps(epsilon),
            )
        )
    entailment, contradiction = _meanings(path, document, classes)
    return BertConfig(
        model_type=document["model_type"],
        layers=number("num_hidden_layers"),
        hidden=hidden,
        heads=heads,
        intermediate=number("intermediate_size"),
        positions=number("max_position_embeddings"),
        types=types,
        vocab=number("vocab_size"),
        epsilon=float(epsilon),
        activation=document["hidden_act"],
        classes=classes,
        entailment=entailment,
        contradiction=contradiction,
    )


def _meanings(path: Path, document: Mapping[str, Any], classes: int) -> tuple[int, int]:
    """The classes that mean entailment and contradiction."""
    if document["model_type"] == "structbert":
        # ModelScope's zero-shot pipeline fixes them and ignores the config.
        if classes != 3:
            raise ModelUnusable(
                msg(
                    "%(parent)s has a classifier with %(classes)s classes; a StructBERT for zero-shot "
                    "classification has 3 (entailment, neutral, contradiction).",
                    parent=path.parent,
                    classes=classes,
                )
            )
        return 0, 2
    names = _class_names(path, document)
    entailment = [at for at, name in names.items() if name.startswith("entail")]
    contradiction = [at for at, name in names.items() if name.startswith("contradict")]
    if classes == 2 and not contradiction:
        contradiction = [at for at, name in names.items() if re.match(r"(not|non)[\W_]*entail", name)]
    if len(entailment) != 1 or len(contradiction) != 1 or max(entailment + contradiction) >= classes:
        raise ModelUnusable(
            msg(
                "%(path)s does not say which of the %(classes)s classes mean entailment and contradiction. "
                "Its classes are named %(names)s. If this is a natural language inference model, name them "
                "in id2label.",
                path=path,
                classes=classes,
                names=", ".join(map(repr, names.values())) or "nothing",
            )
        )
    return entailment[0], contradiction[0]


def _class_names(path: Path, document: Mapping[str, Any]) -> dict[int, str]:
    try:
        if document.get("id2label"):
            names = {int(at): str(name) for at, name in document["id2label"].items()}
        else:
            names = {int(at): str(name) for name, at in (document.get("label2id") or {}).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise ModelUnusable(
            msg("%(path)s has a malformed id2label or label2id (%(error)s).", path=path, error=error)
        ) from error
    return {at: name.strip().lower() for at, name in sorted(names.items())}
