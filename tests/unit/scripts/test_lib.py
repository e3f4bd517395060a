"""scripts/lib.sh: when the scripts install something into .venv."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SCRIPTS = sorted(path for path in (ROOT / "scripts").iterdir() if path.is_file() and not path.suffix)


def test_all_scripts_of_developers_ask_for_the_same_extras(tmp_path: Path) -> None:
    asked = {path.name: set(re.findall(r"ensure_venv (\S+)", path.read_text(encoding="utf-8"))) for path in SCRIPTS}

    users = asked.pop("demo")
    assert {name for name, extras in asked.items() if extras} == {
        "bench",
        "check",
        "faults",
        "house",
        "screenshots",
        "test",
        "translate",
    }
    assert set().union(*asked.values()) == {'"$developer_extras"'}
    assert len(users) == 1
    assert has_extras(stamped(tmp_path, "setup", ours()), users.pop())


def ours() -> str:
    (extras,) = re.findall(r"^developer_extras=(\S+)$", (ROOT / "scripts/lib.sh").read_text(), re.MULTILINE)
    return str(extras)


def has_extras(stamp: Path, wanted: str) -> bool:
    """Whether ``stamp`` will do for ``wanted`` of the setup that is called ``setup``."""
    script = '. scripts/lib.sh; has_extras "$1" setup "$2"'
    command = ["sh", "-c", script, str(ROOT / "scripts" / "test"), str(stamp), wanted]
    ended = subprocess.run(command, cwd=ROOT, check=False, stderr=subprocess.PIPE, text=True)
    assert ended.stderr == ""
    return ended.returncode == 0


def stamped(folder: Path, setup: str, installed: str) -> Path:
    stamp = folder / ".installed"
    stamp.write_text(f"{setup}\n{installed}\n", encoding="utf-8")
    return stamp


@pytest.mark.parametrize(
    ("setup", "installed", "wanted", "enough"),
    [
        ("setup", "web,worker", "web,worker", True),
        ("setup", "web,worker,dev", "worker", True),
        ("another", "web,worker", "web,worker", False),
        ("setup", "web,worker", "web,dev", False),
        ("setup", "web,worker,development", "dev", False),
    ],
)
def test_nothing_is_installed_where_that_and_more_is(
    tmp_path: Path, setup: str, installed: str, wanted: str, enough: bool
) -> None:
    assert has_extras(stamped(tmp_path, setup, installed), wanted) is enough


def test_without_a_stamp_everything_is_installed(tmp_path: Path) -> None:
    assert not has_extras(tmp_path / "none", "web")
