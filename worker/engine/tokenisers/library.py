"""Token ids of texts.

A tokeniser is two small JSON files: ``tokenizer.json``, read by the ``tokenizers`` library, and
``replacements.json``, the character table that is applied first. The table stands alone because the
library can only apply such tables by grapheme, which loses combining marks that the model was trained with.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers

from worker.engine.tokenisers.vocabulary import Vocabulary

TOKENIZER_FILE = "tokenizer.json"
REPLACEMENTS_FILE = "replacements.json"

_SPACES = re.compile(" {2,}")
_SURROGATES = range(0xD800, 0xE000)


@dataclass(frozen=True, kw_only=True)
class Frame:
    """Special tokens around the ids of a text, and the padding token."""

    first: int
    last: int
    pad: int
    unknown: int


class Tokeniser:
    """Ids of a text, without padding. Thread-safe."""

    def __init__(self, tokenizer: Tokenizer, replacements: Mapping[int, str], frame: Frame) -> None:
        self._tokenizer = tokenizer
        self.frame = frame
        # Half a surrogate pair cannot be encoded as UTF-8, and no model has seen a NUL.
        lost = replacements.get(0xFFFD, "\ufffd")
        self._table = dict.fromkeys(_SURROGATES, lost) | {0: ""} | dict(replacements)

    @classmethod
    def load(cls, folder: Path, frame: Frame) -> Tokeniser:
        """Read the two files in ``folder``. Raises OSError, ValueError or the library's own Exception."""
        replacements = json.loads((folder / REPLACEMENTS_FILE).read_text(encoding="utf-8"))
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER_FILE))
        return cls(tokenizer, {int(point): text for point, text in replacements.items()}, frame)

    def normalise(self, text: str) -> str:
        """Apply the character table and make each run of spaces one space."""
        text = text.translate(self._table)
        return _SPACES.sub(" ", text) if "  " in text else text

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text between its two special tokens, not cut to any length."""
        frame = self.frame
        encodings = self._tokenizer.encode_batch([self.normalise(text) for text in texts], add_special_tokens=False)
        rows = []
        for encoding in encodings:
            ids = encoding.ids
            if frame.unknown in ids:
                ids = _split_unknown_runs(ids, encoding.offsets, frame.unknown)
            rows.append([frame.first, *ids, frame.last])
        return rows


def unigram_files(vocabulary: Vocabulary) -> dict[str, str]:
    """The contents of the two files for a Unigram ``vocabulary``, by file name."""
    # The library looks the unknown piece up in texts like any other, so it gets a spelling that
    # no text has left once the table has been applied.
    spelling = ["\x00" if i == vocabulary.unk else piece for i, piece in enumerate(vocabulary.pieces)]
    model = models.Unigram(list(zip(spelling, vocabulary.scores, strict=True)), unk_id=vocabulary.unk)
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=False)
    table = {str(point): text for point, text in sorted(vocabulary.replacements.items())}
    return {
        TOKENIZER_FILE: tokenizer.to_str(),
        REPLACEMENTS_FILE: json.dumps(table, ensure_ascii=True),
    }


def _split_unknown_runs(ids: Sequence[int], offsets: Sequence[tuple[int, int]], unknown: int) -> list[int]:
    """Count every unknown character, where the library joins neighbours into one token."""
    split: list[int] = []
    for token, (start, end) in zip(ids, offsets, strict=True):
        split.extend([token] * (end - start if token == unknown else 1))
    return split
