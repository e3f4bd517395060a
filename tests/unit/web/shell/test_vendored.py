"""What others wrote lies here as they published it, with its licence; pages load nothing from other hosts."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[4]
#: What pages are sent, and what only tests use.
FOLDERS = [ROOT / "web/static/vendor", ROOT / "tests/browser/vendor"]
TEMPLATES = sorted((ROOT / "web/templates").rglob("*.html"))
OWN = sorted(path for path in (ROOT / "web/static").rglob("*") if path.suffix in {".css", ".js", ".svg"})

_FACTS = {"package", "version", "source", "sha256", "license", "license_file"}
# Addresses that name something, or stand for one, and are never asked for.
_NAMES = ("http://www.w3.org/", "https://example.com/")


def _manifest(folder: Path) -> dict[str, dict[str, Any]]:
    read: dict[str, dict[str, Any]] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return read


def _short(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("folder", FOLDERS, ids=_short)
def test_every_file_is_in_the_manifest_as_it_was_published(folder: Path) -> None:
    manifest = _manifest(folder)

    licences = {entry["license_file"] for entry in manifest.values()}
    third_parties = {f"{Path(name).stem}.THIRD-PARTY" for name in licences}
    files = {path.name for path in folder.iterdir()} - {"manifest.json"}
    assert files - third_parties == set(manifest) | licences
    for name, entry in manifest.items():
        assert set(entry) == _FACTS, name
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == entry["sha256"], name
        assert entry["version"] in entry["source"], name
        assert (folder / entry["license_file"]).stat().st_size > 200, name


def test_what_tests_use_is_not_installed_with_yeban() -> None:
    setup = (ROOT / "setup.cfg").read_text(encoding="utf-8")
    packages = setup.partition("[options.packages.find]")[2].partition("[")[0]

    assert "tests" not in packages


@pytest.mark.parametrize("path", [*TEMPLATES, *OWN], ids=_short)
def test_nothing_is_loaded_from_another_host(path: Path) -> None:
    addresses = re.findall(r"(?:https?:)?//[\w.-]+\.[a-z]{2,}[^\s\"'<>)]*", _code(path))

    assert [address for address in addresses if not address.startswith(_NAMES)] == []


@pytest.mark.parametrize("path", TEMPLATES, ids=_short)
def test_what_a_page_loads_is_a_static_file_that_is_there(path: Path) -> None:
    source = path.read_text(encoding="utf-8")

    loaded = re.findall(
        r"<(?:script|link|img|source|iframe|object|embed)\b[^>]*?\b(?:src|href|data)=\"([^\"]*)\"", source
    )
    for address in loaded:
        found = re.fullmatch(r"\{\{ ?url_for\('static', filename='([^']+)'\) ?\}\}", address)
        assert found, f"{address} is not a static file of ours"
        assert (ROOT / "web/static" / found[1]).is_file(), address


@pytest.mark.parametrize("path", TEMPLATES, ids=_short)
def test_a_page_has_no_script_or_style_of_its_own(path: Path) -> None:
    """The Content-Security-Policy forbids them, so they would do nothing."""
    source = path.read_text(encoding="utf-8")

    assert not re.search(r"<style|\sstyle=|\son\w+=|\shx-on|javascript:|<script(?![^>]*\bsrc=)", source)


def _code(path: Path) -> str:
    """The file without its comments, and without what a field shows while it is empty."""
    return re.sub(
        r"/\*.*?\*/|^\s*//.*?$|\{#.*?#\}|\splaceholder=\"[^\"]*\"",
        "",
        path.read_text(encoding="utf-8"),
        flags=re.DOTALL | re.MULTILINE,
    )
