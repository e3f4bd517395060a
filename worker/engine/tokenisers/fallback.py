"""Tokenisers other than BERT's, run by the ``tokenizers`` library unchanged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

from yeban.errors import ModelUnusable, msg

_PAD = ("[PAD]", "<pad>")


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
                msg("%(path)s cannot be read as a tokeniser (%(error)s); download it again.", path=path, error=error)
            ) from error
        if frame is None:
            raise ModelUnusable(
                msg(
                    "%(path)s frames a pair of texts in another way than BERT does; such models cannot be run.",
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
