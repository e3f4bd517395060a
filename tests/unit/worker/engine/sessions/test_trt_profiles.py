from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.engine.sessions.trt_profiles import Profile, fit, profiles

PROFILES = profiles(max_tokens=512, block_tokens=16_384)


def of(rows: int, tokens: int, available: tuple[Profile, ...] = PROFILES) -> list[tuple[int, Profile]]:
    return [(piece.stop - piece.start, available[piece.profile]) for piece in fit(available, rows, tokens)]


@given(rows=st.integers(1, 20_000), tokens=st.integers(1, 512))
def test_every_call_is_cut_into_pieces_that_their_profiles_hold(rows: int, tokens: int) -> None:
    pieces = list(fit(PROFILES, rows, tokens))

    assert pieces[0].start == 0
    assert pieces[-1].stop == rows
    assert all(left.stop == right.start for left, right in pairwise(pieces))
    assert all(PROFILES[piece.profile].holds(piece.stop - piece.start, tokens) for piece in pieces)


def test_no_profile_needs_more_memory_than_a_block() -> None:
    assert all(profile.rows.most * profile.tokens.most <= 16_384 for profile in PROFILES)


@given(tokens=st.integers(9, 512))
def test_a_whole_block_is_one_call_or_two(tokens: int) -> None:
    assert len(of(16_384 // tokens, tokens)) <= 2


def test_a_handful_of_rows_gets_kernels_for_a_handful() -> None:
    ((_, short),) = of(6, 30)
    ((_, long),) = of(6, 300)

    assert short.rows.best <= 16
    assert long.rows.best <= 16


def test_many_rows_are_cut_evenly() -> None:
    assert [rows for rows, _ in of(100, 300)] == [25, 25, 25, 25]


def test_rows_that_are_too_long_fit_nowhere() -> None:
    assert of(1, 513) == []


def test_no_rows_need_no_profile() -> None:
    assert of(0, 20) == []


@pytest.mark.parametrize("max_tokens", [8, 20, 64, 128, 500, 512])
@pytest.mark.parametrize("max_batch", [None, 1, 5])
def test_profiles_cover_a_model_of_any_length_within_the_batch_allowed(max_tokens: int, max_batch: int | None) -> None:
    made = profiles(max_tokens=max_tokens, block_tokens=4096, max_batch=max_batch)

    assert all(of(3, tokens, made) for tokens in range(1, max_tokens + 1))
    assert of(1, max_tokens + 1, made) == []
    for profile in made:
        assert profile.rows.least <= profile.rows.best <= profile.rows.most <= (max_batch or 4096)
        assert profile.tokens.least <= profile.tokens.best <= profile.tokens.most <= max_tokens
