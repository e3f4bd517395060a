"""Pages on which admins manage accounts."""

from __future__ import annotations

from tests.fixtures.accounts import PASSWORD
from yeban.accounts import people
from yeban.accounts.people import Role


def test_admins_manage_accounts(accounts, person, database):
    _, admin = person("boss", role=Role.ADMIN)

    def post(path, **form):
        return admin.post(path, data=form).status_code

    assert post("/accounts", name="小李", password=PASSWORD, team="售后", role="member") == 303
    assert post("/accounts", name="小李", password=PASSWORD, role="member") == 409
    assert post("/accounts", name="小赵", password=PASSWORD) == 422  # a role has no default
    assert post("/accounts", name="小赵", password="short") == 422
    assert "小李" in admin.get("/accounts").text
    assert post("/accounts/小李", team="", role="admin") == 303
    assert people.get_account(database, "小李").role is Role.ADMIN
    assert post("/accounts/小李/password", password="quite another one") == 303
    assert people.sign_in(database, "小李", "quite another one")
    assert post("/accounts/小李", team="", role="member", disabled="on") == 303
    assert people.sign_in(database, "小李", "quite another one") is None
    assert post("/accounts/boss", team="", role="member") == 409
    assert admin.get("/accounts/nobody").status_code == 404
