"""Blueprints whose routes declare their access policy."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Literal

from flask import Blueprint, Flask, request
from werkzeug.routing import Rule

from web.http import csrf

#: A rate limit of an account: requests and single texts a minute, uploads an hour.
Limit = Literal["requests", "texts", "uploads"]


class Access(Enum):
    """Callers that a route admits where accounts are on."""

    PUBLIC = auto()
    SIGNED_IN = auto()
    ADMIN = auto()


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Callers that a route admits, and what one request costs them."""

    access: Access
    limit: Limit = "requests"  # public routes are not limited
    cost: int = 1
    uses_session: bool = True  # a route that does not neither reads nor renews the session
    csrf_in_view: bool = False  # the view takes large forms: it calls csrf.protect() once it has set their limits


def signed_in(*, limit: Limit = "requests", cost: int = 1, csrf_in_view: bool = False) -> Policy:
    """Admit every account, and charge ``cost`` against its ``limit``."""
    return Policy(access=Access.SIGNED_IN, limit=limit, cost=cost, csrf_in_view=csrf_in_view)


PUBLIC = Policy(access=Access.PUBLIC)
#: Static files, health checks and metrics.
SESSIONLESS = Policy(access=Access.PUBLIC, uses_session=False)
SIGNED_IN = signed_in()
ADMIN = Policy(access=Access.ADMIN)


class _Rule(Rule):
    """A route with its policy; a route without one answers 403."""

    def __init__(self, *args: Any, policy: Policy | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self.policy = policy


class _Blueprint(Blueprint):
    """A blueprint that takes no route without a policy."""

    def add_url_rule(self, *args: Any, policy: Policy, **options: Any) -> None:  # type: ignore[override]
        super().add_url_rule(*args, policy=policy, **options)


pages = _Blueprint("pages", __name__)
api = _Blueprint("api", __name__, url_prefix="/api/v1")
#: Health checks and metrics, outside the API's version.
probes = _Blueprint("probes", __name__)


def install(app: Flask) -> None:
    """Add the blueprints and the static files to ``app``, which has none yet."""
    app.url_rule_class = _Rule
    app.static_folder = "static"
    app.add_url_rule("/static/<path:filename>", endpoint="static", view_func=app.send_static_file, policy=SESSIONLESS)
    for blueprint in (api, probes, pages):
        app.register_blueprint(blueprint)


def current_policy() -> Policy | None:
    """Return the policy of the matched route; ``None`` without one."""
    return getattr(request.url_rule, "policy", None)


@pages.before_request
def _protect() -> None:
    policy = current_policy()
    if request.method == "POST" and not (policy is not None and policy.csrf_in_view):
        csrf.protect()
