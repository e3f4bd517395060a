"""Character n-grams and their weights."""

from __future__ import annotations

import numpy as np

from worker.refinement.ngrams import NGrams


def test_rows_have_unit_length_or_none():
    ngrams = NGrams.fit(["退款太慢", "退款没到", "退款失败", "物流太慢"])
    lengths = np.sqrt(ngrams.matrix(["退款太慢", "", "ZZZ"]).power(2).sum(axis=1)).ravel()
    assert np.allclose(lengths, [1, 0, 0])


def test_only_what_three_texts_share_counts():
    # 退, 款, 退款 and nothing else.
    ngrams = NGrams.fit(["退款甲", "退款乙", "退款丙"])
    assert len(ngrams) == 3
    assert ngrams.matrix(["退款甲"]).nnz == 3
    assert ngrams.matrix(["甲退"]).nnz == 1


def test_an_ngram_never_spans_two_texts():
    ngrams = NGrams.fit(["ab", "ab", "ab", "ba", "ba", "ba"])
    assert ngrams.matrix(["a", "b"]).nnz == 2


def test_case_and_width_do_not_matter():
    ngrams = NGrams.fit(["iPhone"] * 3)
    assert (ngrams.matrix(["ＩＰＨＯＮＥ"]) != ngrams.matrix(["iphone"])).nnz == 0


def test_rare_ngrams_weigh_more_than_common_ones():
    ngrams = NGrams.fit(["甲"] * 90 + ["乙"] * 10)
    row = ngrams.matrix(["甲乙"]).toarray()[0]
    common, rare = ngrams.matrix(["甲"]).indices[0], ngrams.matrix(["乙"]).indices[0]
    assert row[rare] > row[common] > 0


def test_lone_surrogates_and_long_texts_are_read():
    texts = ["\ud83d 退款", "长" * 100_000, "\ud83d"] * 3
    assert NGrams.fit(texts).matrix(texts).shape[0] == 9
