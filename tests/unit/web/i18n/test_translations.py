"""The catalogues hold all that the pages say, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import read_mo

from scripts import catalogues
from scripts.catalogues import TRANSLATED, extracted, path_of, read, updated, written

_NAMED = re.compile(r"%\(\w+\)[a-z]|%%|\{\w+\}")
#: English that stays in Chinese: what people type, file formats, and names.
_NAMES = re.compile(
    r"YEBAN_\w+(=[a-z]+)?|yeban\[gpu\]|`?yeban( [a-z]+| NAME| --admin)*|pip install|postgresql://\S+|https?(://\S*)?|"
    r"Content-Type: \S+|Authorization: Bearer|multipart/form-data|Idempotency-Key|label_set|labels|“file”|"
    r"name|description|examples|csv|xlsx|jsonl|tab|comma|semicolon|pipe|none|utf-(8|16)|gb18030|big5|text|"
    r"e5-small|StructBERT|BERT|EMBEDDING|CROSS-ENCODER|do_basic_tokenize|never_split|onnxruntime|ONNX Runtime|"
    r"TensorRT|tensorrt|torch|OpenVINO|CUDA|NVIDIA|GPU|pip|int64|float32|Redis|PostgreSQL|"
    r"CSV|TSV|XLSX|JSONL?|PDF|XML|Excel|Parquet|gzip|7z|rar|zip|\.xls[xb]?|Strict Open XML|UTF-(8|16)|GB18030|"
    r"2xx|MiB|KiB|NUL|ASCII|Cookie|URL|HTTP|API|POST|Standard Webhooks|Webhook|Python|curl"
)
_WORD = re.compile(r"[A-Za-z]{2,}")
#: The Chinese leaves the id out: a page's address has it, and an API answer has it as a field.
_WITHOUT_ID = "The job %(public_id)s does not exist, or you do not have access to it."


@pytest.fixture(scope="module")
def current() -> Catalog:
    return extracted()


@pytest.fixture(params=TRANSLATED)
def language(request) -> str:
    return str(request.param)


def _messages(catalogue: Catalog) -> dict[tuple[str | None, str], Message]:
    return {(message.context, _first(message.id)): message for message in catalogue if message.id}


def _first(text: str | tuple[str, ...]) -> str:
    return text if isinstance(text, str) else text[0]


def _strings(message: Message) -> list[str]:
    return [message.string or ""] if isinstance(message.string, str) else list(message.string or [""])


def test_there_is_a_catalogue_for_every_language_but_english():
    assert TRANSLATED
    assert sorted(path.name for path in catalogues.TRANSLATIONS.iterdir()) == sorted(TRANSLATED)


def test_all_that_is_said_is_translated_and_nothing_else(current, language):
    kept = _messages(read(language))

    assert kept.keys() == _messages(current).keys()  # scripts/translate brings it up to date
    assert [key for key, message in kept.items() if not all(_strings(message))] == []
    assert [key for key, message in kept.items() if message.fuzzy] == []
    assert not read(language).obsolete


def test_a_catalogue_is_as_the_script_writes_it(language):
    assert path_of(language).read_bytes() == written(updated(read(language)))


def test_what_pages_read_is_what_people_wrote(language):
    with path_of(language).with_suffix(".mo").open("rb") as file:
        compiled = {key: _strings(message) for key, message in _messages(read_mo(file)).items()}

    assert compiled == {key: _strings(message) for key, message in _messages(read(language)).items()}


def test_places_are_the_same_in_the_translation(language):
    for (_context, text), message in _messages(read(language)).items():
        for string in _strings(message):
            if isinstance(message.id, tuple):  # Chinese has one form; the other may leave the number out
                assert set(_NAMED.findall(string)) <= set(_NAMED.findall(message.id[1])), text
            elif not text.startswith(_WITHOUT_ID):
                assert sorted(_NAMED.findall(string)) == sorted(_NAMED.findall(text)), text


def test_chinese_has_no_english_words_but_names():
    for (_context, text), message in _messages(read("zh")).items():
        for string in _strings(message):
            assert list(_english(string)) == [], text


def _english(string: str) -> Iterator[str]:
    yield from _WORD.findall(_NAMES.sub("", _NAMED.sub("", string)))


def test_chinese_ends_its_sentences_as_english_does():
    for (_context, text), message in _messages(read("zh")).items():
        if text[-1] in ".?!" and not text.endswith("…"):
            assert _strings(message)[0][-1] in "。？！", text


def test_nothing_is_guessed_when_a_message_changes(monkeypatch):
    before = Catalog(locale="zh")
    before.add("Give at least one label.", "请至少填写一个标签。")
    changed = Catalog()
    changed.add("Give at least two labels.")
    monkeypatch.setattr(catalogues, "extracted", lambda: changed)

    after = _messages(updated(before))

    assert list(after) == [(None, "Give at least two labels.")]
    assert not after[None, "Give at least two labels."].string


def test_plurals_have_as_many_forms_as_the_language(language):
    catalogue = read(language)
    for message in catalogue:
        if isinstance(message.id, tuple):
            assert len(_strings(message)) == catalogue.num_plurals
