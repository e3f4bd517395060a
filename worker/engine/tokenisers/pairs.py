"""Pairs of text and hypothesis: ``[CLS] text [SEP] hypothesis [SEP]``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tokenizers import Tokenizer

from worker.engine.tokenisers import wordpiece
from worker.engine.tokenisers.wordpiece import TOKENIZER_FILE, VOCABULARY_FILE, WordPiece
from yeban.errors import InvalidLabels, ModelUnusable, msg

MAX_TOKENS = 512
"""Of a whole pair; ModelScope's limit too."""

_SPECIAL_TOKENS = 3
_PAD = ("[PAD]", "<pad>")


class Pair(NamedTuple):
    """The tokens of one pair. The first ``boundary`` of them are of type 0, the rest of type 1."""

    input_ids: list[int]
    boundary: int
    truncated: bool

    @property
    def token_type_ids(self) -> list[int]:
        """0 up to and with the first ``[SEP]``, then 1."""
        return [0] * self.boundary + [1] * (len(self.input_ids) - self.boundary)


class LibraryTokeniser:
    """Ids of texts by a ``tokenizer.json`` of any kind, without special tokens around them. Thread-safe."""

    def __init__(self, path: Path) -> None:
        """Raise :class:`~yeban.errors.ModelUnusable` if it cannot be read or frames pairs differently from BERT."""
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
            self._tokenizer.no_truncation()
            self._tokenizer.no_padding()
            frame = _frame(self._tokenizer)
        except Exception as error:  # the library raises Exception itself
            raise ModelUnusable(
                msg("%(path)s cannot be read as a tokeniser (%(error)s). Download it again.", path=path, error=error)
            ) from error
        if frame is None:
            raise ModelUnusable(
                msg(
                    "%(path)s joins a pair of texts in another way than BERT. Such models are not supported.",
                    path=path,
                )
            )
        self.first, self.separator = frame
        pads = [token for token in map(self._tokenizer.token_to_id, _PAD) if token is not None]
        if not pads:
            raise ModelUnusable(msg("%(path)s has none of the padding tokens %(pad)s.", path=path, pad=", ".join(_PAD)))
        self.pad = pads[0]

    @property
    def size(self) -> int:
        """One more than the largest id."""
        return 1 + max(self._tokenizer.get_vocab(with_added_tokens=True).values())

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, not cut to any length."""
        # Half a surrogate pair cannot be encoded as UTF-8.
        whole = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
        return [encoding.ids for encoding in self._tokenizer.encode_batch(whole, add_special_tokens=False)]


class PairTokeniser:
    """Ids of texts and hypotheses, and their pairs. Thread-safe.

    ``pad`` is the id of padding.
    """

    def __init__(self, words: WordPiece | LibraryTokeniser, *, max_tokens: int = MAX_TOKENS) -> None:
        self._words = words
        self._first = words.first
        self._separator = words.separator
        self._room = max_tokens - _SPECIAL_TOKENS
        self.pad = words.pad
        self.max_tokens = max_tokens

    @classmethod
    def load(cls, folder: Path, *, max_tokens: int = MAX_TOKENS) -> PairTokeniser:
        """Read ``tokenizer.json`` in the folder of a built model.

        Raises :class:`~yeban.errors.ModelUnusable` when it is missing or malformed.
        """
        path = folder / TOKENIZER_FILE
        words = WordPiece(wordpiece.read_tokenizer_json(path)) if wordpiece.is_bert(path) else LibraryTokeniser(path)
        return cls(words, max_tokens=max_tokens)

    def encode(self, strings: Sequence[str]) -> list[list[int]]:
        """The ids of each string, without special tokens around them and not cut to any length."""
        return self._words.encode(strings)

    def room(self, hypothesis_ids: Sequence[int]) -> int:
        """Tokens left for a text beside this hypothesis; below 1 the hypothesis is too long."""
        return self._room - len(hypothesis_ids)

    def frame(self, text_ids: Sequence[int], hypothesis_ids: Sequence[int]) -> Pair:
        """Return one pair; a pair over ``max_tokens`` loses the end of its text.

        Raises :class:`~yeban.errors.InvalidLabels` if that would leave nothing of the text.
        """
        room = self._room - len(hypothesis_ids)
        truncated = len(text_ids) > room
        if truncated:
            if room < 1:
                raise InvalidLabels(
                    msg(
                        "A label with its template has %(count)s tokens; the limit is %(limit)s, which "
                        "leaves room for a text. Shorten the label or the template.",
                        count=len(hypothesis_ids),
                        limit=self._room - 1,
                    ),
                    tokens=len(hypothesis_ids),
                    limit=self._room - 1,
                )
            text_ids = text_ids[:room]
        return Pair(
            [self._first, *text_ids, self._separator, *hypothesis_ids, self._separator], len(text_ids) + 2, truncated
        )


def tokenizer_json(checkpoint_folder: Path) -> str:
    """The ``tokenizer.json`` of a built model, from the tokeniser files of the model it is built from.

    ``vocab.txt`` comes first, with ``tokenizer_config.json`` where there is one; else the folder's own
    ``tokenizer.json``. Raises :class:`~yeban.errors.ModelUnusable` if neither exists, or one frames pairs
    differently from BERT.
    """
    if _is_library(checkpoint_folder):
        path = checkpoint_folder / TOKENIZER_FILE
        LibraryTokeniser(path)
        return path.read_text(encoding="utf-8")
    return wordpiece.read_spec(checkpoint_folder).to_json()


def vocabulary_size(checkpoint_folder: Path) -> int:
    """One more than the largest id that the tokeniser of a folder can give. Raises as :func:`tokenizer_json` does."""
    if _is_library(checkpoint_folder):
        return LibraryTokeniser(checkpoint_folder / TOKENIZER_FILE).size
    return 1 + max(wordpiece.read_spec(checkpoint_folder).vocabulary.values())


def _is_library(checkpoint_folder: Path) -> bool:
    path = checkpoint_folder / TOKENIZER_FILE
    return not (checkpoint_folder / VOCABULARY_FILE).is_file() and path.is_file() and not wordpiece.is_bert(path)


def _frame(tokenizer: Tokenizer) -> tuple[int, int] | None:
    """Tokens before a pair and after each of its parts; None for another framing."""
    left, right = (tokenizer.encode(text, add_special_tokens=False).ids for text in ("a", "b"))
    pair = tokenizer.encode("a", "b")
    types = [0] * (len(left) + 2) + [1] * (len(right) + 1)
    if len(pair.ids) != len(types):
        return None
    first, separator = pair.ids[0], pair.ids[-1]
    if pair.ids != [first, *left, separator, *right, separator] or pair.type_ids != types:
        return None
    return first, separator
