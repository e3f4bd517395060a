"""The API does what its description says, whatever is sent that fits the description or nearly does."""

from __future__ import annotations

import uuid
from collections import Counter
from typing import Any

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema
from schemathesis.engine.run import PhaseName

#: The same requests each time. Time goes with the examples: these take half a minute.
CONFIG = {
    "seed": 1,
    "continue-on-failure": True,
    "generation": {"deterministic": True, "max-examples": 100, "database": "none"},
}
_GIVEN_OUT = "a cursor fits only the list that gave it out"
#: Checks that would fail where the API is right, by operation, and why.
UNSUITED = {
    ("classify_text", "positive_data_acceptance"): "a template has {} once, and models and labels have limits together",
    ("create_job", "positive_data_acceptance"): "a schema cannot say what is a table, or which columns it has",
    ("correct", "positive_data_acceptance"): "labels are those of the job, and each row is given once",
    ("index_jobs", "positive_data_acceptance"): _GIVEN_OUT,
    ("list_results", "positive_data_acceptance"): _GIVEN_OUT,
    ("list_corrections", "positive_data_acceptance"): _GIVEN_OUT,
}
CHECKED = {
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "positive_data_acceptance",
    "unsupported_method",
}


@pytest.fixture
def jobs(upload, tag, client) -> list[str]:
    """Jobs in several states; the first ones have ended."""
    found = [upload().json["id"] for _ in range(4)]
    for job_id in found[:2]:
        tag(job_id)
    client.post(f"/api/v1/jobs/{found[2]}/pause")
    return found


def test_it_answers_as_described_to_whatever_is_sent(make_app, start_worker, beating, jobs):
    beating("interactive")
    beating("bulk")
    start_worker()
    app = make_app()
    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app, config=SchemathesisConfig.from_dict(CONFIG))

    @schema.hook
    def map_path_parameters(context: Any, path_parameters: dict[str, Any]) -> dict[str, Any]:
        """Ask for jobs that there are, and leave the first to be asked for when others were deleted."""
        if path_parameters and "job_id" in path_parameters:
            some = jobs[1:] if context.operation.method == "delete" else jobs
            path_parameters["job_id"] = some[_number(path_parameters["job_id"]) % len(some)]
        return path_parameters

    sent, checked, failures = Counter[PhaseName](), set[str](), dict[tuple[str, str], str]()
    for event in from_schema(schema).execute():
        assert not isinstance(event, events.FatalError | events.NonFatalError), event
        if isinstance(event, events.ScenarioFinished):
            sent[event.phase] += len(event.recorder.cases)
            for case_id, checks in event.recorder.checks.items():
                operation = event.recorder.cases[case_id].value.operation.definition.raw["operationId"]
                checked |= {check.name for check in checks}
                for check in checks:
                    if check.failure_info is not None and (operation, check.name) not in UNSUITED:
                        failures[operation, check.name] = (
                            f"{check.failure_info.failure.message[:1000]} {check.failure_info.code_sample[:1000]}"
                        )
    assert failures == {}
    assert checked >= CHECKED
    for phase in (PhaseName.COVERAGE, PhaseName.FUZZING, PhaseName.STATEFUL_TESTING):
        assert sent[phase] > 50, sent


def _number(job_id: Any) -> int:
    try:
        return uuid.UUID(str(job_id)).int
    except ValueError:
        return 0
