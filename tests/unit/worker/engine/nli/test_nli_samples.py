from __future__ import annotations

from worker.engine.nli.samples import ordinary_texts, questions
from worker.engine.tokenisers.pairs import PairTokeniser


def test_texts_to_fit_on_and_to_verify_on_are_not_the_same(tokeniser: PairTokeniser) -> None:
    fitting, verifying = questions(tokeniser)

    texts = [
        {tuple(question.pairs[0].input_ids[: question.pairs[0].boundary]) for question in asked}
        for asked in (fitting, verifying)
    ]
    assert len(fitting) + len(verifying) == len(ordinary_texts())
    assert abs(len(fitting) - len(verifying)) <= 1
    # Of a small vocabulary, a few texts are the same unknown characters.
    assert len(texts[0] & texts[1]) < 5


def test_both_halves_meet_every_label_set(tokeniser: PairTokeniser) -> None:
    for asked in questions(tokeniser):
        assert len({tuple(tuple(p.input_ids[p.boundary :]) for p in question.pairs) for question in asked}) >= 8
        assert all(len(question.pairs) > 1 for question in asked)


def test_texts_are_all_different_and_of_many_lengths() -> None:
    texts = ordinary_texts()

    assert len(set(texts)) == len(texts) >= 200
    assert min(map(len, texts)) < 5
    assert max(map(len, texts)) > 300
