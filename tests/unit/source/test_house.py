"""Rules that keep the layout livable; CONTRIBUTING names them."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping

import pytest

from scripts.house import Module, awkward_rate, modules, repeated_names, small_modules, top_entries
from yeban.database.tables.states import ChunkState, JobState

_TOPS = {
    "web": {
        *{"app.py", "blueprints.py", "command.py", "services.py"},
        *{"auth", "classify", "drafts", "http", "i18n", "jobs", "label_sets", "monitoring", "openapi", "results"},
        *{"server", "shell", "webhooks", "static", "templates", "translations"},
    },
    "yeban": {
        *{"client.py", "drafts.py", "errors.py", "label_sets.py", "labels.py", "settings.py"},
        *{"accounts", "chunks", "cli", "database", "jobs", "maintenance", "messaging", "results", "runtime"},
        *{"tabular", "telemetry", "webhooks"},
    },
    "worker/engine": {
        *{"batching.py", "calibration.py", "classifier.py", "manifest.py", "phrasing.py"},
        *{"shortlist.py", "stores.py"},
        *{"checkpoints", "embedding", "graphs", "models", "nli", "sessions", "tokenisers"},
    },
}
#: Words in -ing and -ed that name a thing in this field.
_NOUNS = {"batching", "embedding", "grouping", "locking", "messaging", "monitoring", "parsing", "phrasing", "ranking"}
_NOUNS |= {"tracing"}
#: Small modules that stand alone for a reason.
_SMALL = {
    "web.app": "the factory that programs and tests import",
    "web.auth.first_account": "runs before the server starts",
    "web.auth.sign_in_pages": "its routes, beside the other pages of accounts",
    "web.shell.preferences": "its routes",
    "worker.engine.models.verification": "a check of its own",
    "yeban.cli.database": "a command",
    "yeban.database.tables.drafts": "the tables of one subject",
    "yeban.database.tables.label_sets": "the tables of one subject",
    "yeban.database.tables.people": "the tables of one subject",
    "yeban.database.tables.workers": "the tables of one subject",
    "yeban.maintenance.cleanup": "domain code that another package runs",
}
_STATES = "|".join(sorted({*JobState, *ChunkState}, key=len, reverse=True))
#: A state in the text of a statement.
_STATE_LITERAL = re.compile(rf"\bstate\b\s*(=|<>|!=|IN)\s*\(?\s*'({_STATES})'", re.IGNORECASE)
#: Words that the glossary replaces, as parts of names.
_REPLACED = re.compile(r"labelset|patience|redecide")
#: File names that recur: a table module is named as the module that uses it, a command as what it commands, and the
#: modules of a model family as those of its sibling.
_RECURRING = re.compile(r"yeban/(database/tables|cli)/|worker/engine/(nli|embedding)/|worker/engine/classifier\.py")


@pytest.fixture(scope="module")
def product() -> Mapping[str, Module]:
    return modules()


@pytest.mark.parametrize("package", _TOPS)
def test_the_top_of_a_package_holds_the_named_modules_only(package: str) -> None:
    assert set(top_entries(package)) <= _TOPS[package]


def test_file_names_are_nouns(product: Mapping[str, Module]) -> None:
    stems = {name: module.path.stem for name, module in product.items()}

    assert [name for name, stem in stems.items() if re.search(r"(ing|ed)$", stem) and stem not in _NOUNS] == []


def test_small_modules_live_in_their_importer(product: Mapping[str, Module]) -> None:
    assert sorted(set(small_modules(product)) - set(_SMALL)) == []
    assert sorted(set(_SMALL) - set(small_modules(product))) == [], "no longer small: remove from the list"


def test_file_names_are_unique_within_a_package(product: Mapping[str, Module]) -> None:
    repeated = {
        name: paths
        for name, paths in repeated_names(product).items()
        if sum(not _RECURRING.match(path) for path in paths) > 1
    }

    assert repeated == {}


def test_statements_take_states_from_the_enum(product: Mapping[str, Module]) -> None:
    found = [
        f"{module.path}:{node.lineno}"
        for module in product.values()
        if module.path.parent.as_posix() != "yeban/database/tables"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _STATE_LITERAL.search(node.value)
    ]

    assert found == []


def test_names_use_the_glossary(product: Mapping[str, Module]) -> None:
    names = {
        f"{module.path}: {name}"
        for module in product.values()
        for node in ast.walk(module.tree)
        for name in (getattr(node, "id", ""), getattr(node, "name", ""), getattr(node, "attr", ""))
        if isinstance(name, str) and _REPLACED.search(name)
    }

    assert sorted(names) == []


def test_prose_is_plain(product: Mapping[str, Module]) -> None:
    assert awkward_rate(product) <= 5
