"""Settings, with their defaults and descriptions. Nothing else reads the environment."""

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
    """Fields come from ``YEBAN_<NAME>``, secrets also from the file that ``YEBAN_<NAME>_FILE`` names."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True, env_ignore_empty=True)

    data_dir: Path = Field(
        default_factory=_default_data_dir, description="Folder of models and the bundled servers' files."
    )
    database_url: str | None = Field(None, description="PostgreSQL URL; unset starts the bundled server.")
    redis_url: str | None = Field(None, description="Redis or Valkey URL; unset starts the bundled server.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Lowest level of log records.")
    log_format: Literal["line", "json"] = Field("line", description="Format of log records.")
    metrics_port: int | None = Field(
        None, ge=1, le=65535, description="Port of a worker's /metrics and /healthz; unset serves neither."
    )
    metrics_host: str = Field("127.0.0.1", description="Address of a worker's /metrics and /healthz.")
    heartbeat_file: Path | None = Field(None, description="File that a worker writes at each heartbeat.")
    otlp_endpoint: str | None = Field(
        None,
        pattern="^https?://",
        description="Base URL of an OpenTelemetry collector (OTLP/HTTP); unset traces nothing.",
    )

    model: str = Field("e5-small", description="Default model.")
    precision: Literal["auto", "fp32", "fp16", "bf16", "int8"] = Field("auto", description="Arithmetic of the engine.")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Device of the engine.")
    session: Literal["auto", "openvino", "onnxruntime", "tensorrt", "torch"] = Field(
        "auto", description="Runtime of the model's graph."
    )
    engine_threads: int | None = Field(None, ge=1, le=512, description="Engine threads; unset uses one per core.")

    server: str | None = Field(None, description="Server for the command line; unset finds a local one.")
    token: str | None = Field(None, description="API token of the command line.")
    host: str = Field("127.0.0.1", description="Address that the web server listens on.")
    port: int = Field(8400, ge=0, le=65535, description="Port that the web server listens on; 0 picks a free one.")
    accounts: bool = Field(
        False, description="Require sign-in (`yeban account`); needed to listen on addresses that others can reach."
    )
    admin_password: str | None = Field(
        None, description="Password of the account `admin`, created while there are no accounts."
    )
    allowed_hosts: str = Field("", description="Additional host names of the web server, separated by commas.")
    proxies: int = Field(
        0,
        ge=0,
        le=10,
        description="Number of proxies in front whose X-Forwarded-For and X-Forwarded-Proto are trusted.",
    )
    rate_texts: int = Field(600, ge=1, description="Single texts per minute and account.")
    rate_uploads: int = Field(120, ge=1, description="Uploads per hour and account.")
    rate_requests: int = Field(1_200, ge=1, description="Other requests per minute and account.")
    secret_key: str | None = Field(
        None, description="Key that signs sessions, the same for all web servers; unset keeps one in YEBAN_DATA_DIR."
    )
    web_threads: int = Field(96, ge=1, le=512, description="Request threads per web process; most wait for workers.")
    web_processes: int = Field(1, ge=1, le=64, description="Web processes.")
    upload_limit: int = Field(
        8,
        ge=1,
        le=256,
        description="Concurrent uploads per web process, at most a quarter of its threads; others get 429.",
    )
    client_timeout_s: float = Field(
        60.0, gt=0, description="Seconds that a client may pause within a request or its answer."
    )
    max_upload_mb: int = Field(1024, ge=1, description="Largest upload, in MiB.")
    max_rows: int = Field(5_000_000, ge=1, description="Most rows in a job.")
    max_cell_chars: int = Field(100_000, ge=1_000, description="Longest cell of a table, in characters.")
    max_columns: int = Field(1_000, ge=1, description="Most columns in a table.")
    max_text_chars: int = Field(20_000, ge=100, description="Longest single text, in characters.")

    interactive_deadline_ms: int = Field(
        5_000, ge=100, description="Longest wait of the web server for an answer, in milliseconds."
    )
    interactive_group_texts: int = Field(8, ge=1, le=256, description="Most texts in one interactive engine call.")
    interactive_wait_ms: int = Field(
        4, ge=0, le=1_000, description="Longest wait of a text for others in its group, in milliseconds."
    )
    interactive_label_chars: int = Field(
        2_000, ge=10, description="Most characters in all labels of a single text together."
    )
    interactive_target_ms: int = Field(
        1_000,
        ge=50,
        description="Response time, in milliseconds, above which a web process admits fewer texts at a time.",
    )
    interactive_queue_limit: int = Field(
        200, ge=1, description="Most single texts in the queue of all web processes; others get 429."
    )

    chunk_rows: int = Field(
        128, ge=1, le=10_000, description="Rows per chunk of a job, which bounds the loss when a worker is killed."
    )
    bulk_nice: int = Field(5, ge=0, le=19, description="Niceness of bulk workers.")
    group_chunks: int = Field(8, ge=1, le=256, description="Most chunks per claim of a bulk worker.")
    group_wait_ms: int = Field(
        20, ge=0, le=10_000, description="Longest wait of a chunk for others in its group, in milliseconds."
    )
    lease_s: float = Field(30.0, gt=0, le=600, description="Seconds that a claimed chunk stays leased without renewal.")
    group_deadline_s: float = Field(
        300.0, gt=0, description="Seconds without progress after which a group counts as stuck and its process ends."
    )
    hint_ttl_s: float = Field(30.0, gt=0, description="Seconds after which an unclaimed hint is sent again.")
    sweep_interval_s: float = Field(2.0, gt=0, description="Seconds between sweeps of a worker.")
    heartbeat_s: float = Field(5.0, gt=0, description="Seconds between heartbeats of a worker.")
    retention_days: float | None = Field(
        None, gt=0, description="Days to keep finished jobs; unset keeps them until they are deleted."
    )
    embedding_days: float | None = Field(
        None,
        gt=0,
        description="Days to keep the embeddings for further refinement; unset keeps them as long as the jobs.",
    )
    webhook_private_addresses: bool = Field(
        False, description="Allow webhooks to private addresses, including this machine."
    )
    max_rss_mb: int | None = Field(None, ge=100, description="Resident memory, in MiB, above which a worker restarts.")
    drain_s: float = Field(30.0, gt=0, description="Seconds that a stopping worker may spend on claimed chunks.")

    shortlist_labels: int = Field(
        20,
        ge=2,
        le=1_000,
        description="Labels per text that the cross-encoder of a shortlist model (EMBEDDING+CROSS-ENCODER) scores.",
    )

    cache_label_entries: int = Field(20_000, ge=0, description="Label embeddings kept in memory.")
    cache_text_entries: int = Field(20_000, ge=0, description="Text embeddings kept in memory.")
    cache_pair_entries: int = Field(200_000, ge=0, description="Scored pairs of text and label kept in memory.")
    cache_redis_mb: int = Field(128, ge=0, description="Most MiB of cached values in Redis; 0 disables it.")
    cache_ttl_s: int = Field(7 * 24 * 3600, ge=2, description="Most seconds that a cached value stays in Redis.")

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @property
    def model_dir(self) -> Path:
        """Folder of the built models, one folder a model."""
        return self.data_dir / "models"


def load_settings(**overrides: Any) -> Settings:
    """Read the environment again; ``overrides`` take precedence.

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
        raise ConfigurationError(msg("Invalid settings: %(problems)s.", problems=problems)) from error


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
        raise ConfigurationError(msg("%(variable)s_FILE: the file %(path)s is empty.", variable=variable, path=path))
    return secret
