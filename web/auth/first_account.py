"""First account of a new database."""

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
    """Create ``admin`` with ``YEBAN_ADMIN_PASSWORD`` where no account exists, or log how to create one.

    Raises :class:`~yeban.errors.ConfigurationError` for an invalid password.
    """
    database = Database(database_url, pool_size=1)
    try:
        database.check_schema()
        if not people.is_empty(database):
            return
        if settings.admin_password is None:
            log.warning("there are no accounts yet: create one with `yeban account add NAME --admin`")
            return
        people.create_account(database, _NAME, settings.admin_password, role=Role.ADMIN)
        log.info("created the first account", extra={"account_name": _NAME})
    except Conflict:
        return  # another web server created it first
    except InvalidRequest as error:
        raise ConfigurationError(msg("YEBAN_ADMIN_PASSWORD: %(problem)s", problem=error.message)) from error
    except (ConfigurationError, ServiceUnavailable) as error:  # the database or its schema may follow
        log.warning("cannot check whether accounts exist: %s", error.detail)
    finally:
        database.close()
