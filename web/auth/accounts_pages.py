"""``/accounts``: admins manage the accounts."""

from __future__ import annotations

from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as AnyResponse

from web.blueprints import ADMIN, pages
from web.http import errors as problems
from web.http.parsing import Fields, fields
from web.services import services
from yeban.accounts import passwords, people
from yeban.accounts.people import Account, Role
from yeban.errors import Conflict, InvalidRequest

_LIST = "accounts.html"
_ONE = "person.html"
_CHOICES = {"roles": list(Role), "least_chars": passwords.LEAST_CHARS}


class NewAccountForm(Fields):
    """Fields of a new account."""

    name: str = ""
    team: str = ""
    role: Role
    password: str = ""


class ChangeForm(Fields):
    """Team, role and state of an account."""

    team: str = ""
    role: Role
    disabled: bool = False


class ResetForm(Fields):
    """New password of another account."""

    username: str = ""  # for password managers; ignored here
    password: str = ""
    revoke_tokens: bool = False


@pages.get("/accounts", policy=ADMIN)
def index_accounts() -> str:
    """List the accounts."""
    return render_template(_LIST, values={}, **_list_context())


@pages.post("/accounts", policy=ADMIN)
def add_account() -> AnyResponse:
    """Create an account."""
    try:
        form = fields(NewAccountForm, request.form)
        made = people.create_account(services().database, form.name, form.password, role=form.role, team=form.team)
    except (InvalidRequest, Conflict) as error:
        return problems.page(_LIST, error, values=request.form, **_list_context())
    flash(_("The account %(name)s has been added.", name=made.name))
    return redirect(url_for("pages.index_accounts"), 303)


@pages.get("/accounts/<name>", policy=ADMIN)
def show_person(name: str) -> str:
    """Show an account."""
    return render_template(_ONE, **_account_context(people.get_account(services().database, name)))


@pages.post("/accounts/<name>", policy=ADMIN)
def change_person(name: str) -> AnyResponse:
    """Change the team and role, and disable or enable the account."""
    person = people.get_account(services().database, name)
    try:
        form = fields(ChangeForm, request.form)
        people.change_account(services().database, person, role=form.role, team=form.team, disabled=form.disabled)
    except (InvalidRequest, Conflict) as error:
        return problems.page(_ONE, error, **_account_context(person))
    flash(_("Your changes to %(name)s have been saved.", name=person.name))
    return redirect(url_for("pages.index_accounts"), 303)


@pages.post("/accounts/<name>/password", policy=ADMIN)
def reset_password(name: str) -> AnyResponse:
    """Set another account's password, which ends its sessions."""
    person = people.get_account(services().database, name)
    try:
        form = fields(ResetForm, request.form)
        people.change_password(services().database, person, form.password, revoke_tokens=form.revoke_tokens)
    except InvalidRequest as error:
        return problems.page(_ONE, error, **_account_context(person))
    flash(_("The password of %(name)s has been reset. All their sessions have ended.", name=person.name))
    return redirect(url_for("pages.index_accounts"), 303)


def _list_context() -> dict[str, Any]:
    return {"people": people.list_accounts(services().database), **_CHOICES}


def _account_context(person: Account) -> dict[str, Any]:
    return {"person": person, **_CHOICES}
