"""The pictures of the tour."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
_TOUR = ROOT / "docs" / "web.md"
_PICTURES = ROOT / "docs" / "screenshots"
_MOST_BYTES, _MOST_BYTES_IN_ALL = 100_000, 1_200_000


def test_every_picture_is_shown_and_said_in_words() -> None:
    shown = re.findall(r"!\[([^]]*)\]\(screenshots/([\w-]+\.png)\)", _TOUR.read_text(encoding="utf-8"))

    assert sorted(name for _, name in shown) == sorted(path.name for path in _PICTURES.iterdir())
    assert all(len(words) > 20 for words, _ in shown)


def test_pictures_are_small() -> None:
    sizes = {path.name: path.stat().st_size for path in _PICTURES.iterdir()}

    assert {name: size for name, size in sizes.items() if size > _MOST_BYTES} == {}
    assert sum(sizes.values()) <= _MOST_BYTES_IN_ALL
