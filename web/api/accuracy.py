"""How a job agrees with its gold column."""

from __future__ import annotations

import uuid

from flask import Response

from web import accuracy
from web.access import viewer
from web.answers import json_response
from web.api.blueprint import api
from web.api.results import DownloadQuery
from web.downloads import download
from web.edge import query
from web.services import services
from yeban.errors import Conflict
from yeban.jobs.views import get_job


@api.get("/jobs/<uuid:job_id>/accuracy")
def show_accuracy(job_id: uuid.UUID) -> Response:
    """The evaluation with its confusions and what each threshold gives."""
    return json_response(accuracy.evaluation_of(get_job(services().database, job_id, viewer=viewer())))


@api.get("/jobs/<uuid:job_id>/accuracy.csv")
def download_accuracy(job_id: uuid.UUID) -> Response:
    """Precision, recall, F1 and support of each label."""
    asked = query(DownloadQuery)
    job = get_job(services().database, job_id, viewer=viewer())
    rows = accuracy.label_table(job, accuracy.evaluation_of(job))
    name = job.source["name"]
    return download(name, "accuracy", "csv", accuracy.LABEL_COLUMNS, rows, guard=asked.guard, bom=asked.bom)


@api.get("/jobs/<uuid:job_id>/confusion.csv")
def download_confusion(job_id: uuid.UUID) -> Response:
    """Which labels were taken for which, most rows first."""
    asked = query(DownloadQuery)
    job = get_job(services().database, job_id, viewer=viewer())
    confusions = accuracy.confusions_of(accuracy.evaluation_of(job))
    if confusions is None:
        raise Conflict("The job has no confusions: several of its labels may apply, or it ended under an old version.")
    rows = accuracy.confusion_table(job, confusions)
    name = job.source["name"]
    return download(name, "confusion", "csv", accuracy.CONFUSION_COLUMNS, rows, guard=asked.guard, bom=asked.bom)
