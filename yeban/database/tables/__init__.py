"""Tables in PostgreSQL as SQLAlchemy models. All durable data is here."""

from yeban.database.tables.base import Base
from yeban.database.tables.drafts import Draft, DraftPart
from yeban.database.tables.jobs import Chunk, Correction, Embedding, Job, Refined, Result, Row
from yeban.database.tables.label_sets import LabelSetVersion, SavedLabelSet
from yeban.database.tables.people import Account, ApiToken, EndedSession
from yeban.database.tables.webhooks import Webhook, WebhookDelivery, WebhookFormerSecret
from yeban.database.tables.workers import Worker

__all__ = [
    "Account",
    "ApiToken",
    "Base",
    "Chunk",
    "Correction",
    "Draft",
    "DraftPart",
    "Embedding",
    "EndedSession",
    "Job",
    "LabelSetVersion",
    "Refined",
    "Result",
    "Row",
    "SavedLabelSet",
    "Webhook",
    "WebhookDelivery",
    "WebhookFormerSecret",
    "Worker",
]
