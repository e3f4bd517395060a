"""``/webhooks``: webhooks and their deliveries."""

from __future__ import annotations

import uuid
from http import HTTPStatus
from typing import Any

from flask import Response, flash, make_response, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as AnyResponse

from web.auth.authentication import viewer
from web.blueprints import SIGNED_IN, pages
from web.http import errors as problems
from web.http import pagination
from web.http.parsing import Fields, fields
from web.services import services
from web.webhooks.test_message import send_test_message
from yeban.errors import Conflict, InvalidRequest, Overloaded
from yeban.webhooks import deliveries, endpoints
from yeban.webhooks.failures import Failure
from yeban.webhooks.sender import Answer

_LIST, _ONE = "webhooks.html", "webhook.html"
_PAGE_DELIVERIES = 25


class WebhookForm(Fields):
    """Fields of the form."""

    url: str = ""


@pages.get("/webhooks", policy=SIGNED_IN)
def index_webhooks() -> str:
    """List webhooks, with the form for another."""
    return render_template(_LIST, **_listed())


@pages.post("/webhooks", policy=SIGNED_IN)
def add_webhook() -> AnyResponse:
    """Create a webhook and show its secret once, or show the form with its errors."""
    try:
        form = fields(WebhookForm, request.form)
        created = endpoints.create_webhook(
            services().database,
            form.url.strip(),
            private=services().settings.webhook_private_addresses,
            viewer=viewer(),
        )
    except (Conflict, InvalidRequest) as error:
        return problems.page(_LIST, error, entered=request.form.get("url", ""), **_listed())
    return _unkept(
        render_template(_ONE, secret=created.secret, added=True, **_shown(created.webhook.id)), HTTPStatus.CREATED
    )


@pages.get("/webhooks/<uuid:webhook_id>", policy=SIGNED_IN)
def show_webhook(webhook_id: uuid.UUID) -> str:
    """One webhook and its deliveries."""
    return render_template(_ONE, **_shown(webhook_id))


@pages.post("/webhooks/<uuid:webhook_id>/delete", policy=SIGNED_IN)
def remove_webhook(webhook_id: uuid.UUID) -> AnyResponse:
    """Delete a webhook and redirect to the list."""
    endpoints.delete_webhook(services().database, webhook_id, viewer=viewer())
    flash(_("The webhook has been deleted."))
    return redirect(url_for("pages.index_webhooks"), 303)


@pages.post("/webhooks/<uuid:webhook_id>/rotate", policy=SIGNED_IN)
def renew_secret(webhook_id: uuid.UUID) -> Response:
    """Show the new secret once."""
    secret = endpoints.rotate_secret(services().database, webhook_id, viewer=viewer())
    return _unkept(render_template(_ONE, secret=secret, **_shown(webhook_id)))


@pages.post("/webhooks/<uuid:webhook_id>/end-former", policy=SIGNED_IN)
def end_former_secrets(webhook_id: uuid.UUID) -> AnyResponse:
    """Retire former secrets at once."""
    endpoints.end_former_secrets(services().database, webhook_id, viewer=viewer())
    flash(_("Messages are now signed with the new secret only."))
    return redirect(url_for("pages.show_webhook", webhook_id=webhook_id), 303)


@pages.post("/webhooks/<uuid:webhook_id>/test", policy=SIGNED_IN)
def try_webhook(webhook_id: uuid.UUID) -> Response:
    """Send a test message and show the outcome."""
    try:
        answer = send_test_message(services(), webhook_id)
    except Overloaded as error:
        return problems.page(_ONE, error, **_shown(webhook_id))
    return _unkept(render_template(_ONE, answer=answer, answer_words=_answer_words(answer), **_shown(webhook_id)))


@pages.post("/webhooks/<uuid:webhook_id>/deliveries/<uuid:delivery_id>/retry", policy=SIGNED_IN)
def try_delivery_again(webhook_id: uuid.UUID, delivery_id: uuid.UUID) -> AnyResponse:
    """Retry a delivery now."""
    deliveries.try_again(services().database, webhook_id, delivery_id, viewer=viewer())
    flash(_("The message is being sent again."))
    return redirect(url_for("pages.show_webhook", webhook_id=webhook_id), 303)


def _listed() -> dict[str, Any]:
    return {
        "webhooks": endpoints.list_webhooks(services().database, viewer=viewer()),
        "most": endpoints.MAX_WEBHOOKS,
        "private": services().settings.webhook_private_addresses,
        "sample": SAMPLE,
    }


def _shown(webhook_id: uuid.UUID) -> dict[str, Any]:
    database = services().database
    webhook = endpoints.get_webhook(database, webhook_id, viewer=viewer())
    page = deliveries.list_deliveries(
        database,
        webhook_id,
        before=pagination.decode("deliveries", request.args.get("cursor") or None),
        limit=_PAGE_DELIVERIES,
        viewer=viewer(),
    )
    return {
        "webhook": webhook,
        "deliveries": page.deliveries,
        "older": pagination.encode("deliveries", page.next_before),
        "delivery_states": {
            "waiting": _("waiting"),
            "delivered": _("delivered"),
            "given_up": _("given up"),
        },
        "events": {
            "job.completed": _("completed"),
            "job.completed_with_errors": _("completed with errors"),
            "job.failed": _("failed"),
            "job.cancelled": _("cancelled"),
            "job.expired": _("expired"),
        },
        "failures": _failure_words(),
        "sample": SAMPLE,
    }


def _answer_words(answer: Answer) -> str:
    if answer.failure is None:
        said = _("The test message arrived: status %(status)s.", status=answer.status)
    elif answer.status is not None:
        said = _("The test message was not accepted: status %(status)s.", status=answer.status)
    else:
        said = _("The test message did not arrive: %(reason)s.", reason=_failure_words()[answer.failure.value])
    return str(said)


def _failure_words() -> dict[str, str]:
    """Reason for a failed delivery, for people."""
    words = {
        Failure.NAME_NOT_FOUND: _("the host name can't be resolved"),
        Failure.ADDRESS_REFUSED: _("this address is not allowed"),
        Failure.HTTPS_REQUIRED: _("only https:// is allowed outside this network"),
        Failure.NOT_REACHED: _("the connection was refused"),
        Failure.CERTIFICATE_NOT_TRUSTED: _("its certificate is not trusted"),
        Failure.TLS_FAILED: _("the TLS connection failed"),
        Failure.TIMED_OUT: _("the receiver didn't answer in time"),
        Failure.NO_HTTP_ANSWER: _("the connection was interrupted, or the answer is not HTTP"),
        Failure.NOT_ACCEPTED: _("the receiver didn't accept it"),
        Failure.GONE: _("the receiver declined further messages"),
    }
    return {failure.value: said for failure, said in words.items()}


def _unkept(page: str, status: int = HTTPStatus.OK) -> Response:
    """Mark an answer as not to be stored by caches or history."""
    response = make_response(page, status)
    response.headers["Cache-Control"] = "no-store"
    return response


SAMPLE = '''\
import base64
import hashlib
import hmac
import time


def verify(secret, headers, body, tolerance_s=300):
    """Whether Yeban signed this message in the last minutes; `body` has the bytes exactly as they came."""
    message_id = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    if not timestamp.isdecimal() or abs(time.time() - int(timestamp)) > tolerance_s:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{message_id}.{timestamp}.".encode() + body
    wanted = b"v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
    given = headers.get("webhook-signature", "").encode().split()
    return any(hmac.compare_digest(wanted, one) for one in given)
'''
