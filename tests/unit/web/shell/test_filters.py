from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from flask import Flask

from web.i18n import locale
from web.shell import filters
from yeban.database.tables.states import JobState
from yeban.errors import Message, msg


@pytest.fixture(scope="module")
def app() -> Flask:
    made = Flask("web")
    locale.install(made)
    return made


@pytest.fixture
def said(app: Flask) -> Callable[..., str]:
    def say(language: str, write: Callable[[object], str], value: object) -> str:
        with app.test_request_context(headers={"Accept-Language": language}):
            return write(value)

    return say


@pytest.mark.parametrize(
    ("write", "value", "english", "chinese"),
    [
        (filters.percent, 0.1234, "12.3%", "12.3%"),
        (filters.percent, 1, "100.0%", "100.0%"),
        (filters.percent, None, "–", "–"),
        (filters.count, 1234567, "1,234,567", "1,234,567"),
        (filters.count, 0, "0", "0"),
        (filters.duration, None, "–", "–"),
        (filters.duration, 0.04, "0.0 s", "0.0 秒"),
        (filters.duration, 9.94, "9.9 s", "9.9 秒"),
        (filters.duration, 9.96, "10 s", "10 秒"),
        (filters.duration, 59.4, "59 s", "59 秒"),
        (filters.duration, 59.6, "1 min 0 s", "1 分 0 秒"),
        (filters.duration, 200, "3 min 20 s", "3 分 20 秒"),
        (filters.duration, 3599.6, "1 h 0 min", "1 小时 0 分"),
        (filters.duration, 7265, "2 h 1 min", "2 小时 1 分"),
        (filters.duration, 180000, "2 d 2 h", "2 天 2 小时"),
        (filters.sentence, JobState.COMPLETED_WITH_ERRORS.message, "completed with errors", "已完成，有错误"),
        (filters.sentence, msg("The file is empty."), "The file is empty.", "文件是空的。"),
        (filters.sentence, Message.verbatim("CUDA error"), "CUDA error", "CUDA error"),
    ],
)
def test_figures_and_words(said, write, value, english, chinese):
    assert said("en", write, value) == english
    assert said("zh-CN", write, value) == chinese


@pytest.fixture
def in_shanghai(monkeypatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("in_shanghai")
def test_a_moment_is_in_the_servers_time_zone(said):
    moment = datetime(2026, 11, 6, 22, 5, 9, tzinfo=UTC)

    assert said("en", filters.when, moment) == "7 Nov 2026, 06:05:09"
    assert said("zh", filters.when, moment) == "2026-11-07 06:05:09"
