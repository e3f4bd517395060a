"""Recipes: build a model by its name, or from a folder with a checkpoint."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from worker.engine.checkpoints import hub
from worker.engine.checkpoints.bert_config import CONFIG_FILE
from worker.engine.embedding import build as e5_build
from worker.engine.manifest import Manifest
from worker.engine.nli import build as nli_build
from yeban.errors import UnknownModel, msg

_GOOD_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A model's name, and a function that fills an empty folder with it.

    ``offline`` models need no network, so they are built on first use.
    """

    name: str
    build: Callable[[Path], Manifest]
    offline: bool = False


def _fetched(name: str, scheme: str | None = None) -> Recipe:
    return Recipe(name=name, build=lambda folder: nli_build.build_into(folder, hub.fetch(name), name, scheme=scheme))


RECIPES: dict[str, Recipe] = {
    e5_build.NAME: Recipe(name=e5_build.NAME, build=e5_build.build_into, offline=True),
    **{name: _fetched(name) for name in hub.MODELS},
}
"""The models that have names here."""


def find_recipe(name_or_path: str, *, called: str | None = None, scheme: str | None = None) -> Recipe:
    """The recipe of a model with a name, or of the checkpoint in a folder.

    The model of a folder is named ``called``, or as the folder is. ``scheme`` fixes a cross-encoder's int8 scheme;
    by default the samples decide. Raises :class:`~yeban.errors.UnknownModel`.
    """
    if (known := RECIPES.get(name_or_path)) is not None:
        if called not in (None, known.name):
            raise UnknownModel(
                msg(
                    "The model %(known)s already has a name; --name is for a model in a folder. If you mean "
                    "a folder, write ./%(known)s.",
                    known=known.name,
                ),
                model=name_or_path,
            )
        return _fetched(known.name, scheme) if known.name in hub.MODELS else known
    source = Path(name_or_path)
    if not source.is_dir():
        raise UnknownModel(
            msg(
                "The model %(name_or_path)s cannot be built. Available: %(recipes)s, or a folder with a "
                "checkpoint (%(config_file)s, weights, vocabulary), named with --name.",
                name_or_path=name_or_path,
                recipes=", ".join(RECIPES),
                config_file=CONFIG_FILE,
            ),
            model=name_or_path,
        )
    name = called or source.resolve().name
    if not _GOOD_NAME.fullmatch(name) or name in RECIPES:
        raise UnknownModel(
            msg(
                "The model name %(name)s is invalid or taken. Use --name to choose another of letters, "
                "digits, dots, dashes and underscores.",
                name=repr(name),
            ),
            model=name,
        )
    return Recipe(name=name, build=lambda folder: nli_build.build_into(folder, source, name, scheme=scheme))
