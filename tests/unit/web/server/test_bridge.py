"""The WSGI environ of a request, and responses in blocks."""

from __future__ import annotations

import io
from typing import Any

import pytest

from web.server.bridge import wsgi_environ


def environ(target: bytes = b"/", headers: tuple[tuple[bytes, bytes], ...] = ()) -> dict[str, Any]:
    path, _, query = target.partition(b"?")
    scope = {
        "method": "GET",
        "raw_path": path,
        "query_string": query,
        "http_version": "1.1",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.2", 40000),
        "headers": list(headers),
    }
    return wsgi_environ(scope, io.BytesIO())


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"/a%2Fb%20c?d=%20", b"/a/b c", "d=%20"),
        (b"/%E6%88%91", "/我".encode(), ""),
        (b"/%FF", b"/\xff", ""),
        (b"http://example.com/a?b", b"/a", "b"),
        (b"http://example.com", b"/", ""),
        (b"//example.com/a", b"//example.com/a", ""),
    ],
)
def test_paths_are_decoded_to_bytes_and_queries_are_not(target, path, query):
    made = environ(target)
    assert (made["PATH_INFO"].encode("latin-1"), made["QUERY_STRING"]) == (path, query)


def test_a_header_with_an_underscore_does_not_pass_for_another():
    made = environ(headers=((b"x_forwarded_for", b"10.0.0.1"), (b"x-forwarded-for", b"10.0.0.2")))
    assert made["HTTP_X_FORWARDED_FOR"] == "10.0.0.2"


def test_repeated_headers_are_joined_and_those_of_the_body_have_no_prefix():
    made = environ(headers=((b"accept", b"a"), (b"accept", b"b"), (b"content-type", b"c"), (b"content-length", b"0")))
    assert (made["HTTP_ACCEPT"], made["CONTENT_TYPE"], made["CONTENT_LENGTH"]) == ("a,b", "c", "0")
