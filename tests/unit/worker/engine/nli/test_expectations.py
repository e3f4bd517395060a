from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from worker.engine.graphs.bert import Geometry
from worker.engine.nli import oracle
from worker.engine.nli.expectations import EXPECTED_FILE, Expected
from worker.engine.nli.samples import questions
from worker.engine.tokenisers.pairs import PairTokeniser
from yeban.errors import ModelUnusable

Arrays = dict[str, NDArray[Any]]


def test_it_reads_what_it_wrote(expected: Expected, tmp_path: Path) -> None:
    expected.save(tmp_path)
    read = Expected.load(tmp_path)

    for left, right in zip(expected.calls, read.calls, strict=True):
        for name, values in left.items():
            assert right[name].dtype == np.int64
            np.testing.assert_array_equal(right[name], values)
    for left, right in zip(expected.pairs, read.pairs, strict=True):
        np.testing.assert_array_equal(left.rows, right.rows)
        for name, values in left.inputs.items():
            np.testing.assert_array_equal(right.inputs[name], values)
    for left, right in zip(expected.answers, read.answers, strict=True):
        np.testing.assert_array_equal(left, right)
    np.testing.assert_array_equal(expected.logits, read.logits)
    np.testing.assert_array_equal(expected.ends, read.ends)


def test_it_asks_of_several_shapes_with_padding_and_of_every_question(
    expected: Expected, arrays: Arrays, geometry: Geometry, tokeniser: PairTokeniser
) -> None:
    shapes = {call["input_ids"].shape for call in expected.calls}
    assert {1, 2} < {rows for rows, _ in shapes}
    assert max(tokens for _, tokens in shapes) == 512
    assert any((call["attention_mask"] == 0).any() for call in expected.calls)
    for call, answer in zip(expected.calls, expected.answers, strict=True):
        np.testing.assert_allclose(answer, oracle.logits(arrays, geometry, call), atol=1e-4)
    _, verifying = questions(tokeniser)
    assert expected.ends.tolist() == np.cumsum([len(question.pairs) for question in verifying]).tolist()
    assert len(expected.logits) == expected.ends[-1]


def damage_nothing_there(path: Path) -> None:
    path.unlink()


def damage_cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def damage_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[2000] ^= 0xFF
    path.write_bytes(data)


def damage_empty(path: Path) -> None:
    path.write_bytes(b"")


def damage_other(path: Path) -> None:
    np.savez(path, other=np.zeros(3))


def damage_plain_array(path: Path) -> None:
    np.save(path.with_suffix(".npy"), np.zeros(3))
    path.with_suffix(".npy").replace(path)


def damage_pickle(path: Path) -> None:
    np.savez(path, logits=np.array([object()]), ends=np.zeros(1))


@pytest.mark.parametrize(
    "damage",
    [
        damage_nothing_there,
        damage_cut,
        damage_byte,
        damage_empty,
        damage_other,
        damage_plain_array,
        damage_pickle,
    ],
)
def test_a_file_that_is_damaged_is_named(damage: Callable[[Path], None], nli_folder: Path, tmp_path: Path) -> None:
    shutil.copy(nli_folder / EXPECTED_FILE, tmp_path)
    damage(tmp_path / EXPECTED_FILE)

    with pytest.raises(ModelUnusable, match=r"expected\.npz cannot be read .* Build the model again"):
        Expected.load(tmp_path)
