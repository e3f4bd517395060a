from pathlib import Path

import pytest

from yeban.errors import ConfigurationError
from yeban.settings import PREFIX, Settings, load_settings

ROOT = Path(__file__).resolve().parents[3]


def test_variables_override_defaults(monkeypatch):
    monkeypatch.setenv("YEBAN_CHUNK_ROWS", "17")
    assert load_settings().chunk_rows == 17


def test_an_empty_variable_counts_as_unset(monkeypatch):
    monkeypatch.setenv("YEBAN_PORT", "")
    assert load_settings().port == 8400


def test_a_bad_value_names_its_variable(monkeypatch):
    monkeypatch.setenv("YEBAN_CHUNK_ROWS", "many")
    monkeypatch.setenv("YEBAN_LEASE_S", "-1")
    with pytest.raises(ConfigurationError, match=r"YEBAN_CHUNK_ROWS.*YEBAN_LEASE_S"):
        load_settings()


def test_a_secret_may_come_from_a_file(monkeypatch, tmp_path):
    (tmp_path / "url").write_text("postgresql://u:p@h/d\n")
    monkeypatch.setenv("YEBAN_DATABASE_URL_FILE", str(tmp_path / "url"))
    assert load_settings().database_url == "postgresql://u:p@h/d"


def test_a_secret_given_twice_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("YEBAN_DATABASE_URL_FILE", str(tmp_path / "url"))
    monkeypatch.setenv("YEBAN_DATABASE_URL", "postgresql://h/d")
    with pytest.raises(ConfigurationError, match="not both"):
        load_settings()


def test_a_secret_file_that_is_missing_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("YEBAN_REDIS_URL_FILE", str(tmp_path / "none"))
    with pytest.raises(ConfigurationError, match="YEBAN_REDIS_URL_FILE: cannot read"):
        load_settings()


def test_every_setting_has_a_description_and_stands_in_the_example_file():
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    for name, info in Settings.model_fields.items():
        assert info.description, name
        assert f"{PREFIX}{name.upper()}=" in example, name


def test_a_secret_s_file_with_nothing_in_it_is_told_of(monkeypatch, tmp_path):
    (tmp_path / "token").write_text(" \n", encoding="utf-8")
    monkeypatch.setenv("YEBAN_TOKEN_FILE", str(tmp_path / "token"))
    with pytest.raises(ConfigurationError, match=r"YEBAN_TOKEN_FILE: the file .* is empty"):
        load_settings()
