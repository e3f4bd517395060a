from __future__ import annotations

import json
import pickle
import struct
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from worker.engine.checkpoints.checkpoint import read_checkpoint
from yeban.errors import EngineUnavailable, ModelUnusable

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "退", "货", "a", "##b", "c", "d"]
CONFIG: dict[str, Any] = {
    "model_type": "structbert",
    "vocab_size": len(VOCABULARY),
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "max_position_embeddings": 16,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "hidden_act": "gelu",
}
NLI_NAMES = {"0": "CONTRADICTION", "1": "neutral", "2": "Entailment"}
DTYPES = {"float32": "F32", "float16": "F16", "float64": "F64", "int64": "I64", "uint16": "BF16"}

Tensors = dict[str, NDArray[Any]]
Write = Callable[..., Path]


def make_tensors(prefix: str = "bert.", *, classes: int = 3) -> Tensors:
    """A small model under the names that both libraries save."""
    rng = np.random.default_rng(7)
    hidden, inner = CONFIG["hidden_size"], CONFIG["intermediate_size"]
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (CONFIG["vocab_size"], hidden),
        "embeddings.position_embeddings.weight": (CONFIG["max_position_embeddings"], hidden),
        "embeddings.token_type_embeddings.weight": (2, hidden),
        "embeddings.LayerNorm.weight": (hidden,),
        "embeddings.LayerNorm.bias": (hidden,),
        "pooler.dense.weight": (hidden, hidden),
        "pooler.dense.bias": (hidden,),
    }
    for layer in range(CONFIG["num_hidden_layers"]):
        at = f"encoder.layer.{layer}"
        for name in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            shapes |= {f"{at}.{name}.weight": (hidden, hidden), f"{at}.{name}.bias": (hidden,)}
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes |= {f"{at}.{name}.weight": (hidden,), f"{at}.{name}.bias": (hidden,)}
        shapes |= {f"{at}.intermediate.dense.weight": (inner, hidden), f"{at}.intermediate.dense.bias": (inner,)}
        shapes |= {f"{at}.output.dense.weight": (hidden, inner), f"{at}.output.dense.bias": (hidden,)}
    named = {prefix + name: shape for name, shape in shapes.items()}
    named |= {"classifier.weight": (classes, hidden), "classifier.bias": (classes,)}
    return {name: rng.standard_normal(shape, np.float32) for name, shape in named.items()}


def safetensors(tensors: Mapping[str, NDArray[Any]], *, align: int = 8) -> bytes:
    """The bytes of a file; the data starts at a multiple of ``align``, plus 2 if that is 2."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, tensor in tensors.items():
        start = len(data)
        data += tensor.tobytes()
        header[name] = {
            "dtype": DTYPES[tensor.dtype.name],
            "shape": list(tensor.shape),
            "data_offsets": [start, len(data)],
        }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8 + (2 if align == 2 else 0))
    return struct.pack("<Q", len(text)) + text + data


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a model folder; ``config`` changes or (with None) drops keys of the usual one."""

    def write_folder(tensors: Tensors | None = None, config: Mapping[str, Any] | None = None) -> Path:
        merged = {key: value for key, value in (CONFIG | dict(config or {})).items() if value is not None}
        (tmp_path / "config.json").write_text(json.dumps(merged))
        (tmp_path / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
        (tmp_path / "model.safetensors").write_bytes(safetensors(tensors or make_tensors()))
        return tmp_path

    return write_folder


def as_pickle(torch: Any, folder: Path, tensors: Tensors, **options: Any) -> Path:
    """Swap the weights of ``folder`` for a pickle."""
    (folder / "model.safetensors").unlink()
    state = {name: torch.from_numpy(tensor.copy()) for name, tensor in tensors.items()}
    torch.save(state, folder / "pytorch_model.bin", **options)
    return folder


def assert_same(folder: Path, tensors: Tensors) -> None:
    weights = read_checkpoint(folder).weights
    for name, source in {
        "emb.word": "bert.embeddings.word_embeddings.weight",
        "emb.ln.b": "bert.embeddings.LayerNorm.bias",
        "l1.fo.w": "bert.encoder.layer.1.output.dense.weight",
        "cls.w": "classifier.weight",
    }.items():
        assert weights[name].dtype == np.float32
        np.testing.assert_array_equal(weights[name], tensors[source].astype(np.float32))


def test_every_weight_has_its_canonical_name(write: Write) -> None:
    tensors = make_tensors()
    checkpoint = read_checkpoint(write(tensors))
    short = ("q", "k", "v", "ao", "aln", "fi", "fo", "oln")

    assert set(checkpoint.weights) == {
        *("emb.word", "emb.pos", "emb.type", "emb.ln.w", "emb.ln.b", "pooler.w", "pooler.b", "cls.w", "cls.b"),
        *(f"l{layer}.{name}.{part}" for layer in (0, 1) for name in short for part in "wb"),
    }
    layer = "bert.encoder.layer.1."
    for name, source in {
        "emb.pos": "bert.embeddings.position_embeddings.weight",
        "emb.type": "bert.embeddings.token_type_embeddings.weight",
        "l1.q.w": f"{layer}attention.self.query.weight",
        "l1.k.w": f"{layer}attention.self.key.weight",
        "l1.v.b": f"{layer}attention.self.value.bias",
        "l1.ao.w": f"{layer}attention.output.dense.weight",
        "l1.aln.w": f"{layer}attention.output.LayerNorm.weight",
        "l1.fi.w": f"{layer}intermediate.dense.weight",
        "l1.fo.b": f"{layer}output.dense.bias",
        "l1.oln.b": f"{layer}output.LayerNorm.bias",
        "pooler.w": "bert.pooler.dense.weight",
        "cls.b": "classifier.bias",
    }.items():
        np.testing.assert_array_equal(checkpoint.weights[name], tensors[source])


def test_the_config_is_read(write: Write) -> None:
    config = read_checkpoint(write()).config

    assert (config.layers, config.hidden, config.heads, config.intermediate) == (2, 8, 2, 12)
    assert (config.positions, config.types, config.vocab, config.epsilon) == (16, 2, 11, 1e-12)
    assert (config.model_type, config.activation) == ("structbert", "gelu")
    assert (config.classes, config.entailment, config.contradiction) == (3, 0, 2)


def test_the_files_and_where_they_come_from(write: Write) -> None:
    folder = write(config={"_name_or_path": "damo/some_model"})
    (folder / "tokenizer_config.json").write_text("{}")
    (folder / "README.md").write_text("---\ntasks:\n- nli\nlicense: Apache License 2.0\n---\n# A model\n")
    checkpoint = read_checkpoint(folder)

    assert [path.name for path in checkpoint.weight_files] == ["model.safetensors"]
    assert [path.name for path in checkpoint.tokeniser_files] == ["vocab.txt", "tokenizer_config.json"]
    assert (checkpoint.model_id, checkpoint.licence) == ("damo/some_model", "Apache License 2.0")


def test_a_folder_that_does_not_say_where_it_comes_from(write: Write) -> None:
    checkpoint = read_checkpoint(write(config={"_name_or_path": "/home/someone/checkpoint"}))

    assert (checkpoint.model_id, checkpoint.licence) == (None, None)


@pytest.mark.parametrize("prefix", ["", "bert.", "encoder.", "module.bert.", "a.b.c."])
def test_any_prefix_is_found(prefix: str, write: Write) -> None:
    tensors = make_tensors(prefix)

    np.testing.assert_array_equal(
        read_checkpoint(write(tensors)).weights["l0.q.w"],
        tensors[f"{prefix}encoder.layer.0.attention.self.query.weight"],
    )


def test_the_classifier_may_have_a_prefix_too(write: Write) -> None:
    tensors = {f"module.{name}": tensor for name, tensor in make_tensors().items()}

    np.testing.assert_array_equal(read_checkpoint(write(tensors)).weights["cls.w"], tensors["module.classifier.weight"])


def test_of_two_encoders_the_one_that_the_config_names_is_read(write: Write) -> None:
    teacher = {f"teacher.{name}": tensor + 1 for name, tensor in make_tensors("").items() if "classifier" not in name}
    tensors = make_tensors("student.") | teacher

    with pytest.raises(ModelUnusable, match=r"more than one model: student\.embeddings.*, teacher\.embeddings"):
        read_checkpoint(write(tensors))
    weights = read_checkpoint(write(tensors, {"base_model_prefix": "student"})).weights
    np.testing.assert_array_equal(weights["pooler.b"], tensors["student.pooler.dense.bias"])


def test_old_names_of_layer_norms_are_known(write: Write) -> None:
    tensors = make_tensors()
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
        for name, tensor in tensors.items()
    }

    assert_same(write(old), tensors)


def test_what_a_classifier_has_no_use_for_is_left_out(write: Write) -> None:
    extra = {
        "bert.embeddings.position_ids": np.arange(16)[None],
        "cls.predictions.bias": np.zeros(11, np.float32),
        "cls.predictions.transform.LayerNorm.weight": np.full(8, np.nan, np.float32),
    }
    tensors = make_tensors()

    assert set(read_checkpoint(write(tensors | extra)).weights) == set(read_checkpoint(write(tensors)).weights)


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_other_floats_become_float32(dtype: str, write: Write) -> None:
    tensors = {name: tensor.astype(dtype) for name, tensor in make_tensors().items()}

    assert_same(write(tensors), tensors)


def test_bfloat16_becomes_float32(write: Write) -> None:
    upper = {name: (tensor.view(np.uint32) >> 16).astype(np.uint16) for name, tensor in make_tensors().items()}
    exact = {name: (tensor.astype(np.uint32) << 16).view(np.float32) for name, tensor in upper.items()}

    assert_same(write(upper), exact)


def test_data_off_its_natural_addresses_is_read(write: Write) -> None:
    tensors = make_tensors()
    folder = write(tensors)
    (folder / "model.safetensors").write_bytes(safetensors(tensors, align=2))

    assert_same(folder, tensors)
    assert all(tensor.flags.aligned for tensor in read_checkpoint(folder).weights.values())


def test_shards_are_read_together(write: Write) -> None:
    tensors = make_tensors()
    folder = write(tensors)
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    for at in range(2):
        (folder / f"model-{at}.safetensors").write_bytes(safetensors({name: tensors[name] for name in names[at::2]}))
    weight_map = {name: f"model-{at % 2}.safetensors" for at, name in enumerate(names)}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))

    assert_same(folder, tensors)
    assert [path.name for path in read_checkpoint(folder).weight_files] == [
        "model-0.safetensors",
        "model-1.safetensors",
    ]
    (folder / "model-1.safetensors").unlink()
    with pytest.raises(ModelUnusable, match=r"model-1\.safetensors is missing, but model\.safetensors\.index\.json"):
        read_checkpoint(folder)


@pytest.mark.parametrize(
    ("index", "said"),
    [
        ("{", "cannot be read as an index"),
        ('{"weight_map": 3}', "cannot be read as an index"),
        ('{"weight_map": {"a": "../model.safetensors"}}', "outside its folder"),
    ],
)
def test_a_bad_index_is_refused(index: str, said: str, write: Write) -> None:
    folder = write()
    (folder / "model.safetensors").rename(folder / "other.safetensors")
    (folder / "model.safetensors.index.json").write_text(index)

    with pytest.raises(ModelUnusable, match=said):
        read_checkpoint(folder)


@pytest.mark.parametrize(
    ("names", "meanings"),
    [
        ({"id2label": NLI_NAMES}, (2, 0)),
        ({"label2id": {"entailment": 0, "neutral": 1, "contradiction": 2}}, (0, 2)),
        ({"id2label": {"0": " Contradictory", "1": "ENTAILS", "2": "other"}}, (1, 0)),
    ],
)
def test_a_bert_says_by_name_what_its_classes_mean(
    names: Mapping[str, Any], meanings: tuple[int, int], write: Write
) -> None:
    config = read_checkpoint(write(config={"model_type": "bert", **names})).config

    assert (config.entailment, config.contradiction) == meanings


@pytest.mark.parametrize("other", ["not_entailment", "NON-ENTAILMENT", "not entailed"])
def test_of_two_classes_the_one_that_is_not_entailment_counts_as_contradiction(other: str, write: Write) -> None:
    names = {"0": "entailment", "1": other}
    config = read_checkpoint(write(make_tensors(classes=2), {"model_type": "bert", "id2label": names})).config

    assert (config.classes, config.entailment, config.contradiction) == (2, 0, 1)


@pytest.mark.parametrize(
    "names",
    [
        {},
        {"id2label": {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}},
        {"id2label": {"0": "entailment", "1": "not_entailment", "2": "LABEL_2"}},
        {"id2label": {"0": "entailment", "1": "entails", "2": "contradiction"}},
        {"id2label": {"0": "neutral", "1": "entailment", "9": "contradiction"}},
    ],
)
def test_a_bert_whose_classes_are_not_those_of_inference_is_refused(names: Mapping[str, Any], write: Write) -> None:
    with pytest.raises(ModelUnusable, match="does not say which of the 3 classes") as caught:
        read_checkpoint(write(config={"model_type": "bert", **names}))

    assert all(name.lower() in caught.value.detail for name in names.get("id2label", {}).values())


def test_what_modelscope_calls_the_model_counts(write: Write) -> None:
    folder = write(config={"model_type": "bert"})
    (folder / "configuration.json").write_text('{"task": "zero-shot-classification", "model": {"type": "structbert"}}')

    assert read_checkpoint(folder).config.model_type == "structbert"


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"model_type": "roberta"}, r'config\.json has model_type "roberta"; supported: "structbert", "bert"'),
        ({"model_type": None}, "has model_type null"),
        ({"hidden_act": "gelu_new"}, 'has hidden_act "gelu_new"; supported: "gelu"'),
        ({"position_embedding_type": "relative_key"}, "has position_embedding_type"),
        ({"is_decoder": True}, "has is_decoder true"),
        ({"num_attention_heads": 3}, "8, which is not a multiple of its 3 attention heads"),
        ({"num_attention_heads": "2"}, 'has num_attention_heads "2"'),
        ({"type_vocab_size": 1}, "needs two token types"),
        ({"layer_norm_eps": 0}, "invalid layer_norm_eps 0"),
        ({"num_hidden_layers": 1}, "weights for 2 layers, but config.json says 1"),
        ({"num_hidden_layers": 3}, "weights for 2 layers, but config.json says 3"),
        ({"vocab_size": 10}, r"emb\.word with the shape \[11, 8\], but config\.json implies \[10, 8\]"),
        ({"intermediate_size": 8}, r"l0\.fi\.w with the shape \[12, 8\]"),
        ({"max_position_embeddings": 512}, r"emb\.pos with the shape \[16, 8\]"),
        ({"model_type": "bert", "id2label": [1]}, "malformed id2label"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(config: Mapping[str, Any], said: str, write: Write) -> None:
    with pytest.raises(ModelUnusable, match=said):
        read_checkpoint(write(config=config))


def test_a_structbert_with_other_classes_is_refused(write: Write) -> None:
    with pytest.raises(ModelUnusable, match="classifier with 2 classes; a StructBERT"):
        read_checkpoint(write(make_tensors(classes=2)))


def without(name: str) -> Tensors:
    tensors = make_tensors()
    del tensors[name]
    return tensors


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("bert.pooler.dense.weight", r"lacks the weight bert\.pooler\.dense\.weight"),
        ("bert.encoder.layer.0.output.LayerNorm.bias", r"lacks the weight bert\.encoder\.layer\.0\.output\.LayerNorm"),
        ("classifier.weight", "do not include a classifier"),
        ("classifier.bias", r"lacks the weight classifier\.bias"),
        ("bert.embeddings.word_embeddings.weight", "do not include a BERT encoder"),
    ],
)
def test_a_missing_weight_is_named(name: str, said: str, write: Write) -> None:
    with pytest.raises(ModelUnusable, match=said):
        read_checkpoint(write(without(name)))


def test_an_encoder_without_layers_is_refused(write: Write) -> None:
    tensors = {name: tensor for name, tensor in make_tensors().items() if ".layer." not in name}

    with pytest.raises(ModelUnusable, match=r"no weight is named bert\.encoder\.layer\.0"):
        read_checkpoint(write(tensors))


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(number: float, write: Write) -> None:
    tensors = make_tensors()
    tensors["bert.encoder.layer.1.output.dense.bias"][3] = number

    with pytest.raises(ModelUnusable, match=r"model\.safetensors contains numbers that are not finite, in l1\.fo\.b"):
        read_checkpoint(write(tensors))


def test_a_weight_of_whole_numbers_is_refused(write: Write) -> None:
    tensors = make_tensors() | {"bert.pooler.dense.bias": np.arange(8)}

    with pytest.raises(ModelUnusable, match=r"stores bert\.pooler\.dense\.bias as I64"):
        read_checkpoint(write(tensors))


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors", "vocab.txt"])
def test_a_missing_file_is_named(missing: str, write: Write) -> None:
    folder = write()
    (folder / missing).unlink()

    with pytest.raises(ModelUnusable, match=missing.replace(".", r"\.")):
        read_checkpoint(folder)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match=r"is not a model folder"):
        read_checkpoint(tmp_path / "absent")


@pytest.mark.parametrize("text", [b"{", b"[]", b"\xff"])
def test_a_broken_config_is_refused(text: bytes, write: Write) -> None:
    folder = write()
    (folder / "config.json").write_bytes(text)

    with pytest.raises(ModelUnusable, match=r"config\.json (cannot be read|is not a JSON object)"):
        read_checkpoint(folder)


@pytest.mark.parametrize("kept", [0, 5, 8, 200, -1])
def test_weights_cut_short_are_refused(kept: int, write: Write) -> None:
    path = write() / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])

    with pytest.raises(ModelUnusable, match=r"model\.safetensors is damaged or incomplete"):
        read_checkpoint(path.parent)


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]},
        {"dtype": "F32", "shape": [1], "data_offsets": [8, 4]},
        {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1], "data_offsets": [0, 1 << 40]},
        {"dtype": "F32", "shape": [True], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1]},
        "F32",
    ],
)
def test_a_header_that_lies_is_refused(entry: Any, write: Write) -> None:
    folder = write()
    header = json.dumps({"bert.pooler.dense.bias": entry}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(64))

    with pytest.raises(ModelUnusable, match=r"model\.safetensors is damaged"):
        read_checkpoint(folder)


def test_a_pointer_in_the_place_of_weights_is_explained(write: Write) -> None:
    folder = write()
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")

    with pytest.raises(ModelUnusable, match="git lfs pull"):
        read_checkpoint(folder)


@pytest.mark.parametrize("tokens", [10, 12])
def test_a_vocabulary_of_another_size_is_refused(tokens: int, write: Write) -> None:
    folder = write()
    (folder / "vocab.txt").write_text("\n".join([*VOCABULARY, "e"][:tokens]) + "\n")
    if tokens < len(VOCABULARY):
        assert read_checkpoint(folder).config.vocab == 11  # a few rows may be padding
        tensors = make_tensors()
        tensors["bert.embeddings.word_embeddings.weight"] = np.zeros((500, 8), np.float32)
        (folder / "model.safetensors").write_bytes(safetensors(tensors))
        (folder / "config.json").write_text(json.dumps(CONFIG | {"vocab_size": 500}))

    with pytest.raises(ModelUnusable, match=rf"vocabulary .* has {tokens} tokens, but the model needs"):
        read_checkpoint(folder)


def test_weights_are_read_from_the_file_as_they_are_asked_for(write: Write) -> None:
    weights = read_checkpoint(write()).weights

    assert isinstance(weights["emb.word"].base, np.ndarray | memoryview)
    assert not weights["emb.word"].flags.owndata


def test_a_pickle_without_pytorch_names_the_extra(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    folder = write()
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")

    with pytest.raises(EngineUnavailable, match=r"pip install 'yeban\[models\]'"):
        read_checkpoint(folder)


@pytest.mark.parametrize("zipped", [True, False])
def test_pickles_new_and_old_are_read(zipped: bool, write: Write) -> None:
    torch = pytest.importorskip("torch")
    tensors = make_tensors()

    assert_same(as_pickle(torch, write(tensors), tensors, _use_new_zipfile_serialization=zipped), tensors)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_halves_in_a_pickle_become_float32(dtype: str, write: Write) -> None:
    torch = pytest.importorskip("torch")
    folder, tensors = write(), make_tensors()
    (folder / "model.safetensors").unlink()
    state = {name: torch.from_numpy(tensor).to(getattr(torch, dtype)) for name, tensor in tensors.items()}
    torch.save(state, folder / "pytorch_model.bin")

    assert_same(folder, {name: tensor.float().numpy() for name, tensor in state.items()})


class Harmful:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("form", ["zip", "old", "plain"])
def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(form: str, write: Write, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    folder, mark = write(), tmp_path / "it-ran"
    path = folder / "pytorch_model.bin"
    (folder / "model.safetensors").unlink()
    content = {"bert.pooler.dense.bias": Harmful(mark)}
    if form == "plain":
        path.write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")

    with pytest.raises(ModelUnusable, match=r"pytorch_model\.bin is not safe"):
        read_checkpoint(folder)
    assert not mark.exists()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("kept", [0.0, 0.3, 0.95])
def test_a_pickle_cut_short_is_refused(zipped: bool, kept: float, write: Write) -> None:
    torch = pytest.importorskip("torch")
    tensors = make_tensors()
    path = as_pickle(torch, write(tensors), tensors, _use_new_zipfile_serialization=zipped) / "pytorch_model.bin"
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])

    with pytest.raises(ModelUnusable, match=r"pytorch_model\.bin is (damaged|not safe)"):
        read_checkpoint(path.parent)


def test_a_pickle_of_something_else_is_refused(write: Write) -> None:
    torch = pytest.importorskip("torch")
    folder = write()
    (folder / "model.safetensors").unlink()
    torch.save([torch.zeros(2)], folder / "pytorch_model.bin")

    with pytest.raises(ModelUnusable, match="contains a list instead of named tensors"):
        read_checkpoint(folder)


def test_a_file_of_the_safetensors_library_is_read(write: Write) -> None:
    numpy_api = pytest.importorskip("safetensors.numpy")
    tensors = make_tensors()
    folder = write(tensors)
    numpy_api.save_file(tensors, folder / "model.safetensors")

    assert_same(folder, tensors)
