"""BERT cross-encoders in torch, over the weights that an ONNX graph of ours holds.

After Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding" (2019); the
same arithmetic as :mod:`worker.engine.graphs`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import numpy_helper
from torch.nn import functional

from yeban.errors import ModelUnusable, msg

METADATA_KEY = "yeban.bert"
"""Where a graph says what its weights' shapes do not tell, as JSON."""


@dataclass(frozen=True, kw_only=True)
class BertShape:
    """The geometry of the network; ``classes`` is the number of logits."""

    layers: int
    hidden: int
    heads: int
    epsilon: float
    classes: int


@dataclass(frozen=True, kw_only=True)
class _Layer:
    """One encoder layer. Matrices are (in, out), as the graph has them; query, key and value stand side by side."""

    qkv: tuple[torch.Tensor, torch.Tensor]
    attention: tuple[torch.Tensor, torch.Tensor]
    attention_norm: tuple[torch.Tensor, torch.Tensor]
    wide: tuple[torch.Tensor, torch.Tensor]
    narrow: tuple[torch.Tensor, torch.Tensor]
    output_norm: tuple[torch.Tensor, torch.Tensor]


class Bert:
    """The network in one precision on one device. It keeps no state between calls."""

    def __init__(
        self, shape: BertShape, weights: Mapping[str, torch.Tensor], *, device: torch.device, dtype: torch.dtype
    ) -> None:
        def both(name: str) -> tuple[torch.Tensor, torch.Tensor]:
            weight, bias = (weights[f"{name}.{end}"].to(device=device, dtype=dtype) for end in "wb")
            return weight, bias

        def beside(*names: str) -> tuple[torch.Tensor, torch.Tensor]:
            pairs = [both(name) for name in names]
            return torch.cat([weight for weight, _ in pairs], dim=1), torch.cat([bias for _, bias in pairs])

        self.shape = shape
        self._words, self._positions, self._types = (
            weights[f"emb.{name}"].to(device=device, dtype=dtype) for name in ("word", "pos", "type")
        )
        self.max_tokens = len(self._positions)
        self._norm = both("emb.ln")
        self._layers = [
            _Layer(
                qkv=beside(f"l{at}.q", f"l{at}.k", f"l{at}.v"),
                attention=both(f"l{at}.ao"),
                attention_norm=both(f"l{at}.aln"),
                wide=both(f"l{at}.fi"),
                narrow=both(f"l{at}.fo"),
                output_norm=both(f"l{at}.oln"),
            )
            for at in range(shape.layers)
        ]
        self._pooler, self._classifier = both("pooler"), both("cls")

    def __call__(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor
    ) -> torch.Tensor:
        """``(batch, classes)`` float32 logits of ``(batch, tokens)`` int64 rows; each row attends to something."""
        tokens = input_ids.shape[1]
        hidden = self._words[input_ids] + self._positions[:tokens] + self._types[token_type_ids]
        hidden = self._normalise(hidden, self._norm)
        mask = attention_mask[:, None, None, :] != 0
        for layer in self._layers[:-1]:
            hidden = self._layer(layer, hidden, mask, first_only=False)
        # The pooler reads the first token of the last layer, so nothing else of it is computed.
        first = self._layer(self._layers[-1], hidden, mask, first_only=True)[:, 0]
        pooled = torch.tanh(_linear(first, self._pooler))
        return _linear(pooled, self._classifier).float()

    def _layer(self, layer: _Layer, hidden: torch.Tensor, mask: torch.Tensor, *, first_only: bool) -> torch.Tensor:
        asking = hidden[:, :1] if first_only else hidden
        if first_only:
            width = self.shape.hidden
            weight, bias = layer.qkv
            query = _linear(asking, (weight[:, :width], bias[:width]))
            key, value = _linear(hidden, (weight[:, width:], bias[width:])).chunk(2, dim=-1)
        else:
            query, key, value = _linear(hidden, layer.qkv).chunk(3, dim=-1)
        context = functional.scaled_dot_product_attention(
            self._split(query), self._split(key), self._split(value), attn_mask=mask
        )
        joined = context.transpose(1, 2).flatten(2)
        attended = self._normalise(asking + _linear(joined, layer.attention), layer.attention_norm)
        wide = functional.gelu(_linear(attended, layer.wide))
        return self._normalise(attended + _linear(wide, layer.narrow), layer.output_norm)

    def _split(self, states: torch.Tensor) -> torch.Tensor:
        """``(batch, tokens, hidden)`` to ``(batch, heads, tokens, hidden / heads)``."""
        return states.unflatten(2, (self.shape.heads, -1)).transpose(1, 2)

    def _normalise(self, states: torch.Tensor, weights: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return functional.layer_norm(states, (self.shape.hidden,), *weights, self.shape.epsilon)


def read_bert(path: Path, *, device: torch.device, dtype: torch.dtype) -> Bert:
    """Take the network out of the ONNX graph at ``path``: its constants by their names, its geometry by its metadata.

    Raises :class:`~yeban.errors.ModelUnusable` if the file is not a graph of a BERT cross-encoder.
    """
    try:
        model = onnx.load(path)
        facts: dict[str, Any] = json.loads({each.key: each.value for each in model.metadata_props}[METADATA_KEY])
        shape = BertShape(
            layers=int(facts["layers"]),
            hidden=int(facts["hidden"]),
            heads=int(facts["heads"]),
            epsilon=float(facts["epsilon"]),
            classes=int(facts["classes"]),
        )
        # Copied, since the arrays share the model's read-only memory.
        weights = {each.name: torch.from_numpy(numpy_helper.to_array(each).copy()) for each in model.graph.initializer}
        if "emb.pos" not in weights:
            weights["emb.pos"] = weights["positions"]
        return Bert(shape, weights, device=device, dtype=dtype)
    except KeyError as error:
        raise ModelUnusable(
            msg(
                "torch cannot run %(path)s: it has no %(error)s. The torch session runs only BERT cross-encoders.",
                path=path.name,
                error=error,
            )
        ) from error
    except torch.cuda.OutOfMemoryError as error:
        raise ModelUnusable(
            msg("The GPU does not have enough memory for %(path)s: %(error)s", path=path.name, error=error)
        ) from error
    except Exception as error:  # onnx and protobuf raise arbitrary errors
        raise ModelUnusable(msg("torch cannot load %(path)s: %(error)s", path=path.name, error=error)) from error


def _linear(states: torch.Tensor, weights: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    weight, bias = weights
    return torch.matmul(states, weight) + bias
