"""The tables in PostgreSQL, as SQLAlchemy 2 models. What must not be lost is here and nowhere else."""

from yeban.tables.base import Base
from yeban.tables.jobs import Chunk, Correction, Embedding, Job, Refined, Result, Row
from yeban.tables.kept import Draft, DraftPart, LabelSetVersion, SavedLabelSet
from yeban.tables.people import Account, ApiToken
from yeban.tables.webhooks import Webhook, WebhookDelivery
from yeban.tables.workers import Worker

__all__ = [
    "Account",
    "ApiToken",
    "Base",
    "Chunk",
    "Correction",
    "Draft",
    "DraftPart",
    "Embedding",
    "Job",
    "LabelSetVersion",
    "Refined",
    "Result",
    "Row",
    "SavedLabelSet",
    "Webhook",
    "WebhookDelivery",
    "Worker",
]
