from __future__ import annotations

import traceback

import pytest

from yeban.database.engine import Database
from yeban.errors import ConfigurationError


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("geheim", "is not a database URL"),
        ("mysql://u:geheim@h/d", "uses 'mysql'"),
        ("nothing://u:geheim@h/d", "uses 'nothing'"),
        ("postgresql://u:geheim@h:geheim/d", "is not a database URL"),
        ("postgresql://u:geheim@h:5432x/d", "is not a database URL"),
        ("postgresql://u:p@geheim@h/d", "%40"),
        ("postgresql://u:geheim@h/d?sslrotcert=/ca.pem", 'invalid connection option "sslrotcert"'),
    ],
)
def test_a_bad_url_is_told_of_without_its_password(url: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Database(url)

    assert said in caught.value.detail
    assert "geheim" not in "".join(traceback.format_exception(caught.value)).replace(__file__, "")


@pytest.mark.parametrize(
    ("url", "mode"),
    [
        ("postgresql://h/d", None),
        ("postgresql://h/d?sslmode=disable", "disable"),
        ("postgresql://h/d?sslrootcert=/ca.pem", "verify-full"),
        ("postgresql://h/d?sslrootcert=/ca.pem&sslmode=verify-ca", "verify-ca"),
        ("postgresql+psycopg://h/d?sslrootcert=system", "verify-full"),
    ],
)
def test_naming_a_ca_asks_for_verification(url: str, mode: str | None) -> None:
    assert Database(url).engine.url.query.get("sslmode") == mode
