"""Live workers."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Integer,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from yeban.database.tables.base import Base


class Worker(Base):
    """A live worker process, as of its last heartbeat."""

    __tablename__ = "worker"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    role: Mapped[str]
    host: Mapped[str]
    pid: Mapped[int] = mapped_column(Integer)
    models: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    window: Mapped[int] = mapped_column(Integer)  # chunks this worker keeps busy with at a time
    cache: Mapped[dict[str, Any]] = mapped_column(server_default="{}")  # counters of its caches
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    seen_at: Mapped[datetime] = mapped_column(server_default=func.now())
