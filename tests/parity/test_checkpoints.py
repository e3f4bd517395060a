"""The forms in which a checkpoint may come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.fixtures.structbert import State, default_vocab
from tests.parity.conftest import Sides

TEXTS = ["世界那么大，我想去看看", "手机屏幕碎了怎么办？iPhone APP", ""]
LABELS = "家居,旅游,科技,APP"


def _halved(state: State) -> State:
    return {name: value.astype(np.float16) for name, value in state.items()}


def _old_names(state: State) -> State:
    """The names of layer norms in checkpoints that came from TensorFlow."""
    return {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value
        for name, value in state.items()
    }


def _more_rows(state: State) -> State:
    """Embeddings padded to more rows than there are tokens."""
    name = "bert.embeddings.word_embeddings.weight"
    return {**state, name: np.concatenate([state[name], np.ones((9, 64), np.float32)])}


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"form": "safetensors"}, id="safetensors"),
        pytest.param({"form": "bin"}, id="bin"),
        pytest.param({"form": "bin", "extras": True}, id="bin with extra weights"),
        pytest.param({"extras": True}, id="safetensors with extra weights"),
        pytest.param({"prefix": "encoder."}, id="another prefix"),
        pytest.param({"prefix": "encoder.", "form": "bin", "extras": True}, id="another prefix, bin, extra weights"),
        pytest.param({"edit": _halved, "form": "bin"}, id="float16, bin"),
        pytest.param({"edit": _old_names}, id="gamma and beta"),
        pytest.param({"edit": _more_rows, "config": {"vocab_size": len(default_vocab()) + 9}}, id="padded vocabulary"),
        pytest.param({"layers": 1, "hidden": 32, "heads": 2, "intermediate": 64}, id="one layer"),
        pytest.param({"layers": 3, "hidden": 96, "heads": 3, "intermediate": 96}, id="hidden 96, heads of 32"),
        pytest.param({"layers": 6, "hidden": 64, "heads": 1, "intermediate": 256}, id="six layers, a head of 64"),
        pytest.param({"config": {"layer_norm_eps": 1e-3}}, id="another epsilon"),
        pytest.param({"config": {"model_type": "bert"}}, id="named bert"),
        pytest.param(
            {"config": {"label2id": {"contradiction": 0, "neutral": 1, "entailment": 2}}}, id="other names of classes"
        ),
        pytest.param({"tokenizer": {"do_lower_case": False}}, id="cased"),
        pytest.param({"tokenizer": {"do_lower_case": True, "use_fast": True}}, id="fast tokeniser"),
        pytest.param({"vocab": default_vocab()[::-1]}, id="vocabulary in another order"),
    ],
)
def test_forms(make_sides: Callable[..., Sides], options: dict[str, Any]) -> None:
    sides = make_sides(**options)

    single = sides.agree(TEXTS, LABELS, template="关于{}的")
    sides.agree(TEXTS, LABELS, template="关于{}的", multi_label=True)

    assert len({ranking["scores"][0] for ranking in single}) == len(TEXTS)


def test_capitals_count_in_a_cased_checkpoint(make_sides: Callable[..., Sides]) -> None:
    sides = make_sides(tokenizer={"do_lower_case": False})

    [capitals, small] = sides.agree(["ABC Él É", "abc el e"], LABELS)

    assert capitals != small


@pytest.mark.parametrize("seed", range(1, 3))
def test_other_weights(make_sides: Callable[..., Sides], seed: int) -> None:
    sides = make_sides(seed=seed)

    sides.agree(TEXTS, LABELS)
    sides.agree(TEXTS, LABELS, multi_label=True)
