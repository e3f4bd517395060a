"""Tokenisers that are not BERT's own, such as those of models with sentence pieces."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from worker.engine.tokenisers.pairs import LibraryTokeniser, PairTokeniser, tokenizer_json
from yeban.errors import ModelUnusable

WORDS = ("<s>", "<pad>", "</s>", "<unk>", "a", "b", "red", "blue", "?")


def write(
    path: Path,
    *,
    vocabulary: tuple[str, ...] = WORDS,
    single: str = "<s>:0 $A:0 </s>:0",
    pair: str | None = "<s>:0 $A:0 </s>:0 $B:1 </s>:1",
    unknown: str = "<unk>",
) -> Path:
    tokenizer = Tokenizer(models.WordLevel({word: at for at, word in enumerate(vocabulary)}, unk_token=unknown))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if pair is not None:
        special = [(word, at) for at, word in enumerate(vocabulary) if word in ("<s>", "</s>")]
        tokenizer.post_processor = processors.TemplateProcessing(single=single, pair=pair, special_tokens=special)
    tokenizer.add_special_tokens([word for word in ("<s>", "<pad>", "</s>", "<unk>") if word in vocabulary])
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding()
    tokenizer.save(str(path / "tokenizer.json"))
    return path


def test_texts_are_ids_without_a_frame_whole_and_not_padded(tmp_path: Path) -> None:
    opened = LibraryTokeniser(write(tmp_path) / "tokenizer.json")

    assert opened.encode(["Red blue", "", "a " * 50, "green"]) == [[6, 7], [], [4] * 50, [3]]
    assert (opened.first, opened.separator, opened.pad, opened.size) == (0, 2, 1, len(WORDS))


def test_half_a_surrogate_pair_is_a_question_mark(tmp_path: Path) -> None:
    opened = LibraryTokeniser(write(tmp_path) / "tokenizer.json")

    assert opened.encode(["\ud800", "a \udfff"]) == [[8], [4, 8]]


def test_pairs_are_framed_with_the_tokens_of_the_file(tmp_path: Path) -> None:
    tokeniser = PairTokeniser.load(write(tmp_path), max_tokens=7)
    text, hypothesis = tokeniser.encode(["a a a a a a", "red blue"])

    pair = tokeniser.frame(text, hypothesis)

    assert pair.input_ids == [0, 4, 4, 2, 6, 7, 2]
    assert pair.token_type_ids == [0, 0, 0, 0, 1, 1, 1]
    assert pair.truncated


def test_a_build_keeps_the_file_as_it_is(tmp_path: Path) -> None:
    write(tmp_path)

    assert tokenizer_json(tmp_path) == (tmp_path / "tokenizer.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "pair",
    [
        None,
        "<s>:0 $A:0 </s>:0 </s>:0 $B:1 </s>:1",  # as RoBERTa does
        "$A:0 </s>:0 $B:1 </s>:1 <s>:1",
        "<s>:0 $B:0 </s>:0 $A:1 </s>:1",
        "<s>:0 $A:0 </s>:0 $B:0 </s>:0",
        "<s>:0 $A:0 </s>:1 $B:1 </s>:1",
        "<s>:0 $A:0 </s>:0 $B:1 <s>:1",
    ],
)
def test_pairs_that_are_framed_otherwise_are_refused(pair: str | None, tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match="joins a pair of texts in another way"):
        LibraryTokeniser(write(tmp_path, pair=pair) / "tokenizer.json")


def test_a_tokeniser_without_padding_is_refused(tmp_path: Path) -> None:
    words = tuple(word for word in WORDS if word != "<pad>")

    with pytest.raises(ModelUnusable, match="none of the padding tokens"):
        LibraryTokeniser(write(tmp_path, vocabulary=words) / "tokenizer.json")


def test_a_tokeniser_that_fails_on_what_it_does_not_know_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match="cannot be read as a tokeniser"):
        LibraryTokeniser(write(tmp_path, vocabulary=WORDS[:3], unknown="absent") / "tokenizer.json")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"model": 3}'])
def test_a_file_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(text)

    with pytest.raises(ModelUnusable, match=r"tokenizer\.json cannot be read as a tokeniser"):
        LibraryTokeniser(tmp_path / "tokenizer.json")
