"""Declared metrics agree with the dashboard, the alerts and the documentation."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

from tests.fixtures.scraping import Counting, read
from yeban.errors import NotFound, msg
from yeban.telemetry import metrics
from yeban.telemetry.metrics import Collected, exposition

ROOT = Path(__file__).resolve().parents[4]
UNITS = (
    "_seconds",
    "_bytes_total",
    "_total",
    "_ratio",
    "_messages",
    "_bytes",
    "_members",
    "_entries",
    "_processes",
    "_info",
)
UNITLESS = {
    "yeban_up", "yeban_jobs", "yeban_chunks", "yeban_workers", "yeban_drafts", "yeban_in_progress",
    "yeban_admission_limit",
}  # fmt: skip
LABELS = {
    "code", "layer", "method", "model", "outcome", "part", "program", "queue", "result", "role", "route", "state",
    "status", "store", "version", "what",
}  # fmt: skip
#: prometheus-client's own metrics of a process.
OF_THE_PROCESS = {"process_resident_memory_bytes"}


@dataclass(frozen=True)
class Declared:
    """A metric that ``yeban.telemetry.metrics`` declares."""

    type: str
    help: str
    labels: tuple[str, ...]


def declared() -> dict[str, Declared]:
    """Every declared metric by its name."""
    found = {}
    for value in vars(metrics).values():
        if isinstance(value, Collected):
            found[value.name] = Declared(value.family([]).type, value.help, value.labels)
        elif isinstance(value, MetricWrapperBase):
            (family,) = value.describe()
            name = f"{family.name}_total" if family.type == "counter" else family.name
            found[name] = Declared(family.type, family.documentation, tuple(value._labelnames))
    return found


TABLE = declared()


def named_in(text: str) -> set[str]:
    """The metrics in an expression, by their declared names."""
    found = set(re.findall(r"\b(?:yeban|process)_[a-z_]+", text))
    return {name if name in TABLE else re.sub(r"_(bucket|sum|count)$", "", name) for name in found}


def test_names_say_whose_they_are_and_their_unit():
    for name, metric in TABLE.items():
        assert re.fullmatch(r"yeban(_[a-z]+)+", name)
        assert name.endswith(UNITS) or name in UNITLESS, name
        assert name.endswith("_total") == (metric.type == "counter"), name
        assert metric.help.endswith("."), name


def test_labels_are_of_those_with_few_values():
    assert {label for metric in TABLE.values() for label in metric.labels} == LABELS


def test_every_metric_of_the_dashboard_exists():
    dashboard = json.loads((ROOT / "deploy/grafana/yeban.json").read_text(encoding="utf-8"))
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    named = set().union(*map(named_in, expressions))
    assert named <= set(TABLE) | OF_THE_PROCESS
    missing = set(TABLE) - named - {"yeban_build_info", "yeban_web_processes"}
    assert missing == set(), "what is worth counting is worth a panel"


def test_every_panel_takes_the_data_source_that_was_chosen():
    dashboard = json.loads((ROOT / "deploy/grafana/yeban.json").read_text(encoding="utf-8"))
    assert [one["name"] for one in dashboard["templating"]["list"]] == ["datasource"]
    used = {panel["datasource"]["uid"] for panel in dashboard["panels"] if panel["type"] != "row"}
    assert used == {"${datasource}"}
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_every_metric_of_the_alerts_exists_and_every_alert_is_explained():
    alerts = (ROOT / "deploy/alerts.yml").read_text(encoding="utf-8")
    rules = re.split(r"- alert: ", alerts)[1:]
    document = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    assert rules
    for rule in rules:
        assert named_in(rule), rule
        assert named_in(rule) <= set(TABLE)
        assert f"| `{rule.split()[0]}` |" in document


def test_jobs_stand_still_only_where_a_worker_is_scraped():
    alerts = yaml.safe_load((ROOT / "deploy/alerts.yml").read_text(encoding="utf-8"))
    rules = {rule["alert"]: rule["expr"] for group in alerts["groups"] for rule in group["rules"]}
    assert rules["YebanStandsStill"].endswith(" and on() count(yeban_heartbeat_age_seconds) > 0")
    assert read(exposition().decode())("yeban_heartbeat_age_seconds") is None, "a web, too, would count as a worker"


def test_every_metric_is_documented_with_its_labels_and_no_other_is():
    document = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(yeban_\w+)` \| (.*?) \|", document, re.MULTILINE))
    assert {name: tuple(re.findall(r"`(\w+)`", labels)) for name, labels in rows.items()} == {
        name: metric.labels for name, metric in TABLE.items()
    }


def test_what_is_counted_is_shown():
    counted = Counting()
    metrics.ROWS.labels(status="ok").inc(3)
    metrics.PADDING_RATIO.labels(model="of a test").observe(1.04)
    assert counted("yeban_rows_total", status="ok") == 3
    assert counted("yeban_padding_ratio_bucket", model="of a test", le="1.05") == 1
    assert counted("yeban_padding_ratio_bucket", model="of a test", le="1.02") == 0
    assert counted("yeban_padding_ratio_sum", model="of a test") == pytest.approx(1.04)


def test_states_are_shown_before_they_occur_and_the_process_is_told_of():
    shown = read(exposition().decode())
    assert shown("yeban_jobs_ended_total", state="expired") is not None
    assert shown("yeban_refinements_total", outcome="failed") is not None
    assert shown("process_resident_memory_bytes") > 1_000_000
    assert not {name for name in shown.names() if name.endswith("_created")}


def test_an_error_is_counted_under_its_code():
    assert metrics.code_of(NotFound(msg("x"))) == "not_found"
    assert metrics.code_of(RuntimeError("x")) == "internal"


FORKED = """
import os, sys
from pathlib import Path
folder = os.environ["PROMETHEUS_MULTIPROC_DIR"] = sys.argv[1]
from prometheus_client.multiprocess import mark_process_dead
from yeban.telemetry import metrics
children = []
for number in (1, 2):
    if not (pid := os.fork()):
        metrics.ROWS.labels(status="ok").inc(number)
        metrics.WEB_PROCESSES.set(1)
        os._exit(0)
    os.waitpid(pid, 0)
    children.append(pid)
metrics.WEB_PROCESSES.set(1)
mark_process_dead(children[0])
sys.stdout.write(metrics.exposition().decode())
"""


def test_processes_that_share_a_folder_add_up_and_the_dead_count_no_more(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-c", FORKED, str(tmp_path)], capture_output=True, text=True, check=True, cwd=ROOT
    )
    shown = read(ended.stdout)
    assert shown("yeban_rows_total", status="ok") == 3
    assert shown("yeban_web_processes") == 2  # one child is known to be dead
    assert shown("process_resident_memory_bytes") > 1_000_000


def test_the_command_line_does_not_import_metrics_or_traces():
    program = (
        "import sys, yeban.cli.main; sys.exit(any(n.startswith(('prometheus', 'opentelemetry')) for n in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, cwd=ROOT).returncode == 0
