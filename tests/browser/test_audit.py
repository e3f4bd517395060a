"""The audit forgives what leaving a page cuts short, and nothing that failed."""

from __future__ import annotations

from typing import Any

from tests.browser.audit import _but_cut_short

_PLACE = "http://127.0.0.1:1/static/vendor/htmx.min.js 0:28558"


def _entries(*events: str) -> list[dict[str, Any]]:
    return [{"level": "SEVERE", "message": f'{_PLACE} "htmx:{event}"'} for event in events]


def test_a_request_that_leaving_the_page_cuts_short_is_no_fault() -> None:
    said = _entries("afterRequest, [object HTMLParagraphElement]", "sendAbort, [object HTMLParagraphElement]")

    assert _but_cut_short(said) == []


def test_a_request_that_failed_is_one() -> None:
    failed = _entries("afterRequest, [object HTMLDivElement]", "sendError, [object HTMLDivElement]")
    cut = _entries("afterRequest, [object HTMLParagraphElement]", "sendAbort, [object HTMLParagraphElement]")

    assert _but_cut_short([*failed, *cut]) == failed
    assert _but_cut_short(_entries("responseError, [object HTMLDivElement]")) != []
