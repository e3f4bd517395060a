"""Every word of the templates goes through the catalogue."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from jinja2 import Environment

from tests.fixtures.template_text import text_of

TEMPLATES = Path(__file__).resolve().parents[4] / "web" / "templates"
#: Names and units that are the same in every language.
SAME_EVERYWHERE = frozenset(
    {
        "Yeban",
        "夜班",
        "CSV",
        "TSV",
        "XLSX",
        "JSON",
        "JSONL",
        "Excel",
        "curl",
        "Python",
        "OpenAPI",
        "MiB",
        "ms",
        "F1",
        "UTC",
    }
)
# Addresses, and how figures are written.
_SAME = re.compile(r"https?://\S+|%\+?\.\d[fg]|#%d")
_WORD = re.compile(r"[^\W\d_]+\d*")


@pytest.fixture
def environment() -> Environment:
    return Environment(extensions=["jinja2.ext.i18n"], autoescape=True)


@pytest.mark.parametrize("path", sorted(TEMPLATES.rglob("*.html")), ids=lambda path: path.name)
def test_a_template_says_nothing_by_itself(environment: Environment, path: Path) -> None:
    said = text_of(environment, path.read_text(encoding="utf-8"))

    words = [word for text in said for word in _WORD.findall(_SAME.sub("", text))]
    assert [word for word in words if word not in SAME_EVERYWHERE] == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("<p>Text</p>", ["Text"]),
        ("<p>{{ _('Text') }}</p>", []),
        ("<p>{{ name }} of {{ count }}</p>", ["of"]),
        ("<p class='hint'>{{ value }}</p>", []),
        ("<input placeholder='none'>", ["none"]),
        ("<input placeholder=\"{{ _('none') }}\" name='text'>", []),
        ("<button data-confirm='Really?'>{{ name }}</button>", ["Really?"]),
        ("<p>{{ 'rows' if many else 'row' }}</p>", ["rowsrow"]),
        ("<p class=\"{{ 'wide' if many else 'narrow' }}\"></p>", []),
        ("{% if some %}<b>Yes</b>{% else %}<b>No</b>{% endif %}", ["Yes", "No"]),
        ("{% block title %}Jobs{% endblock %}", ["Jobs"]),
        ("{% for one in all %}{{ one }}{{ ', and ' if not loop.last }}{% endfor %}", [", and"]),
        ("<pre>curl -d</pre><code>text</code><p lang='en'>Only English</p>", []),
        ("<option{% if chosen %} selected{% endif %}>skip</option>", ["skip"]),
        ("{% set name = 'x' %}{# a note #}<svg><title>Chart</title></svg>", ["Chart"]),
        ("<p>{{ field('name', 'Its name', _('Help'), wide=true) }}</p>", ["Its name"]),
        ("<input type='submit' value='Send'>", ["Send"]),
        ("<p>{{ {'a': 'First', 'b': _('Second')}[which] }}</p>", ["First"]),
    ],
)
def test_words_outside_the_catalogue_are_found(environment: Environment, source: str, found: list[str]) -> None:
    assert text_of(environment, source) == found
