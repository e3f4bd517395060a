"""The page for one text: what it takes, what it shows, what may be copied from it."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
import urllib.parse
import uuid

import pytest

from yeban.messaging.queues import TextReply

HOSTILE = [
    "<script>alert(1)</script>",
    'it\'s "quoted" \\ `id` $(id) $HOME !! %s {x}',
    "'; rm -rf / #",
    "\u202egnp.exe",
    "مرحبا",
    "😀👩‍👩‍👧",
    "x" * 200,
]
HTMX = {"HX-Request": "true"}


def _post(client, headers=None, **form):
    return client.post("/", data={"text": "包裹三天没动了", "labels": "物流,退款", **form}, headers=headers)


def _code(page: str, id_: str) -> str:
    return html.unescape(re.search(rf'<code id="{id_}">(.*?)</code>', page, re.DOTALL)[1])


def _save(client, **changes):
    body = {"name": "售后", "labels": "物流,退款", **changes}
    response = client.post("/api/v1/label-sets", json=body)
    assert response.status_code == 201, response.text
    return response.json


def _value(page: str, name: str) -> str:
    found = re.search(rf'name="{name}"[^>]*value="([^"]*)"', page)
    return html.unescape(found[1])


def _labels(page: str) -> str:
    return html.unescape(re.search(r"data-chips.*?>(.*?)</textarea>", page, re.DOTALL)[1])


@pytest.mark.parametrize(
    "labels",
    ["物流,退款,发票", "物流，退款，发票", "物流、退款、发票", "物流\r\n退款\n发票", " 物流 ,、退款\n\n发票、"],
)
def test_labels_may_be_parted_in_any_usual_way(client, start_worker, labels):
    worker = start_worker()
    assert _post(client, labels=labels).status_code == 200
    assert [label["name"] for label in worker.seen[0].label_set["labels"]] == ["物流", "退款", "发票"]


def test_htmx_gets_the_answer_alone_and_failures_too(client, start_worker):
    start_worker()
    answer = _post(client, HTMX)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert '<span class="tag">物流</span>' in answer.text
    assert "<html" not in answer.text
    assert "<textarea" not in answer.text
    refused = _post(client, HTMX, labels="a,a")
    assert refused.status_code == 422
    assert 'role="alert"' in refused.text
    assert "appears twice" in refused.text
    assert "<html" not in refused.text


@pytest.mark.parametrize(
    ("form", "headers", "status", "code"),
    [
        ({}, {"X-CSRF-Token": "none"}, 403, "forbidden"),
        ({"text": "长" * 3_000_000}, {}, 413, "too_large"),
    ],
)
def test_what_is_refused_before_it_is_read_goes_beside_what_was_entered(client, form, headers, status, code):
    refused = _post(client, {**HTMX, **headers}, **form)
    assert (refused.status_code, refused.headers["X-Problem"]) == (status, code)
    assert refused.headers["HX-Retarget"] == "#refusal"
    assert refused.text.count("<div") == 1
    assert 'id="refusal"' in client.get("/").text
    whole = _post(client, headers, **form)
    assert "<html" in whole.text
    assert "X-Problem" not in whole.headers


def test_what_the_view_refuses_goes_where_the_answer_would(client):
    refused = _post(client, HTMX, labels="")
    assert (refused.status_code, refused.headers["X-Problem"]) == (422, "invalid_labels")
    assert "HX-Retarget" not in refused.headers


@pytest.mark.parametrize("path", ["/", "/label-sets/new"])
def test_the_script_of_the_labels_is_loaded_once_and_before_the_page(client, path):
    head, _, body = client.get(path).text.partition("</head>")
    assert (head.count("js/labels.js"), head.count("css/labels.css")) == (1, 1)
    assert "labels.js" not in body


def test_a_threshold_is_marked_where_one_applies(client, start_worker):
    start_worker()
    plain = _post(client, HTMX).text
    assert "mark" not in plain
    given = _post(client, HTMX, threshold="0.25").text
    assert given.count('x1="25.00" x2="25.00"') == 2
    assert re.search(r"threshold, 25\.0\s?%", given)
    implied = _post(client, HTMX, multi_label="on").text
    assert implied.count('x1="50.00"') == 2
    assert "because several labels may" in implied


def test_bars_are_best_first_and_those_assigned_stand_out(client, start_worker):
    start_worker(lambda _: TextReply(scores=[0.2, 0.7, 0.9], model="e5-small", precision="int8", session="openvino"))
    page = _post(client, HTMX, labels="a,b,c", multi_label="on").text
    rows = re.findall(
        r'<tr( class="assigned")?>\s*<th scope="row"><bdi>(\w)</bdi>.*?width="([\d.]+)" height="8"/><line',
        page,
        re.DOTALL,
    )
    assert [(name, bool(assigned)) for assigned, name, _ in rows] == [("c", True), ("b", True), ("a", False)]
    assert "e5-small · int8 · openvino" in page


def test_many_labels_are_folded_away(client, start_worker):
    start_worker()
    page = _post(client, HTMX, labels=",".join(f"l{number}" for number in range(300))).text
    assert "280 more labels" in page
    assert page.count("<tr") == 302


def test_a_thousand_labels_keep_their_place_in_the_form(client, start_worker):
    start_worker()
    labels = "\n".join(str(number) for number in range(1000))
    page = _post(client, labels=labels)
    assert page.status_code == 413  # their characters are over the limit for one text
    assert _labels(page.text) == labels
    assert _post(client, labels=labels + "\n1000").status_code == 422


def test_hostile_labels_are_shown_and_sent_as_they_are(client, start_worker):
    worker = start_worker()
    page = _post(client, text="<b>'\"\n\u202e😀", labels=json.dumps(HOSTILE))
    assert page.status_code == 200
    assert [label["name"] for label in worker.seen[0].label_set["labels"]] == HOSTILE
    assert "<script>alert" not in page.text
    for name in HOSTILE:
        assert (
            f"<bdi>{html.escape(name, quote=True)}</bdi>".replace("&#x27;", "&#39;").replace("&quot;", "&#34;")
            in page.text
        )


OPTIONS = [
    {},
    {"multi_label": "on", "threshold": "0.25", "template": "这是'{}'", "model": "e5-small"},
    {"multi_label": "on", "threshold": "0"},
]
TEXT = "it's \"a\" \\n <b> $HOME `id`\nsecond line\ttab JSON\nJSON\n😀\u202e'''"


@pytest.mark.parametrize("options", OPTIONS)
def test_the_command_sends_the_same_request(client, start_worker, tmp_path, options):
    worker = start_worker()
    command = _code(_post(client, text=TEXT, labels=json.dumps(HOSTILE), **options).text, "as-curl")
    assert "YEBAN_TOKEN" not in command
    assert "\u202e" not in command
    # A curl that writes down what it is given.
    fake = tmp_path / "curl"
    fake.write_text(
        f"#!{sys.executable}\nimport json, sys\nprint(json.dumps([sys.argv[1:], sys.stdin.buffer.read().decode()]))\n"
    )
    fake.chmod(0o755)
    run = subprocess.run(
        ["sh", "-c", command], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, check=True
    )
    arguments, body = json.loads(run.stdout)
    assert arguments == [
        "-sS",
        "http://localhost/api/v1/classify",
        "-H",
        "Content-Type: application/json",
        "--data-binary",
        "@-",
    ]
    again = client.post("/api/v1/classify", data=body, content_type="application/json")
    assert again.status_code == 200, again.text
    first, second = worker.seen
    assert second.text == first.text == TEXT
    assert (second.label_set, second.model) == (first.label_set, first.model)


@pytest.mark.parametrize("options", OPTIONS)
def test_the_program_sends_the_same_request(client, start_worker, monkeypatch, options):
    worker = start_worker()
    program = _code(_post(client, text=TEXT, labels=json.dumps(HOSTILE), **options).text, "as-python")
    sent = []

    class Answer:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def read(self):
            return b"{}"

    monkeypatch.setattr("urllib.request.urlopen", lambda request: sent.append(request) or Answer())
    exec(program, {})  # noqa: S102
    (request,) = sent
    assert request.full_url == "http://localhost/api/v1/classify"
    again = client.post("/api/v1/classify", data=request.data, content_type=request.get_header("Content-type"))
    assert again.status_code == 200, again.text
    first, second = worker.seen
    assert (second.text, second.label_set, second.model) == (first.text, first.label_set, first.model)


def test_a_token_is_asked_for_only_where_there_are_accounts(app, start_worker):
    start_worker()
    app.context_processor(lambda: {"accounts_on": True})
    page = _post(app.test_client()).text
    assert '-H "Authorization: Bearer $YEBAN_TOKEN"' in _code(page, "as-curl")
    assert 'os.environ["YEBAN_TOKEN"]' in _code(page, "as-python")
    compile(_code(page, "as-python"), "page", "exec")


def _follow(client, page: str) -> str:
    link = _code(page, "share-link")
    assert len(link) <= 2000
    parts = urllib.parse.urlsplit(link)
    assert (parts.scheme, parts.netloc) == ("http", "localhost")
    response = client.get(f"{parts.path}?{parts.query}")
    assert response.status_code == 200
    return response.text


def test_a_link_opens_the_form_as_it_was_without_the_text(client, start_worker):
    start_worker()
    form = {"template": "这是'{}'&", "threshold": "0.25", "multi_label": "on", "model": "e5-small"}
    page = _post(client, text="身份证号", labels="物流、退款 & more\n<b>", **form).text
    link = _code(page, "share-link")
    assert "%E8%BA%AB" not in link
    assert "text=" not in link
    opened = _follow(client, page)
    assert _labels(opened) == "物流,退款 & more,<b>"
    assert (_value(opened, "template"), _value(opened, "threshold")) == ("这是'{}'&", "0.25")
    assert re.search(r'name="multi_label"[^>]* checked', opened)
    assert "身份证号" not in opened


def test_a_link_says_nothing_of_what_is_usual(client, start_worker):
    start_worker()
    assert (
        urllib.parse.urlsplit(_code(_post(client).text, "share-link")).query
        == "labels=%E7%89%A9%E6%B5%81,%E9%80%80%E6%AC%BE"
    )


def test_hostile_labels_come_through_a_link(client, start_worker):
    worker = start_worker()
    opened = _follow(client, _post(client, labels=json.dumps(HOSTILE[:6])).text)
    assert "<script>alert" not in opened
    _post(client, labels=_labels(opened))
    assert worker.seen[1].label_set == worker.seen[0].label_set


def test_labels_too_many_for_a_link_are_told(client, start_worker):
    start_worker()
    page = _post(client, labels=",".join(f"标签{number}" for number in range(200))).text
    assert "share-link" not in page
    assert "too many labels for a link" in page


def test_a_saved_set_makes_a_short_link_until_something_is_changed(client, start_worker):
    worker = start_worker()
    help_ = {"description": "包裹", "examples": ["到哪了"]}
    saved = _save(
        client, labels=[{"name": "物流", **help_}, *(f"标签{number}" for number in range(150))], threshold=0.1
    )
    reference = f"{saved['id']}@1"
    opened = client.get("/", query_string={"label_set": saved["id"]}).text
    assert (_value(opened, "label_set"), _value(opened, "threshold")) == (reference, "0.1")
    form = {"label_set": reference, "labels": _labels(opened), "threshold": "0.1"}
    page = _post(client, **form).text
    query = urllib.parse.urlsplit(_code(page, "share-link")).query
    assert query == f"label_set={saved['id']}&version=1"
    # What the set says of its labels goes along, and the fields win.
    changed = _post(client, label_set=reference, labels="物流,新的", multi_label="on").text
    assert worker.seen[1].label_set["labels"] == [
        {"name": "物流", **help_},
        {"name": "新的", "description": "", "examples": []},
    ]
    assert worker.seen[1].label_set["threshold"] is None
    again = _follow(client, changed)
    assert (_labels(again), _value(again, "label_set"), _value(again, "threshold")) == ("物流,新的", reference, "")
    assert re.search(r'name="multi_label"[^>]* checked', again)


def test_a_set_is_loaded_without_a_script(client):
    saved = _save(client, labels="a,b", template="x{}", threshold=0.3, multi_label=True)
    form = {
        "text": "我的包裹",
        "labels": "old",
        "threshold": "0.9",
        "template": "{}!",
        "saved": saved["id"],
        "load": "1",
    }
    page = client.post("/", data=form).text
    assert _labels(page) == "a\nb"
    assert (_value(page, "template"), _value(page, "threshold")) == ("x{}", "0.3")
    assert re.search(r'name="multi_label"[^>]* checked', page)
    assert "我的包裹</textarea>" in page
    assert f'<option value="{saved["id"]}" selected>' in page
    assert "From “售后”, version 1" in page
    none = client.post("/", data=form | {"saved": "", "label_set": f"{saved['id']}@1"}).text
    assert (_labels(none), _value(none, "label_set")) == ("old", "")


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"label_set": str(uuid.uuid4())}, 404),
        ({"label_set": "x"}, 422),
        ({"label_set": str(uuid.uuid4()), "version": "x"}, 422),
    ],
)
def test_an_address_with_no_such_set_still_shows_the_form(client, query, status):
    page = client.get("/", query_string=query)
    assert page.status_code == status
    assert 'role="alert"' in page.text
    assert 'name="text"' in page.text


def test_a_set_deleted_meanwhile_does_not_stop_a_text(client, start_worker):
    start_worker()
    saved = _save(client)
    client.delete(f"/api/v1/label-sets/{saved['id']}")
    assert _post(client, HTMX, label_set=f"{saved['id']}@1").status_code == 200


def test_models_are_offered_with_what_they_are(client, live_worker):
    assert "e5-small</p>" in client.get("/").text
    live_worker("interactive")
    live_worker("interactive", "structbert")
    live_worker("bulk", "other")
    page = client.get("/", query_string={"model": "gone"}).text
    options = re.findall(r"<option value=\"([^\"]*)\"( selected)?>([^<]*)</option>", page.partition('name="model"')[2])
    assert options == [
        ("e5-small", "", "e5-small · int8, openvino"),
        ("structbert", "", "structbert · int8, openvino"),
        ("gone", " selected", "gone · not available now"),
    ]


def test_the_template_is_shown_with_the_first_label(client):
    page = client.get("/", query_string={"labels": "物流、退款", "template": "这是关于{}的工单"}).text
    assert "With a label: 这是关于物流的工单</p>" in page


def test_the_labels_of_an_answer_become_a_set(client, start_worker):
    start_worker()
    page = _post(client, labels=json.dumps(HOSTILE), template="x{}", threshold="0.2").text
    file = html.unescape(re.search(r'name="text" value="([^"]*)"', page)[1])
    editor = client.post("/label-sets/import", data={"text": file})
    assert editor.status_code == 200
    assert _value(editor.text, "template") == "x{}"
    rows = [html.unescape(value) for value in re.findall(r'<input name="label" value="([^"]*)"', editor.text)]
    assert rows == [*HOSTILE, ""]  # the last is the pattern of a new row
