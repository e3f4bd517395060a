"""What goes wrong in a transaction is told as what it is, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import make_url, text

from yeban.database.engine import Database, copy_rows
from yeban.errors import ServiceUnavailable

_FULL = "RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'"


def test_a_full_disk_is_told_as_such(database):
    with pytest.raises(ServiceUnavailable, match="database disk is full"), database.begin() as connection:
        connection.execute(text(f"DO $$ BEGIN {_FULL}; END $$"))


def test_a_disk_that_is_full_in_mid_copy_leaves_nothing(database):
    with database.begin() as connection:
        connection.execute(text("CREATE TABLE small (n int)"))
        connection.execute(
            text(
                f"CREATE FUNCTION full_at_2() RETURNS trigger AS $$ BEGIN IF NEW.n = 2 THEN {_FULL}; END IF;"
                " RETURN NEW; END $$ LANGUAGE plpgsql"
            )
        )
        connection.execute(
            text("CREATE TRIGGER small BEFORE INSERT ON small FOR EACH ROW EXECUTE FUNCTION full_at_2()")
        )

    def rows() -> Iterator[tuple[int]]:
        yield from ((number,) for number in range(5))

    with pytest.raises(ServiceUnavailable, match="database disk is full"), database.begin() as connection:
        copy_rows(connection, "small", ("n",), rows())
    with database.begin() as connection:
        assert connection.scalar(text("SELECT count(*) FROM small")) == 0


@pytest.mark.parametrize("part", ["username", "database"])
def test_what_the_server_refuses_for_good_is_told_from_what_passes(database, part):
    wrong = Database(database.engine.url.set(**{part: "nobody"}).render_as_string(hide_password=False))
    with pytest.raises(ServiceUnavailable, match="nobody") as refused:
        wrong.ping()
    assert refused.value.context == {"lasting": True}
    away = Database(str(make_url("postgresql://127.0.0.1:1/none")))
    with pytest.raises(ServiceUnavailable) as lost:
        away.ping()
    assert lost.value.context == {}
