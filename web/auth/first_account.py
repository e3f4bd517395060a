"""The first account, which nobody could make by signing in."""

from __future__ import annotations

import logging

from yeban.accounts import people
from yeban.accounts.people import Role
from yeban.database.engine import Database
from yeban.errors import ConfigurationError, Conflict, InvalidRequest, ServiceUnavailable, msg
from yeban.settings import Settings

log = logging.getLogger(__name__)

_NAME = "admin"


def make_first_account(settings: Settings, database_url: str) -> None:
    """Make the account ``admin`` with ``YEBAN_ADMIN_PASSWORD`` where there is no account, or say how to make one.

    Raises :class:`~yeban.errors.ConfigurationError` for a password that may not be one.
    """
    database = Database(database_url, pool_size=1)
    try:
        database.check_schema()
        if not people.is_empty(database):
            return
        if settings.admin_password is None:
            log.warning("nobody can sign in yet: make an account with `yeban account add NAME --admin`")
            return
        people.create_account(database, _NAME, settings.admin_password, role=Role.ADMIN)
        log.info("made the first account", extra={"account_name": _NAME})
    except Conflict:
        return  # another web server was first
    except InvalidRequest as error:
        raise ConfigurationError(msg("YEBAN_ADMIN_PASSWORD: %(problem)s", problem=error.message)) from error
    except (ConfigurationError, ServiceUnavailable) as error:  # the schema or the database may come later
        log.warning("it is not known whether there are accounts: %s", error.detail)
    finally:
        database.close()
