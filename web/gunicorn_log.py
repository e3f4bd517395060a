"""gunicorn's own records, in the form of all others."""

from __future__ import annotations

import logging
from typing import Any

from gunicorn.glogging import Logger


class GunicornLog(Logger):  # type: ignore[misc]
    """Leaves handlers and form to the root logger."""

    def setup(self, cfg: Any) -> None:
        """Called by gunicorn once it knows its configuration, and again when that is reloaded."""
        super().setup(cfg)
        for logger in (self.error_log, self.access_log):
            logger.handlers.clear()
            logger.propagate = True
        # Below that it tells the paths of requests, which are whatever the caller typed.
        self.error_log.setLevel(max(self.error_log.level, logging.INFO))
