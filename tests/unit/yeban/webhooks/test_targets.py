import pytest

from yeban.errors import InvalidRequest
from yeban.webhooks.targets import check, parse


@pytest.mark.parametrize(
    ("url", "host", "port", "path"),
    [
        ("https://example.com", "example.com", 443, "/"),
        ("https://Example.COM.:8443/a?b=c", "example.com", 8443, "/a?b=c"),
        ("http://10.0.0.7/hook", "10.0.0.7", 80, "/hook"),
        ("https://[2600::1]/x", "2600::1", 443, "/x"),
        ("https://例子.测试/钩子?名=值", "xn--fsqu00a.xn--0zwm56d", 443, "/%E9%92%A9%E5%AD%90?%E5%90%8D=%E5%80%BC"),
        ("https://example.com/a%2Fb?c=%20", "example.com", 443, "/a%2Fb?c=%20"),
    ],
)
def test_urls_are_taken_apart(url, host, port, path):
    target = parse(url)
    assert (target.host, target.port, target.path) == (host, port, path)
    assert parse(target.url) == target


def test_the_host_header_has_a_port_only_where_it_is_unusual():
    assert parse("https://example.com:443/").authority == "example.com"
    assert parse("http://[2600::1]:443/").authority == "[2600::1]:443"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com/hook",
        "ftp://example.com/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https://",
        "https://[v1.a]/",
        "https://[v1.a:b]/",
        "https:///path",
        "https://user:geheim@example.com/",
        "https://geheim@example.com/",
        "https://example.com/#geheim",
        "https://example.com:0/",
        "https://example.com:70000/",
        "https://example.com:x/",
        "https://example.com/a b",
        "https://example.com/a\r\nX-Header: 1",
        "https://example.com/\tgeheim",
        "https://example.com\\@10.0.0.1/",
        "https://exa%6dple.com/",
        "https://[::1/",
        "https://[fe80::1%25eth0]/",
        "https://[2600::1%25eth0]/",
        "https://-a-.example.com/",
        f"https://{'a' * 64}.example.com/",
        f"https://{'a.' * 130}com/",
        f"https://example.com/{'a' * 2000}",
        "https://example.com/\ud800",
    ],
)
def test_what_is_no_url_to_be_called_is_refused_without_being_quoted(url):
    with pytest.raises(InvalidRequest) as caught:
        check(url, private=True)
    assert caught.value.context == {"field": "url"}
    assert "geheim" not in caught.value.detail


@pytest.mark.parametrize(
    "url",
    ["https://10.0.0.7/", "https://127.0.0.1:8400/", "https://[::1]/", "https://localhost/", "https://a.localhost/"],
)
def test_addresses_of_ones_own_are_refused_at_once_unless_they_are_allowed(url):
    with pytest.raises(InvalidRequest, match="YEBAN_WEBHOOK_PRIVATE_ADDRESSES"):
        check(url, private=False)
    assert check(url, private=True).url == url
    assert check(url.replace("https", "http"), private=True)


def test_http_is_for_ones_own_network():
    for url, private in (("http://example.com/", False), ("http://93.184.215.14/", True)):
        with pytest.raises(InvalidRequest, match="https://"):
            check(url, private=private)
    assert check("http://hooks.corp.example/", private=True)  # where it leads is seen at each try


@pytest.mark.parametrize("url", ["https://169.254.169.254/latest", "https://0.0.0.0/", "https://[ff02::1]/"])
def test_some_addresses_are_never_called(url):
    with pytest.raises(InvalidRequest, match="cannot be sent to this address"):
        check(url, private=True)
