from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.fixtures.structbert import make_structbert
from worker.engine.checkpoints import hub
from worker.engine.embedding import build
from worker.engine.models import store
from worker.engine.models.recipes import RECIPES, find_recipe
from yeban.errors import EngineUnavailable, ModelUnusable, UnknownModel


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder to name."""
    (tmp_path / "mine").mkdir()
    return tmp_path / "mine"


def test_the_default_needs_no_network_and_the_others_a_hub() -> None:
    assert {name for name, recipe in RECIPES.items() if recipe.offline} == {build.NAME}
    assert set(RECIPES) == {build.NAME, *hub.MODELS}
    assert all(recipe.name == name for name, recipe in RECIPES.items())


@pytest.mark.parametrize("name", list(RECIPES))
def test_a_model_with_a_name_is_found_by_it(name: str) -> None:
    assert find_recipe(name).name == name
    assert find_recipe(name, called=name).name == name


def test_a_folder_gives_its_name_to_the_model(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_recipe(str(folder)).name == "mine"
    monkeypatch.chdir(folder)
    assert find_recipe(".").name == "mine"
    assert find_recipe(f"{folder}/").name == "mine"


def test_a_folder_may_be_given_another_name(folder: Path) -> None:
    assert find_recipe(str(folder), called="other-1.0_b").name == "other-1.0_b"


@pytest.mark.parametrize(
    "called", ["", ".hidden", "a/b", "..", "a b", "模型", "a+b", "x" * 101, "-x", "a\n", "e5-small"]
)
def test_a_bad_name_or_one_that_is_taken_is_refused(called: str, folder: Path) -> None:
    if called == "":
        folder = folder.rename(folder.with_name("有 空格"))
    with pytest.raises(UnknownModel, match="Use --name"):
        find_recipe(str(folder), called=called)


def test_a_folder_named_as_a_model_needs_another_name(tmp_path: Path) -> None:
    (tmp_path / "structbert-base").mkdir()

    with pytest.raises(UnknownModel, match="model name 'structbert-base' is invalid or taken"):
        find_recipe(str(tmp_path / "structbert-base"))
    assert find_recipe(str(tmp_path / "structbert-base"), called="mine").name == "mine"


def test_a_model_with_a_name_takes_no_other() -> None:
    with pytest.raises(UnknownModel, match="e5-small already has a name; --name is for a model in a folder"):
        find_recipe("e5-small", called="mine")


def test_what_is_neither_a_name_nor_a_folder_says_what_is(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    for path in ("gpt", str(tmp_path / "absent"), str(tmp_path / "model.safetensors")):
        with pytest.raises(UnknownModel, match=r"Available: e5-small, structbert-base, .* a folder with a checkpoint"):
            find_recipe(path)


def test_a_folder_without_a_checkpoint_says_what_it_lacks(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match=r"it has no config\.json"):
        store.build(str(folder), tmp_path / "models")
    assert [path.name for path in (tmp_path / "models").iterdir()] == [".mine.lock"]


@pytest.mark.parametrize("name", ["vocab.txt", "model.safetensors"])
def test_a_checkpoint_that_lacks_a_file_says_which(name: str, tmp_path: Path) -> None:
    source = make_structbert(tmp_path / "source", layers=1, hidden=16, intermediate=16)
    (source / name).unlink()

    with pytest.raises((ModelUnusable, EngineUnavailable), match=name.replace(".", r"\.")):
        store.build(str(source), tmp_path / "models")


def test_a_folder_is_built_once_and_again_when_forced(nli_checkpoint: Path, tmp_path: Path) -> None:
    first = store.build(str(nli_checkpoint), tmp_path, called="mine", scheme="dynamic")
    graph = tmp_path / "mine" / "fp32.onnx"
    written = graph.stat().st_mtime_ns

    assert store.build(str(nli_checkpoint), tmp_path, called="mine") == first
    assert graph.stat().st_mtime_ns == written
    assert store.build(str(nli_checkpoint), tmp_path, called="mine", scheme="dynamic", force=True) == first
    assert graph.stat().st_mtime_ns > written
    assert sorted(path.name for path in tmp_path.iterdir()) == [".mine.lock", "mine"]


def test_what_a_killed_build_left_is_cleared_away_and_nothing_else(nli_checkpoint: Path, tmp_path: Path) -> None:
    gone = (".mine.ab12_cd3", ".mine.old.ab12_cd3")
    stays = (".mine.other.ab12_cd3", ".mine2.ab12_cd3", "mine.ab12_cd3", ".mine.longer_than_that", ".other.lock")
    for name in (*gone, *stays):
        (tmp_path / name).mkdir()
        (tmp_path / name / "half").touch()

    store.build(str(nli_checkpoint), tmp_path, called="mine", scheme="dynamic")

    assert {path.name for path in tmp_path.iterdir()} == {*stays, "mine", ".mine.lock"}


def test_the_source_is_no_longer_needed(nli_model_dir: Path, nli_checkpoint: Path, tmp_path: Path) -> None:
    shutil.copytree(nli_model_dir / "nli-small", tmp_path / "elsewhere")

    text = (tmp_path / "elsewhere" / "manifest.json").read_text(encoding="utf-8")

    assert str(nli_checkpoint.parent) not in text
    assert store.load(tmp_path / "elsewhere").name == "nli-small"
