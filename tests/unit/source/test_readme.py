"""The README in Chinese says what the English one says: whoever changes one is told to change the other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
ENGLISH = (ROOT / "README.md").read_text(encoding="utf-8")
CHINESE = (ROOT / "README.zh-CN.md").read_text(encoding="utf-8")

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def _prose(text: str) -> str:
    return _BLOCK.sub("", text)


def _headings(text: str) -> list[int]:
    return [len(hashes) for hashes in re.findall(r"^(#+) ", _prose(text), re.MULTILINE)]


def _links(text: str) -> list[str]:
    return re.findall(r"\]\(([^)]+)\)", _prose(text))


def _code(text: str) -> list[str]:
    """What stands between backticks in a line."""
    return re.findall(r"(?<!`)`([^`\n]+)`(?!`)", _prose(text))


def test_they_lead_to_one_another_in_their_first_lines():
    assert "(README.zh-CN.md)" in ENGLISH.partition("\n\n")[2].splitlines()[0]
    assert "(README.md)" in CHINESE.partition("\n\n")[2].splitlines()[0]


def test_they_have_the_same_headings():
    assert _headings(CHINESE) == _headings(ENGLISH)


def test_they_have_the_same_blocks_but_for_what_is_said_beside_a_command():
    def blocks(text: str) -> list[tuple[str, str]]:
        return [(kind, re.sub(r" +# .*", "", block) if kind == "sh" else block) for kind, block in _BLOCK.findall(text)]

    assert blocks(CHINESE) == blocks(ENGLISH)


def test_they_have_the_same_links():
    other = {"README.md": "README.zh-CN.md"}

    assert [other.get(link, link) for link in _links(CHINESE)] == _links(ENGLISH)


def test_they_name_the_same_things():
    assert sorted(_code(CHINESE)) == sorted(_code(ENGLISH))


def test_they_have_as_many_points():
    def points(text: str) -> int:
        return len(re.findall(r"^- ", text, re.MULTILINE))

    assert points(CHINESE) == points(ENGLISH)


@pytest.mark.parametrize("link", sorted({*_links(ENGLISH), *_links(CHINESE)}))
def test_a_link_leads_somewhere(link: str) -> None:
    assert (ROOT / link.partition("#")[0]).exists()
