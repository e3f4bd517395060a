"""Accounts see their own and their team's jobs alone."""

from __future__ import annotations

from tests.fixtures.accounts import SAMPLES, sample_requests, submit_job
from tests.fixtures.browser_client import token_of
from yeban.accounts.people import Role


def test_every_route_below_a_job_is_not_found_for_others(accounts, person):
    _, owner = person("owner")
    _, stranger = person("stranger")
    job_id = submit_job(owner, **{"X-CSRF-Token": token_of(owner.get("/account").text)}).json["id"]
    token = token_of(stranger.get("/account").text)
    looked_at = 0
    for _rule, method, path in sample_requests(accounts):
        if SAMPLES["job_id"] not in path:
            continue
        looked_at += 1
        own = path.replace(SAMPLES["job_id"], job_id)
        body = {"json": {"corrections": [{"row": 1, "labels": ["a"]}]}} if method == "PUT" else {}
        response = stranger.open(own, method=method, headers={"X-CSRF-Token": token}, **body)
        assert response.status_code == 404, (path, method)
    assert looked_at >= 14
    assert job_id not in stranger.get("/jobs").text
    assert stranger.get("/api/v1/jobs").json["jobs"] == []
    assert owner.get(f"/api/v1/jobs/{job_id}").json["state"] == "queued"


def test_a_team_and_admins_may_see_and_change_a_job(accounts, person):
    _, owner = person("owner", team="after sales")
    _, colleague = person("colleague", team="after sales")
    _, admin = person("boss", role=Role.ADMIN)
    _, nobody = person("teamless")
    job_id = submit_job(owner, **{"X-CSRF-Token": token_of(owner.get("/account").text)}).json["id"]
    for client in (colleague, admin):
        assert client.get(f"/api/v1/jobs/{job_id}").status_code == 200
        assert [job["id"] for job in client.get("/api/v1/jobs").json["jobs"]] == [job_id]
    assert nobody.get(f"/api/v1/jobs/{job_id}").status_code == 404
    assert colleague.post(f"/jobs/{job_id}/cancel").status_code == 303
    assert owner.get(f"/api/v1/jobs/{job_id}").json["state"] == "cancelled"


def test_accounts_without_a_team_share_nothing(accounts, person):
    _, one = person("one")
    _, two = person("two")
    job_id = submit_job(one, **{"X-CSRF-Token": token_of(one.get("/account").text)}).json["id"]
    assert two.get(f"/jobs/{job_id}").status_code == 404


def test_an_idempotency_key_belongs_to_its_account(accounts, person):
    _, one = person("one")
    _, two = person("two")
    made = [
        submit_job(client, **{"X-CSRF-Token": token_of(client.get("/account").text), "Idempotency-Key": "k"})
        for client in (one, two)
    ]
    assert [response.status_code for response in made] == [201, 201]
