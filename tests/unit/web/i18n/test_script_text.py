"""The scripts have no words of their own: a page hands them over in its language, by data attributes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.script_text import words_of

SCRIPTS = sorted((Path(__file__).resolve().parents[4] / "web" / "static" / "js").glob("*.js"))
#: Lists of selectors and of names that stand by themselves.
NOT_WORDS = {'".when input:not([type=radio])"'}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_says_nothing_by_itself(path: Path) -> None:
    assert set(words_of(path.read_text(encoding="utf-8"))) - NOT_WORDS == set()


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('"use strict"; // Says nothing here.', []),
        ("button.textContent = 'Copied';", ["'Copied'"]),
        ('button.textContent = button.dataset.copied || "Copied";', ['"Copied"']),
        ("status.textContent = form.dataset.sent;", []),
        ('if (window.confirm("Really?")) go();', ['"Really?"']),
        ('place.setAttribute("aria-label", "Table");', ['"Table"']),
        ('place.setAttribute("role", "group");', []),
        ("const later = 'Try it again.';", ["'Try it again.'"]),
        ("const later = `${name} is saved`;", ["`${name} is saved`"]),
        ("const later = `${name}: ✓`;", []),
        ("const later = '请重试';", ["'请重试'"]),
        ('form.querySelector("button.primary, .actions button");', []),
        ("/* Not shown. */ names.split(/[,，、]/);", []),
    ],
)
def test_words_in_a_script_are_found(source: str, found: list[str]) -> None:
    assert words_of(source) == found
