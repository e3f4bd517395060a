"""WordPiece as in BERT's Python tokeniser, ModelScope's default for StructBERT.

The ``tokenizers`` library has a BERT normaliser too, but a faster one that differs: its tables of control
characters, punctuation and ideographs are those of another Unicode version, and it does not compose characters
(NFC) before it splits them. So texts are normalised here, to words between spaces, and the library only
looks the pieces of words up. The file on disk is a common ``tokenizer.json``, which describes the same in the
library's terms.
"""

from __future__ import annotations

import json
import re
import string
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from yeban.errors import ModelUnusable, msg

VOCABULARY_FILE = "vocab.txt"
CONFIG_FILE = "tokenizer_config.json"
TOKENIZER_FILE = "tokenizer.json"
_NAMES_FILE = "special_tokens_map.json"
_ADDED_FILE = "added_tokens.json"
FILES = (VOCABULARY_FILE, CONFIG_FILE, TOKENIZER_FILE, _NAMES_FILE, _ADDED_FILE)
"""The files of a model folder that bear on its tokeniser."""

_PAD, _UNKNOWN, _FIRST, _SEPARATOR, _MASK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"
_SPECIAL = {
    "pad_token": _PAD,
    "unk_token": _UNKNOWN,
    "cls_token": _FIRST,
    "sep_token": _SEPARATOR,
    "mask_token": _MASK,
}
_BERT_KINDS = ("WordPiece", "BertNormalizer")
_LONGEST_WORD = 100
"""Characters; a longer word is one unknown token."""

_IDEOGRAPHS = (
    range(0x4E00, 0xA000),
    range(0x3400, 0x4DC0),
    range(0x20000, 0x2A6E0),
    range(0x2A700, 0x2B740),
    range(0x2B740, 0x2B820),
    range(0x2B820, 0x2CEB0),
    range(0xF900, 0xFB00),
    range(0x2F800, 0x2FA20),
)
"""The blocks whose characters are words of their own. Kana and Hangul are not among them."""


@dataclass(frozen=True, kw_only=True)
class Spec:
    """A vocabulary (token to id) and the normalisation of its texts."""

    vocabulary: Mapping[str, int]
    lowercase: bool
    strip_accents: bool
    split_ideographs: bool

    def to_json(self) -> str:
        """The contents of a ``tokenizer.json``."""
        tokenizer = _tokenizer(self.vocabulary)
        tokenizer.normalizer = normalizers.BertNormalizer(
            clean_text=True,
            handle_chinese_chars=self.split_ideographs,
            strip_accents=self.strip_accents,
            lowercase=self.lowercase,
        )
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.post_processor = processors.BertProcessing(
            (_SEPARATOR, self.vocabulary[_SEPARATOR]), (_FIRST, self.vocabulary[_FIRST])
        )
        tokenizer.add_special_tokens([token for token in _SPECIAL.values() if token in self.vocabulary])
        text: str = tokenizer.to_str()
        return text


class WordPiece:
    """Ids of texts, without special tokens around them. Thread-safe."""

    def __init__(self, spec: Spec) -> None:
        self.pad = spec.vocabulary[_PAD]
        self.first = spec.vocabulary[_FIRST]
        self.separator = spec.vocabulary[_SEPARATOR]
        self._tokenizer = _tokenizer(spec.vocabulary)
        self._tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        self._lowercase = spec.lowercase
        self._strip_accents = spec.strip_accents
        self._clean = _Table(lambda char: _clean(char, lowercase=spec.lowercase, split=spec.split_ideographs))
        self._split = _Table(lambda char: _split(char, strip_accents=spec.strip_accents))
        self._special = frozenset(token for token in _SPECIAL.values() if token in spec.vocabulary)
        self._typed = re.compile("|".join(map(re.escape, sorted(self._special))))

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, not cut to any length.

        A special token typed out in a text is that token, as it is for the model's own tokeniser.
        """
        normal = [self.normalise(text) for text in texts]
        return [encoding.ids for encoding in self._tokenizer.encode_batch(normal, add_special_tokens=False)]

    def normalise(self, text: str) -> str:
        """The words of ``text`` with spaces between them, punctuation and ideographs as words of their own."""
        if "[" not in text:
            return self._words(text)
        parts: list[str] = []
        end = 0
        for match in self._typed.finditer(text):
            parts += self._words(text[end : match.start()]), match[0]
            end = match.end()
        return " ".join([*parts, self._words(text[end:])])

    def _words(self, text: str) -> str:
        text = unicodedata.normalize("NFC", text.translate(self._clean))
        if "[" in text and self._typed.search(text):
            # Dropping control characters may create a special token; it counts if it stands between spaces.
            return " ".join(word if word in self._special else self._pieces(word) for word in text.split())
        return self._pieces(text)

    def _pieces(self, text: str) -> str:
        if self._lowercase:
            text = text.lower()
        if self._strip_accents:
            text = unicodedata.normalize("NFD", text)
        return text.translate(self._split)


def read_spec(folder: Path) -> Spec:
    """The tokeniser of the model in ``folder``: ``vocab.txt`` with its settings, else ``tokenizer.json``.

    Raises :class:`~yeban.errors.ModelUnusable` naming the file that is missing or of another kind.
    """
    if (folder / VOCABULARY_FILE).is_file():
        return _from_vocabulary(folder)
    if (folder / TOKENIZER_FILE).is_file():
        return read_tokenizer_json(folder / TOKENIZER_FILE)
    raise ModelUnusable(
        msg(
            "%(folder)s has no vocabulary: it needs %(vocabulary_file)s or %(tokenizer_file)s. Download the "
            "whole model again.",
            folder=folder,
            vocabulary_file=VOCABULARY_FILE,
            tokenizer_file=TOKENIZER_FILE,
        )
    )


def is_bert(path: Path) -> bool:
    """Report whether a ``tokenizer.json`` describes BERT's tokeniser or is unreadable."""
    try:
        document = json.loads(_read(path))
        return (document["model"]["type"], document["normalizer"]["type"]) == _BERT_KINDS
    except (ValueError, KeyError, TypeError, RecursionError):
        return True


def read_tokenizer_json(path: Path) -> Spec:
    """The tokeniser that a ``tokenizer.json`` describes. Raises as :func:`read_spec` does."""
    text = _read(path)
    try:
        document = json.loads(text)
        model, normalizer = document["model"], document["normalizer"]
        kinds = (model["type"], normalizer["type"])
        if kinds != _BERT_KINDS:
            raise ModelUnusable(
                msg(
                    "%(path)s describes a tokeniser (%(kinds)s) that is not BERT's.",
                    path=path,
                    kinds=", ".join(kinds),
                )
            )
        vocabulary = {str(token): int(at) for token, at in model["vocab"].items()}
        added = [token["content"] for token in document.get("added_tokens", ())]
        lowercase, strip = bool(normalizer["lowercase"]), normalizer.get("strip_accents")
        split = bool(normalizer["handle_chinese_chars"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelUnusable(
            msg("%(path)s cannot be read as a tokeniser (%(error)s). Download it again.", path=path, error=repr(error))
        ) from error
    _check(path, vocabulary, added)
    return Spec(
        vocabulary=vocabulary,
        lowercase=lowercase,
        strip_accents=lowercase if strip is None else bool(strip),
        split_ideographs=split,
    )


def _from_vocabulary(folder: Path) -> Spec:
    path = folder / VOCABULARY_FILE
    tokens = _read(path).split("\n")
    if tokens[-1] == "":
        tokens.pop()
    # The last of two equal tokens counts.
    vocabulary = {token: at for at, token in enumerate(tokens)}
    config = _options(folder / CONFIG_FILE) | _options(folder / _NAMES_FILE)
    _check(path, vocabulary, [*_options(folder / _ADDED_FILE), *_added(config)])
    if not config.get("do_basic_tokenize", True) or config.get("never_split"):
        raise ModelUnusable(
            msg(
                "%(path)s requires a tokeniser that is not supported: do_basic_tokenize must be on and "
                "never_split empty.",
                path=folder / CONFIG_FILE,
            )
        )
    lowercase, strip = bool(config.get("do_lower_case", True)), config.get("strip_accents")
    return Spec(
        vocabulary=vocabulary,
        lowercase=lowercase,
        strip_accents=lowercase if strip is None else bool(strip),
        split_ideographs=bool(config.get("tokenize_chinese_chars", True)),
    )


def _added(config: Mapping[str, Any]) -> list[str]:
    """Every token that the settings treat apart from the rest of the vocabulary."""
    declared = [config[key] for key in _SPECIAL if config.get(key)]
    declared += config.get("additional_special_tokens") or ()
    declared += (config.get("added_tokens_decoder") or {}).values()
    return [str(token["content"] if isinstance(token, Mapping) else token) for token in declared]


def _check(path: Path, vocabulary: Mapping[str, int], added: Sequence[str]) -> None:
    for token in (_PAD, _UNKNOWN, _FIRST, _SEPARATOR):
        if token not in vocabulary:
            raise ModelUnusable(
                msg("%(path)s lacks the token %(token)s: it is incomplete or not BERT's.", path=path, token=token)
            )
    if others := sorted(set(added) - set(_SPECIAL.values())):
        raise ModelUnusable(
            msg(
                "The tokeniser in %(parent)s has its own special tokens (%(others)s), but only BERT's are "
                "supported (%(special_tokens)s).",
                parent=path.parent,
                others=", ".join(others),
                special_tokens=", ".join(_SPECIAL.values()),
            )
        )


def _options(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        document = json.loads(_read(path))
    except (ValueError, RecursionError) as error:
        raise ModelUnusable(
            msg("%(path)s cannot be read (%(error)s). Download it again.", path=path, error=error)
        ) from error
    if not isinstance(document, dict):
        raise ModelUnusable(msg("%(path)s is not a JSON object. Download it again.", path=path))
    return document


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelUnusable(
            msg("%(path)s cannot be read (%(error)s). Download it again.", path=path, error=error)
        ) from error


def _tokenizer(vocabulary: Mapping[str, int]) -> Tokenizer:
    return Tokenizer(models.WordPiece(dict(vocabulary), unk_token=_UNKNOWN, max_input_chars_per_word=_LONGEST_WORD))


class _Table(dict[int, str]):
    """A lazy table for :meth:`str.translate`, filled as characters occur."""

    def __init__(self, entry: Callable[[str], str]) -> None:
        self._entry = entry

    def __missing__(self, point: int) -> str:
        return self.setdefault(point, self._entry(chr(point)))


def _clean(char: str, *, lowercase: bool, split: bool) -> str:
    return "".join(_clean_one(part, split=split) for part in (char.lower() if lowercase else char))


def _clean_one(char: str, *, split: bool) -> str:
    category = unicodedata.category(char)
    if char in " \t\n\r" or category == "Zs":
        return " "
    if char in "\0\ufffd" or category.startswith("C"):
        return ""
    if split and any(ord(char) in block for block in _IDEOGRAPHS):
        return f" {char} "
    return char


def _split(char: str, *, strip_accents: bool) -> str:
    category = unicodedata.category(char)
    if strip_accents and category == "Mn":
        return ""
    # Every ASCII sign counts as punctuation, including Unicode symbols.
    if char in string.punctuation or category.startswith("P"):
        return f" {char} "
    # Line and paragraph separators are all the white space that is left.
    return " " if char.isspace() else char
