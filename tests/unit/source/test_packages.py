"""What an installed Yeban has beside its Python."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
_PACKAGES = ("web", "worker", "yeban", "migrations")
#: What nothing reads once it is built, and what builds leave behind.
_LEFT_OUT = {".po", ".pyc"}


@pytest.fixture(scope="module")
def packed() -> set[Path]:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    return {
        path
        for package, patterns in setup["options.package_data"].items()
        for pattern in patterns.split(",")
        for path in (ROOT / package).glob(pattern.strip())
        if path.is_file()
    }


def test_every_file_of_a_package_is_installed_with_it(packed: set[Path]) -> None:
    files = {path for package in _PACKAGES for path in (ROOT / package).rglob("*") if path.is_file()}

    wanted = {path for path in files if path.suffix != ".py" and path.suffix not in _LEFT_OUT}
    assert sorted(str(path.relative_to(ROOT)) for path in wanted - packed) == []


@pytest.mark.parametrize("kind", ["html", "css", "js", "svg", "mo"])
def test_pages_are_installed_whole(packed: set[Path], kind: str) -> None:
    assert [path for path in packed if path.suffix == f".{kind}"]
