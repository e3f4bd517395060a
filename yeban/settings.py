"""The only reader of the environment. Every setting, its default and its meaning stand here."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from yeban.errors import ConfigurationError, msg

PREFIX = "YEBAN_"
_SECRETS = ("database_url", "redis_url", "secret_key", "admin_password", "token")


def _default_data_dir() -> Path:
    base = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(base).expanduser() / "yeban"


class Settings(BaseSettings):
    """Each field is read from ``YEBAN_<NAME>``; each secret also from the file named by ``YEBAN_<NAME>_FILE``."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True, env_ignore_empty=True)

    data_dir: Path = Field(
        default_factory=_default_data_dir, description="Where models and the bundled servers keep their files."
    )
    database_url: str | None = Field(None, description="PostgreSQL URL; unset starts the bundled server.")
    redis_url: str | None = Field(None, description="Redis or Valkey URL; unset starts the bundled server.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least severe log level.")
    log_format: Literal["line", "json"] = Field("line", description="Form of a log record.")
    metrics_port: int | None = Field(
        None, ge=1, le=65535, description="Port of a worker's /metrics and /healthz; unset serves neither."
    )
    metrics_host: str = Field("127.0.0.1", description="Address of a worker's /metrics and /healthz.")
    heartbeat_file: Path | None = Field(None, description="File that a worker writes with each heartbeat.")
    otlp_endpoint: str | None = Field(
        None,
        pattern="^https?://",
        description="Base URL of an OpenTelemetry collector (OTLP/HTTP); unset traces nothing.",
    )

    model: str = Field("e5-small", description="The model used where a request names none.")
    precision: Literal["auto", "fp32", "fp16", "bf16", "int8"] = Field("auto", description="Arithmetic of the engine.")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where the engine runs.")
    session: Literal["auto", "openvino", "onnxruntime", "tensorrt", "torch"] = Field(
        "auto", description="What runs the graph."
    )
    engine_threads: int | None = Field(None, ge=1, le=512, description="Engine threads; unset means one a core.")

    server: str | None = Field(None, description="Server that the command line talks to; unset finds a local one.")
    token: str | None = Field(None, description="Token that the command line signs in with.")
    host: str = Field("127.0.0.1", description="Address the web server listens on.")
    port: int = Field(8400, ge=0, le=65535, description="Port the web server listens on; 0 picks a free one.")
    accounts: bool = Field(
        False, description="Ask who it is (`yeban account`); needed to listen on an address that others reach."
    )
    admin_password: str | None = Field(
        None, description="Password of the account `admin`, which is made when there are no accounts yet."
    )
    allowed_hosts: str = Field("", description="Further host names the web server answers to, separated by commas.")
    proxies: int = Field(
        0, ge=0, le=10, description="Proxies in front whose X-Forwarded-For and X-Forwarded-Proto are believed."
    )
    rate_texts: int = Field(600, ge=1, description="Texts a minute that an account may have tagged on the spot.")
    rate_uploads: int = Field(120, ge=1, description="Uploads an hour of an account.")
    rate_requests: int = Field(1_200, ge=1, description="Other requests a minute of an account.")
    secret_key: str | None = Field(
        None, description="Signs sessions; the same for all web servers. Unset keeps one in YEBAN_DATA_DIR."
    )
    web_threads: int = Field(
        96, ge=1, le=512, description="Request threads of a web process; most of them wait for workers."
    )
    web_processes: int = Field(1, ge=1, le=64, description="Web processes.")
    upload_limit: int = Field(
        8,
        ge=1,
        le=256,
        description="Uploads that a web process takes in at a time, a quarter of its threads at most; others get 429.",
    )
    client_timeout_s: float = Field(
        60.0, gt=0, description="Seconds that a client may be silent in the midst of a request or its answer."
    )
    max_upload_mb: int = Field(1024, ge=1, description="Largest upload, in MiB.")
    max_rows: int = Field(5_000_000, ge=1, description="Most rows a job may have.")
    max_cell_chars: int = Field(100_000, ge=1_000, description="Longest cell accepted in a table.")
    max_columns: int = Field(1_000, ge=1, description="Most columns accepted in a table.")
    max_text_chars: int = Field(20_000, ge=100, description="Longest text of an interactive request.")

    interactive_deadline_ms: int = Field(5_000, ge=100, description="How long the web waits for an answer.")
    interactive_group_texts: int = Field(8, ge=1, le=256, description="Most texts in one interactive engine call.")
    interactive_wait_ms: int = Field(4, ge=0, le=1_000, description="Longest a text waits for company.")
    interactive_label_chars: int = Field(
        2_000, ge=10, description="Most characters that the labels of an interactive request may have together."
    )
    interactive_target_ms: int = Field(
        1_000, ge=50, description="Time to an answer over which a web process takes fewer texts on at a time."
    )
    interactive_queue_limit: int = Field(
        200, ge=1, description="Texts waiting in the queue of all web processes over which new ones get 429."
    )

    chunk_rows: int = Field(
        128, ge=1, le=10_000, description="Rows in one chunk of a job, which bounds what a killed worker loses."
    )
    bulk_nice: int = Field(
        5, ge=0, le=19, description="How far bulk workers give way to other programs of their machine (nice)."
    )
    group_chunks: int = Field(8, ge=1, le=256, description="Most chunks that a bulk worker claims at a time.")
    group_wait_ms: int = Field(20, ge=0, le=10_000, description="Longest a chunk waits for company.")
    lease_s: float = Field(
        30.0, gt=0, le=600, description="Seconds a claimed chunk stays its worker's without renewal."
    )
    group_deadline_s: float = Field(
        300.0, gt=0, description="Seconds without progress after which a group is stuck and ends its process."
    )
    hint_ttl_s: float = Field(30.0, gt=0, description="Seconds after which an unanswered hint is sent again.")
    sweep_interval_s: float = Field(2.0, gt=0, description="Seconds between two sweeps of one worker.")
    heartbeat_s: float = Field(5.0, gt=0, description="Seconds between two heartbeats of one worker.")
    retention_days: float | None = Field(
        None, gt=0, description="Days after their end that jobs are kept; unset keeps them until they are deleted."
    )
    embedding_days: float | None = Field(
        None, gt=0, description="Days after their end that jobs can be refined again; unset keeps that as long as them."
    )
    webhook_private_addresses: bool = Field(
        False, description="Let webhooks lead to addresses inside one's own networks, this machine's among them."
    )
    max_rss_mb: int | None = Field(
        None, ge=100, description="Resident memory, in MiB, over which a worker ends in order to be started again."
    )
    drain_s: float = Field(30.0, gt=0, description="Seconds a stopping worker may spend on what it has claimed.")

    shortlist_labels: int = Field(
        20, ge=2, le=1_000, description="Labels of a text that a shortlist model (EMBEDDING+CROSS-ENCODER) scores."
    )

    cache_label_entries: int = Field(20_000, ge=0, description="Label embeddings kept in memory.")
    cache_text_entries: int = Field(20_000, ge=0, description="Text embeddings kept in memory.")
    cache_pair_entries: int = Field(200_000, ge=0, description="Scored pairs of text and label kept in memory.")
    cache_redis_mb: int = Field(128, ge=0, description="Most MiB that cached values take in Redis; 0 keeps none there.")
    cache_ttl_s: int = Field(7 * 24 * 3600, ge=2, description="Most seconds a cached value lives in Redis.")

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @property
    def model_dir(self) -> Path:
        """Where built models live, one folder a model."""
        return self.data_dir / "models"


def load_settings(**overrides: Any) -> Settings:
    """Read the environment afresh; ``overrides`` win over it.

    Raises :class:`~yeban.errors.ConfigurationError` naming each bad variable.
    """
    values = {name: _secret_from_file(name) for name in _SECRETS}
    values = {name: value for name, value in values.items() if value is not None}
    try:
        return Settings(**{**values, **overrides})
    except ValidationError as error:
        problems = "; ".join(
            f"{PREFIX}{'_'.join(map(str, item['loc'])).upper()}: {item['msg']}" for item in error.errors()
        )
        raise ConfigurationError(msg("Bad settings: %(problems)s.", problems=problems)) from error


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The process-wide settings, read once."""
    return load_settings()


def _secret_from_file(name: str) -> str | None:
    variable = f"{PREFIX}{name.upper()}"
    path = os.environ.get(f"{variable}_FILE")
    if not path:
        return None
    if os.environ.get(variable):
        raise ConfigurationError(msg("Set either %(variable)s or %(variable)s_FILE, not both.", variable=variable))
    try:
        secret = Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigurationError(
            msg(
                "%(variable)s_FILE: cannot read %(path)s: %(reason)s.",
                variable=variable,
                path=path,
                reason=error.strerror,
            )
        ) from error
    if not secret:
        raise ConfigurationError(msg("%(variable)s_FILE: there is nothing in %(path)s.", variable=variable, path=path))
    return secret
