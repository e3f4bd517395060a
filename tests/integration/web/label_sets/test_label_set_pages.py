"""The pages of saved label sets, as a browser without a script uses them."""

from __future__ import annotations

import html
import io
import json
import re
import uuid

import pytest

from tests.fixtures.page_checker import problems_of
from tests.integration.web.classify.test_classify_page import HOSTILE

_CSS = ("labels", "classify", "label_sets")
_JS = ("labels", "classify", "label_sets")

EXPORT = {
    "name": "售后",
    "labels": [
        {"name": "物流", "description": "包裹", "examples": ["到哪了", "没动"]},
        {"name": "退款", "description": "", "examples": []},
    ],
    "template": "这是{}",
    "multi_label": False,
    "threshold": 0.25,
}


def _create(client, **changes):
    response = client.post("/api/v1/label-sets", json=EXPORT | changes)
    assert response.status_code == 201, response.text
    return f"/label-sets/{response.json['id']}"


def _rows(page: str) -> list[tuple[str, str, str]]:
    """What the form's rows have, without the pattern of a new one."""
    found = re.findall(
        r'name="label" value="([^"]*)".*?name="description"[^>]*>([^<]*)<.*?name="examples"[^>]*>([^<]*)<',
        page,
        re.DOTALL,
    )
    return [tuple(map(html.unescape, row)) for row in found[:-1]]


def _value(page: str, name: str) -> str:
    return html.unescape(re.search(rf'name="{name}"[^>]*value="([^"]*)"', page)[1])


def _form(page: str) -> dict:
    """The fields of the form as a browser would send them."""
    rows = _rows(page)
    form = {name: _value(page, name) for name in ("name", "template", "threshold")}
    form |= {
        "label": [row[0] for row in rows],
        "description": [row[1] for row in rows],
        "examples": [row[2] for row in rows],
    }
    if 'name="version"' in page:
        form["version"] = _value(page, "version")
    return form


def _content(client, path: str) -> dict:
    return json.loads(client.get(f"{path}/export.json").data)


def _path(response) -> str:
    assert response.status_code == 303, response.text
    return response.headers["Location"]


def test_a_set_is_made_with_the_form(client):
    page = client.get("/label-sets/new").text
    form = _form(page) | {
        "name": " 售后 ",
        "label": ["物流", "", "退款"],
        "description": ["包裹", " ", ""],
        "examples": ["到哪了\r\n\r\n没动\r\n", "", ""],
        "template": "这是{}",
        "threshold": "0.25",
    }
    path = _path(client.post("/label-sets/new", data=form))
    assert _content(client, path) == EXPORT
    shown = client.get(path).text
    for part in ("售后", "物流", "包裹", "没动", "25.0", "Version 1"):
        assert part in shown
    assert "物流" in client.get("/label-sets").text


def test_rows_are_added_and_removed_without_losing_what_was_typed(client):
    form = {
        "name": "x",
        "label": ["a", "b"],
        "description": ["", "about b"],
        "examples": ["1\n2", ""],
        "template": "t{}",
        "multi_label": "on",
    }
    added = client.post("/label-sets/new", data=form | {"do": "add"}).text
    assert _rows(added) == [("a", "", "1\n2"), ("b", "about b", ""), ("", "", "")]
    assert (_value(added, "name"), _value(added, "template")) == ("x", "t{}")
    assert re.search(r'name="multi_label"[^>]* checked', added)
    assert added.count("autofocus") == 1
    removed = client.post("/label-sets/new", data=form | {"do": "remove-0"}).text
    assert _rows(removed) == [("b", "about b", "")]
    none = client.post("/label-sets/new", data={"label": "a", "description": "", "examples": "", "do": "remove-0"}).text
    assert _rows(none) == [("", "", "")]
    assert "No label sets yet" in client.get("/label-sets").text


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"name": ""}, "1 to 100 characters"),
        ({"label": ["a", "a"]}, "appears twice"),
        ({"label": ["", ""], "description": ["", ""]}, "at least one label"),
        ({"label": ["a", ""]}, "Row 2 has no name"),
        ({"description": ["", "x" * 501]}, "description of the label “b” has 501"),
        ({"examples": ["\n".join("x" * 21), ""]}, "label “a” has 21 examples"),
        ({"template": "none"}, "exactly once"),
        ({"threshold": "7"}, "between 0 and 1"),
        ({"threshold": "much"}, "threshold"),
        ({"label": ["a|b", "c"], "multi_label": "on"}, "contains |"),
        ({"colour": "red"}, "no such field"),
    ],
)
def test_what_is_wrong_stands_beside_what_was_entered(client, changes, problem):
    form = {
        "name": "mine",
        "label": ["a", "b"],
        "description": ["", "about b"],
        "examples": ["", ""],
        "template": "t{}",
    } | changes
    response = client.post("/label-sets/new", data=form)
    assert response.status_code == 422
    page = html.unescape(response.text)
    assert 'role="alert"' in page
    assert problem in page
    assert [row[0] for row in _rows(response.text)] == form["label"]
    assert _value(response.text, "template") == form["template"]
    assert client.get("/api/v1/label-sets").json["label_sets"] == []


def test_a_name_that_is_taken_is_told(client):
    path = _create(client)
    form = _form(client.get(f"{path}/edit").text)
    again = client.post("/label-sets/new", data={name: value for name, value in form.items() if name != "version"})
    assert again.status_code == 409
    assert "already" in again.text
    assert "Look at version" not in again.text
    other = _create(client, name="other")
    renamed = client.post(f"{other}/rename", data={"name": "售后"})
    assert renamed.status_code == 409
    assert "already" in renamed.text
    assert _path(client.post(f"{other}/rename", data={"name": "新的"})) == other
    assert _content(client, other)["name"] == "新的"
    assert client.post(f"{other}/rename", data={"name": " "}).status_code == 422


def test_a_change_is_a_new_version_and_the_old_one_can_be_restored(client):
    path = _create(client)
    form = _form(client.get(f"{path}/edit").text)
    assert form["version"] == "1"
    form["label"][1] = "退货"
    assert _path(client.post(f"{path}/edit", data=form)) == path
    assert [label["name"] for label in _content(client, path)["labels"]] == ["物流", "退货"]
    old = client.get(f"{path}/versions/1").text
    assert "old version; the newest is 2" in old
    assert "退款" in old
    assert f"{path}/edit" not in old
    assert client.get(f"{path}/versions/9").status_code == 404
    assert _path(client.post(f"{path}/restore", data={"version": "1", "base": "2"})) == path
    assert _content(client, path) == EXPORT
    assert "Version 3" in client.get(path).text
    late = client.post(f"{path}/restore", data={"version": "2", "base": "2"})
    assert late.status_code == 409
    assert "Version 3 of “售后” has since been saved" in late.text
    assert _content(client, path) == EXPORT


def test_of_two_who_edit_at_once_the_second_keeps_what_they_entered(app):
    anna, bob = app.test_client(), app.test_client()
    path = _create(anna)
    forms = [_form(client.get(f"{path}/edit").text) for client in (anna, bob)]
    forms[0]["label"][0] = "Anna's"
    forms[1]["label"][1] = "Bob's <b>"
    assert _path(anna.post(f"{path}/edit", data=forms[0])) == path
    refused = bob.post(f"{path}/edit", data=forms[1])
    assert refused.status_code == 409
    assert "Version 2 of “售后” has since been saved" in refused.text
    assert f'href="{path}/versions/2"' in refused.text
    assert [row[0] for row in _rows(refused.text)] == ["物流", "Bob's <b>"]
    assert [label["name"] for label in _content(bob, path)["labels"]] == ["Anna's", "退款"]
    # Pressing save again still refuses; only the other button follows the newer version.
    again = _form(refused.text)
    assert bob.post(f"{path}/edit", data=again | {"do": "save"}).status_code == 409
    assert _path(bob.post(f"{path}/edit", data=again | {"over": "2"})) == path
    assert [label["name"] for label in _content(bob, path)["labels"]] == ["物流", "Bob's <b>"]
    assert [label["name"] for label in json.loads(bob.get(f"{path}/export.json?version=2").data)["labels"]] == [
        "Anna's",
        "退款",
    ]


def test_an_added_row_does_not_hide_that_others_saved(client):
    path = _create(client)
    form = _form(client.get(f"{path}/edit").text)
    client.put(f"/api/v1{path}", json={"version": 1, "labels": "x"})
    page = client.post(f"{path}/edit", data=form | {"do": "add"}).text
    assert client.post(f"{path}/edit", data=_form(page)).status_code == 409


def test_a_deleted_set_is_gone(client):
    path = _create(client)
    assert _path(client.post(f"{path}/delete")) == "/label-sets"
    assert "“售后” has been deleted" in client.get("/label-sets").text
    assert "售后" not in client.get("/label-sets").text
    for suffix in ("", "/edit", "/export.json", "/versions/1"):
        assert client.get(path + suffix).status_code == 404
    assert client.post(f"{path}/edit", data={"label": "a", "name": "x", "version": "1"}).status_code == 404
    assert client.post(f"{path}/delete").status_code == 404


def test_a_file_is_looked_at_before_it_is_saved(client):
    file = json.dumps(EXPORT, ensure_ascii=False).encode()
    page = client.post(
        "/label-sets/import", data={"file": (io.BytesIO(file), "set.json")}, content_type="multipart/form-data"
    ).text
    assert "Not saved yet" in page
    assert "No label sets yet" in client.get("/label-sets").text
    path = _path(client.post("/label-sets/new", data=_form(page)))
    assert _content(client, path) == EXPORT


def test_a_table_of_excel_becomes_a_version(client):
    path = _create(client, labels="old", name="mine")
    table = "名称,说明,例子\r\n物流,包裹,到哪了|没动\r\n退款,,\r\n".encode("gb18030")
    form = {"file": (io.BytesIO(table), "标签.csv"), "into": path.rpartition("/")[2]}
    page = client.post("/label-sets/import", data=form, content_type="multipart/form-data").text
    assert _value(page, "name") == "mine"
    assert f'action="{path}/edit"' in page
    _path(client.post(f"{path}/edit", data=_form(page)))
    assert _content(client, path)["labels"] == EXPORT["labels"]
    assert client.get(f"/api/v1{path}").json["version"] == 2


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "nothing to import"),
        ('["a", {"name": "退款", "description": 7}]', "Label 2 (“退款”)"),
        ("a,b\nc,d\n", "The first row"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_where(client, text, problem):
    into = _create(client).rpartition("/")[2]
    for form in ({}, {"into": into}):
        response = client.post("/label-sets/import", data={"text": text} | form)
        assert response.status_code == 422
        page = html.unescape(response.text)
        assert problem in page
        assert f"{text.strip()}" in page
    assert client.post("/label-sets/import", data={"text": "name\na", "into": str(uuid.uuid4())}).status_code == 404
    assert client.post("/label-sets/import", data={"text": "name\na", "into": "x"}).status_code == 422


def test_a_full_set_goes_through_the_form_and_one_beyond_is_refused(client):
    labels = [f"标签{number:04}" + "😀" * 190 for number in range(1000)]
    form = {"name": "full", "label": labels, "description": [""] * 1000, "examples": ["例子"] * 1000, "template": "{}"}
    path = _path(client.post("/label-sets/new", data=form))
    assert [label["name"] for label in _content(client, path)["labels"]] == labels
    page = client.get(f"{path}/edit").text
    assert [row[0] for row in _rows(page)] == labels
    more = {name: [*value, "x"] if isinstance(value, list) else value for name, value in form.items()}
    refused = client.post("/label-sets/new", data=more | {"name": "more"})
    assert refused.status_code == 422
    assert "the limit is 1000" in refused.text


def test_a_form_beyond_all_measure_is_refused(client):
    response = client.post("/label-sets/new", data={"name": "x" * 9_000_000, "label": "a"})
    assert response.status_code == 413


def test_the_pages_are_sound(client, start_worker):
    start_worker()
    path = _create(client)
    saved_set = path.rpartition("/")[2]
    stale = _form(client.get(f"{path}/edit").text)
    client.put(f"/api/v1{path}", json={"version": 1, "labels": [*HOSTILE, "x"], "multi_label": True})
    form = {"text": "x", "labels": json.dumps([*HOSTILE, *map(str, range(30))]), "threshold": "0.1"}
    pages = [
        *(client.get(f"{path}{suffix}") for suffix in ("", "/edit", "/versions/1")),
        *(client.get(url) for url in ("/", f"/?label_set={saved_set}", "/label-sets", "/label-sets/new", "/upload")),
        client.post(f"{path}/edit", data=stale),
        client.post("/label-sets/new", data=stale | {"do": "add"}),
        client.post("/label-sets/import", data={"text": "x"}),
        client.post("/label-sets/import", data={"text": "x", "into": saved_set}),
        client.post("/label-sets/import", data={"text": "name\na"}),
        client.post("/", data=form),
        client.post("/", data=form | {"labels": "a,a"}),
        client.post("/", data=form | {"load": "1", "saved": saved_set}),
    ]
    assert [page.status_code for page in pages] == [200] * 8 + [409, 200, 422, 422, 200, 200, 422, 200]
    assert [problems_of(page.text) for page in pages] == [[]] * len(pages)


@pytest.mark.parametrize("name", [*(f"css/{name}.css" for name in _CSS), *(f"js/{name}.js" for name in _JS)])
def test_what_the_pages_need_is_served_from_here(client, name):
    response = client.get(f"/static/{name}")
    assert response.status_code == 200
    assert "://" not in response.text
    response.close()


def test_hostile_labels_are_shown_as_text_everywhere(client):
    labels = [
        {"name": name, "description": "<script>alert(2)</script>", "examples": ['"><img src=x>']} for name in HOSTILE
    ]
    path = _create(client, name='<img src=x>"', labels=labels)
    for page in (path, f"{path}/edit", "/label-sets", f"/?label_set={path.rpartition('/')[2]}", f"{path}/versions/1"):
        text = client.get(page).text
        assert "<script>alert" not in text
        assert "<img src=x" not in text
    assert _path(client.post(f"{path}/edit", data=_form(client.get(f"{path}/edit").text))) == path
    assert client.get(f"/api/v1{path}").json["version"] == 1  # nothing was changed on the way


def test_a_form_of_another_site_changes_nothing(client):
    path = _create(client)
    for target in (
        "/label-sets/new",
        "/label-sets/import",
        f"{path}/edit",
        f"{path}/rename",
        f"{path}/restore",
        f"{path}/delete",
    ):
        response = client.post(target, data={"name": "x", "label": "a"}, headers={"X-CSRF-Token": "wrong"})
        assert response.status_code == 403
    assert _content(client, path) == EXPORT


def test_older_sets_are_a_page_away(client):
    for number in range(52):
        _create(client, name=f"set-{number:02}")
    page = client.get("/label-sets").text
    assert re.findall(r"set-\d\d", page) == [f"set-{number:02}" for number in range(51, 1, -1)]
    older = html.unescape(re.search(r'href="(/label-sets\?cursor=[^"]+)"', page)[1])
    assert re.findall(r"set-\d\d", client.get(older).text) == ["set-01", "set-00"]


def test_the_page_of_an_uploaded_file_offers_saved_sets(client):
    path = _create(client)
    form = {"file": (io.BytesIO(b"text\nhello\n"), "a.csv")}
    draft = client.post("/upload", data=form, content_type="multipart/form-data").headers["Location"]
    page = client.get(draft).text
    assert f'<option value="{path.rpartition("/")[2]}"' in page
    assert 'name="saved"' not in page  # its form takes no such field


@pytest.mark.parametrize(
    ("name", "disposition"),
    [
        ("Tickets", "attachment; filename=\"Tickets-1.json\"; filename*=UTF-8''Tickets-1.json"),
        ("客服", "attachment; filename=\"label-set-1.json\"; filename*=UTF-8''%E5%AE%A2%E6%9C%8D-1.json"),
        ('a"b/../c;d', "attachment; filename=\"a_b_.._c_d-1.json\"; filename*=UTF-8''a%22b_.._c%3Bd-1.json"),
    ],
)
def test_the_file_of_a_set_has_its_name(client, name, disposition):
    path = _create(client, name=name)
    assert client.get(f"{path}/export.json").headers["Content-Disposition"] == disposition
