"""Key that signs sessions."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from web.auth.sessions import secret_key
from yeban.errors import ConfigurationError
from yeban.settings import Settings


def test_it_is_created_once_and_readable_by_its_owner_alone(tmp_path):
    settings = Settings(data_dir=tmp_path / "data")
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: secret_key(settings), range(16)))
    assert len(keys) == 1
    assert len(keys.pop()) >= 48
    [stored] = (tmp_path / "data").iterdir()
    assert stat.S_IMODE(stored.stat().st_mode) == 0o600


def test_a_configured_key_wins_and_must_be_long(tmp_path):
    assert secret_key(Settings(data_dir=tmp_path, secret_key="k" * 32)) == "k" * 32
    with pytest.raises(ConfigurationError, match="too short"):
        secret_key(Settings(data_dir=tmp_path, secret_key="k" * 31))
    assert list(tmp_path.iterdir()) == []


def test_a_key_that_cannot_be_stored_is_a_configuration_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="YEBAN_SECRET_KEY"):
        secret_key(Settings(data_dir=tmp_path / "file" / "data"))
