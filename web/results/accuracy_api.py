"""Accuracy of a job against its gold column."""

from __future__ import annotations

import uuid

from flask import Response

from web.auth.authentication import viewer
from web.blueprints import SIGNED_IN, api
from web.http.json import json_response
from web.http.parsing import query
from web.jobs.accuracy_schemas import JobEvaluation
from web.openapi.documentation import Answer, documented
from web.results import accuracy
from web.results.api import DownloadQuery, Table, sent
from web.services import services
from yeban.errors import Conflict, msg
from yeban.jobs.views import JobView, get_job


@api.get("/jobs/<uuid:job_id>/accuracy", policy=SIGNED_IN)
@documented(
    group="Results",
    summary="Get the accuracy of a job",
    description="Measured against the gold column when the job finishes, and again after each refinement.",
    answers={200: JobEvaluation},
    problems=(Conflict,),
)
def show_accuracy(job_id: uuid.UUID) -> Response:
    """Get the evaluation with its confusion matrix and threshold curve."""
    job = get_job(services().database, job_id, viewer=viewer())
    return json_response(JobEvaluation.of(accuracy.evaluation_of(job)))


@api.get("/jobs/<uuid:job_id>/accuracy.csv", policy=SIGNED_IN)
@documented(
    group="Results",
    summary="Download precision, recall and F1 by label",
    description="Has the columns `label`, `support`, `precision`, `recall` and `f1`.",
    query=DownloadQuery,
    answers={200: Answer(content_type="text/csv", description="One row per label.")},
    problems=(Conflict,),
)
def download_accuracy(job_id: uuid.UUID) -> Response:
    """Download precision, recall, F1 and support by label."""
    return sent(
        job_id,
        "accuracy",
        "csv",
        lambda job: (accuracy.LABEL_COLUMNS, accuracy.label_table(job, accuracy.evaluation_of(job))),
        query(DownloadQuery),
    )


@api.get("/jobs/<uuid:job_id>/confusion.csv", policy=SIGNED_IN)
@documented(
    group="Results",
    summary="Download the confusion matrix",
    description="Has the columns `gold`, `predicted` and `rows`, most rows first. A blank means no label of the job.",
    query=DownloadQuery,
    answers={200: Answer(content_type="text/csv", description="One row per pair of labels.")},
    problems=(Conflict,),
)
def download_confusion(job_id: uuid.UUID) -> Response:
    """Download the confusion matrix, most rows first."""
    return sent(job_id, "confusion", "csv", _confusion_table, query(DownloadQuery))


def _confusion_table(job: JobView) -> Table:
    confusions = accuracy.confusions_of(accuracy.evaluation_of(job))
    if confusions is None:
        raise Conflict(msg("The job has no confusion matrix because several of its labels may apply to one row."))
    return accuracy.CONFUSION_COLUMNS, accuracy.confusion_table(job, confusions)
