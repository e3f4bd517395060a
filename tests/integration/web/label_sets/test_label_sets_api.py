from __future__ import annotations

import uuid

import pytest
from flask import g

from yeban.accounts.viewer import Viewer

URL = "/api/v1/label-sets"
LABELS = [
    {"name": "物流", "description": "包裹", "examples": ["到哪了"]},
    {"name": "退款", "description": "", "examples": []},
]
CONTENT = {"labels": LABELS, "template": "这是{}", "multi_label": False, "threshold": 0.4}


def _create(client, name="售后", **changes):
    response = client.post(URL, json={"name": name, **CONTENT, **changes})
    assert response.status_code == 201, response.text
    return response.json


def test_a_set_is_made_and_found_where_the_answer_says(client):
    response = client.post(URL, json={"name": "售后", **CONTENT})
    assert response.status_code == 201
    found = client.get(response.headers["Location"]).json
    assert found == response.json
    assert {name: found[name] for name in CONTENT} == CONTENT
    assert (found["name"], found["version"], found["newest"], found["owner"]) == ("售后", 1, 1, "")
    for link in found["links"].values():
        assert client.get(link).status_code == 200


def test_labels_may_be_a_string(client):
    names = [label["name"] for label in _create(client, labels="物流，退款,退款、退货")["labels"]]
    assert names == ["物流", "退款", "退款、退货"]  # as ModelScope splits


def test_a_change_is_a_version_made_from_another(client):
    url = f"{URL}/{_create(client)['id']}"
    changed = client.put(url, json={"version": 1, "labels": "a,b", "name": "new"}).json
    assert (changed["version"], changed["name"], changed["template"], changed["threshold"]) == (2, "new", "{}", None)
    stale = client.put(url, json={"version": 1, "labels": "c"})
    assert (stale.status_code, stale.json["code"], stale.json["version"]) == (409, "conflict", 2)
    assert client.get(url).json == changed
    assert client.get(f"{url}/versions/1").json["labels"] == LABELS
    assert client.get(f"{url}/versions/3").status_code == 404
    assert client.get(f"{url}/versions/{10**30}").status_code == 404


def test_versions_are_listed_in_pages(client):
    url = f"{URL}/{_create(client)['id']}"
    for number in range(1, 4):
        client.put(url, json={"version": number, "labels": f"label {number}"})
    first = client.get(f"{url}/versions?limit=3").json
    second = client.get(f"{url}/versions", query_string={"limit": 3, "cursor": first["next_cursor"]}).json
    assert [found["version"] for found in first["versions"] + second["versions"]] == [4, 3, 2, 1]
    assert second["next_cursor"] is None
    assert client.get(f"{url}/versions?cursor=nonsense").status_code == 422


def test_sets_are_listed_in_pages(client):
    for number in range(3):
        _create(client, f"set {number}")
    first = client.get(f"{URL}?limit=2").json
    second = client.get(URL, query_string={"limit": 2, "cursor": first["next_cursor"]}).json
    assert [found["name"] for found in first["label_sets"] + second["label_sets"]] == ["set 2", "set 1", "set 0"]
    assert first["label_sets"][0]["labels"] == 2
    assert second["next_cursor"] is None


def test_a_deleted_set_is_not_found(client):
    url = f"{URL}/{_create(client)['id']}"
    assert client.delete(url).status_code == 204
    for response in (
        client.get(url),
        client.delete(url),
        client.put(url, json={"version": 1, "labels": "a"}),
        client.get(f"{url}/versions"),
        client.get(f"{url}/versions/1"),
    ):
        assert (response.status_code, response.json["code"]) == (404, "not_found")
    _create(client)  # its name is free


def test_a_name_that_is_taken_is_a_conflict(client):
    _create(client)
    response = client.post(URL, json={"name": " 售后", **CONTENT})
    assert (response.status_code, response.json["code"]) == (409, "conflict")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"labels": "a,a"}, "invalid_labels"),
        ({"labels": []}, "invalid_labels"),
        ({"labels": [{"name": "a", "description": "x" * 501}]}, "invalid_request"),
        ({"template": "none"}, "invalid_template"),
        ({"threshold": 2}, "invalid_request"),
        ({"name": ""}, "invalid_request"),
        ({"name": 7}, "invalid_request"),
        ({"colour": "red"}, "invalid_request"),
        ({"labels": "a|b", "multi_label": True}, "invalid_labels"),
    ],
)
def test_what_cannot_be_a_set_is_refused(client, changes, code):
    response = client.post(URL, json={"name": "x", **CONTENT, **changes})
    assert (response.status_code, response.json["code"]) == (422, code)
    assert client.get(URL).json["label_sets"] == []


def test_a_thousand_labels_of_hostile_text_are_kept(client):
    kinds = ["<script>alert(1)</script>", "'\"`$(x)\\", "\u202eevil", "😀", "x" * 190]
    labels = [{"name": f"{kinds[number % 5]}{number}", "description": "", "examples": []} for number in range(1000)]
    saved = _create(client, labels=labels)
    assert client.get(f"{URL}/{saved['id']}").json["labels"] == labels


def test_sets_belong_to_those_who_may_see_them(app):
    asking = []
    app.before_request(lambda: setattr(g, "viewer", asking[-1]))
    client, be = app.test_client(), asking.append
    be(Viewer(name="anna", team="care"))
    saved = _create(client)
    assert (saved["owner"], saved["author"]) == ("anna", "anna")
    url = f"{URL}/{saved['id']}"
    be(Viewer(name="eve", team="sales"))
    for response in (
        client.get(url),
        client.put(url, json={"version": 1, "labels": "a"}),
        client.delete(url),
        client.get(f"{url}/versions"),
        client.get(f"{url}/versions/1"),
        client.post("/api/v1/classify", json={"text": "x", "label_set": saved["id"]}),
        client.get(f"/label-sets/{saved['id']}"),
        client.get("/", query_string={"label_set": saved["id"]}),
    ):
        assert response.status_code == 404
    assert client.get(URL).json["label_sets"] == []
    be(Viewer(name="bob", team="care"))
    assert client.put(url, json={"version": 1, "labels": "a"}).json["author"] == "bob"


def test_a_text_is_tagged_with_a_saved_set(client, start_worker):
    worker = start_worker()
    saved = _create(client)
    client.put(f"{URL}/{saved['id']}", json={"version": 1, "labels": "a,b"})
    for named in ({"id": saved["id"], "version": 1}, f"{saved['id']}@1"):
        assert client.post("/api/v1/classify", json={"text": "x", "label_set": named}).status_code == 200
    assert client.post("/api/v1/classify", json={"text": "x", "label_set": saved["id"]}).json["labels"] == ["a", "b"]
    assert worker.seen[0].label_set == worker.seen[1].label_set == CONTENT
    assert [label["name"] for label in worker.seen[2].label_set["labels"]] == ["a", "b"]


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({}, 422, "Give either labels"),
        ({"labels": "a,b", "label_set": str(uuid.uuid4())}, 422, "either label_set or labels"),
        ({"threshold": 0.5, "template": "x{}", "label_set": str(uuid.uuid4())}, 422, "template, threshold"),
        ({"label_set": str(uuid.uuid4())}, 404, "does not exist"),
        ({"label_set": "x" * 36}, 422, "the id of a label set"),
        ({"label_set": f"{uuid.uuid4()}@0"}, 422, "the id of a label set"),
        ({"label_set": {"id": f"{uuid.uuid4()}@1", "version": 2}}, 422, "appears twice"),
        ({"label_set": {"id": 7}}, 422, "label_set"),
        ({"label_set": 7}, 422, "a label set must be an id"),
        ({"label_set": {"id": str(uuid.uuid4()), "verson": 1}}, 422, "no such field"),
    ],
)
def test_a_set_that_cannot_be_used_is_told(client, body, status, says):
    response = client.post("/api/v1/classify", json={"text": "x", **body})
    assert response.status_code == status, response.text
    assert says in response.json["detail"]


def test_null_counts_as_not_given(client, start_worker):
    start_worker()
    assert client.post("/api/v1/classify", json={"text": "x", "labels": "a,b", "label_set": None}).status_code == 200


def test_a_file_is_handed_in_with_a_saved_set(client, upload):
    saved = _create(client)
    client.put(f"{URL}/{saved['id']}", json={"version": 1, "labels": "a,b", "multi_label": True})
    old = upload(labels=None, label_set=f"{saved['id']}@1").json
    assert {name: old[name] for name in CONTENT} == CONTENT
    new = upload(labels=None, label_set=saved["id"]).json
    assert [label["name"] for label in new["labels"]] == ["a", "b"]
    assert new["multi_label"] is True


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"label_set": str(uuid.uuid4())}, 422),  # and labels
        ({"labels": None, "label_set": str(uuid.uuid4())}, 404),
        ({"labels": None, "label_set": str(uuid.uuid4()), "threshold": "0.5"}, 422),
        ({"labels": None, "label_set": "mine"}, 422),
    ],
)
def test_a_file_with_a_set_that_cannot_be_used_makes_no_job(client, upload, fields, status):
    assert upload(**fields).status_code == status
    assert client.get("/api/v1/jobs").json["jobs"] == []
