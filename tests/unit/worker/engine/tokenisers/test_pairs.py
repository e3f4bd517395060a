from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from worker.engine.tokenisers.pairs import PairTokeniser, tokenizer_json
from yeban.errors import InvalidLabels, ModelUnusable

RECORD: dict[str, Any] = json.loads(Path(__file__).with_name("bert_ids.json").read_text(encoding="utf-8"))
"""Ids that BERT's own tokeniser gave, and a vocabulary for it; the file says how they were made."""

PAD, UNKNOWN, FIRST, SEPARATOR, MASK = range(5)

Open = Callable[..., PairTokeniser]


def write_vocabulary(folder: Path, settings: Mapping[str, Any] | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(RECORD["vocabulary"]) + "\n", encoding="utf-8")
    if settings:
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


@pytest.fixture
def open_tokeniser(tmp_path: Path) -> Open:
    """The tokeniser built from our vocabulary with some settings, through the file that a built model keeps."""

    def open_with(settings: Mapping[str, Any] | None = None, **options: int) -> PairTokeniser:
        built = tmp_path / "built"
        built.mkdir(exist_ok=True)
        checkpoint = write_vocabulary(tmp_path / "checkpoint", settings)
        (built / "tokenizer.json").write_text(tokenizer_json(checkpoint), encoding="utf-8")
        return PairTokeniser.load(built, **options)

    return open_with


@pytest.mark.parametrize("recorded", RECORD["recorded"], ids=lambda recorded: json.dumps(recorded["settings"]))
def test_the_ids_are_those_that_the_models_own_tokeniser_gave(
    recorded: Mapping[str, Any], open_tokeniser: Open
) -> None:
    assert open_tokeniser(recorded["settings"]).encode(RECORD["texts"]) == recorded["ids"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("lowercase", [True, False])
def test_the_ids_are_those_of_transformers_for_one_character_in_sixty(
    lowercase: bool, open_tokeniser: Open, tmp_path: Path
) -> None:
    transformers = pytest.importorskip("transformers")
    ours = open_tokeniser({"do_lower_case": lowercase})
    reference = transformers.BertTokenizer(str(tmp_path / "checkpoint" / "vocab.txt"), do_lower_case=lowercase)
    points = [*range(0x600), *range(0x2000, 0x2070), *range(0x600, 0x110000, 61)]
    texts = [f"a{chr(point)}e {chr(point)}我" for point in points] + RECORD["texts"]

    assert ours.encode(texts) == [reference.convert_tokens_to_ids(reference.tokenize(text)) for text in texts]


@pytest.mark.filterwarnings("ignore")
def test_pairs_are_framed_as_transformers_frames_them(open_tokeniser: Open, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    ours = open_tokeniser(max_tokens=20)
    reference = transformers.BertTokenizer(str(tmp_path / "checkpoint" / "vocab.txt"))
    for text, hypothesis in [("我们的", "退货"), ("", "退货"), ("我" * 40, "退货"), ("我" * 40, "货" * 16), ("我", "")]:
        expected = reference(text, hypothesis, truncation="only_first", max_length=20)
        pair = ours.frame(*ours.encode([text, hypothesis]))

        assert (pair.input_ids, pair.token_type_ids) == (expected["input_ids"], expected["token_type_ids"])


def test_a_folder_with_a_tokenizer_json_alone_gives_the_same_tokeniser(tmp_path: Path) -> None:
    text = tokenizer_json(write_vocabulary(tmp_path, {"do_lower_case": False, "strip_accents": True}))
    (tmp_path / "vocab.txt").unlink()
    (tmp_path / "tokenizer_config.json").unlink()
    (tmp_path / "tokenizer.json").write_text(text, encoding="utf-8")

    assert tokenizer_json(tmp_path) == text


def test_vocab_txt_comes_before_tokenizer_json(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")

    assert json.loads(tokenizer_json(write_vocabulary(tmp_path)))["model"]["vocab"]["[MASK]"] == MASK


def test_the_last_of_two_equal_tokens_counts(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nb\na\n")
    (tmp_path / "tokenizer.json").write_text(tokenizer_json(tmp_path), encoding="utf-8")

    assert PairTokeniser.load(tmp_path).encode(["a b"]) == [[6, 5]]


def test_what_is_typed_like_a_mask_is_text_where_the_vocabulary_has_no_mask(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[\nmask\n]\n")
    (tmp_path / "tokenizer.json").write_text(tokenizer_json(tmp_path), encoding="utf-8")

    assert PairTokeniser.load(tmp_path).encode(["[MASK]"]) == [[4, 5, 6]]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("vocab.txt", "[PAD]\n[UNK]\n[CLS]\na\n", r"vocab\.txt lacks the token \[SEP\]"),
        ("vocab.txt", None, r"needs vocab\.txt or tokenizer\.json"),
        ("tokenizer_config.json", "{", r"tokenizer_config\.json cannot be read"),
        ("tokenizer_config.json", "[]", r"tokenizer_config\.json is not a JSON object"),
        ("tokenizer_config.json", '{"do_basic_tokenize": false}', "do_basic_tokenize must be on"),
        ("tokenizer_config.json", '{"cls_token": {"content": "<s>"}}', r"its own special tokens \(<s>\)"),
        ("special_tokens_map.json", '{"additional_special_tokens": ["<user>"]}', r"\(<user>\)"),
        ("added_tokens.json", '{"<new>": 200}', r"\(<new>\)"),
    ],
)
def test_files_of_another_kind_are_refused_by_name(name: str, text: str | None, said: str, tmp_path: Path) -> None:
    write_vocabulary(tmp_path)
    (tmp_path / name).unlink(missing_ok=True)
    if text is not None:
        (tmp_path / name).write_text(text)

    with pytest.raises(ModelUnusable, match=said):
        tokenizer_json(tmp_path)


def test_a_vocabulary_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_bytes("退货".encode("gb18030"))

    with pytest.raises(ModelUnusable, match=r"vocab\.txt cannot be read"):
        tokenizer_json(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"model": {"type": "BPE"}, "normalizer": {"type": "NFC"}}'])
def test_a_tokenizer_json_of_another_kind_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(text)

    with pytest.raises(ModelUnusable, match=r"tokenizer\.json"):
        PairTokeniser.load(tmp_path)


def test_a_pair_is_text_and_hypothesis_between_special_tokens(open_tokeniser: Open) -> None:
    pair = open_tokeniser().frame([10, 11, 12], [20, 21])

    assert pair.input_ids == [FIRST, 10, 11, 12, SEPARATOR, 20, 21, SEPARATOR]
    assert pair.token_type_ids == [0, 0, 0, 0, 0, 1, 1, 1]
    assert pair.boundary == 5
    assert not pair.truncated


def test_an_empty_text_keeps_its_separator(open_tokeniser: Open) -> None:
    pair = open_tokeniser().frame([], [20])

    assert (pair.input_ids, pair.token_type_ids) == ([FIRST, SEPARATOR, 20, SEPARATOR], [0, 0, 1, 1])


@pytest.mark.parametrize(("length", "truncated"), [(507, False), (508, False), (509, True), (5000, True)])
def test_only_the_text_is_cut_to_512_tokens(length: int, truncated: bool, open_tokeniser: Open) -> None:
    text, hypothesis = list(range(100, 100 + length)), [7]
    pair = open_tokeniser().frame(text, hypothesis)

    assert pair.truncated is truncated
    assert len(pair.input_ids) == min(length + 4, 512)
    assert pair.input_ids[1 : pair.boundary - 1] == text[:508]
    assert pair.input_ids[pair.boundary :] == [7, SEPARATOR]


def test_room_is_what_a_hypothesis_leaves_for_its_text(open_tokeniser: Open) -> None:
    tokeniser = open_tokeniser(max_tokens=10)

    assert [tokeniser.room([7] * length) for length in (0, 1, 6, 7, 8)] == [7, 6, 1, 0, -1]
    assert tokeniser.frame([5] * 9, [7] * 6).input_ids == [FIRST, 5, SEPARATOR, *[7] * 6, SEPARATOR]


def test_a_hypothesis_that_leaves_nothing_of_the_text_is_refused(open_tokeniser: Open) -> None:
    with pytest.raises(InvalidLabels, match="has 7 tokens; the limit is 6") as caught:
        open_tokeniser(max_tokens=10).frame([5], [7] * 7)

    assert caught.value.context == {"tokens": 7, "limit": 6}


def test_the_same_text_composed_and_decomposed_has_the_same_ids(open_tokeniser: Open) -> None:
    composed = "Café É"
    ids = open_tokeniser({"do_lower_case": False}).encode([composed, unicodedata.normalize("NFD", composed)])

    assert ids[0] == ids[1]
