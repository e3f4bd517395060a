"""From a model's name to a classifier that is ready to run."""

from __future__ import annotations

from pathlib import Path

from worker.engine import artifacts
from worker.engine.classifier import Classifier, ModelInfo
from worker.engine.embedding import EmbeddingClassifier
from worker.engine.encoder import Encoder
from worker.engine.sessions import SESSIONS, choose, open_session
from worker.engine.stores import Stores
from worker.engine.tokenise import Tokeniser
from yeban.errors import ModelUnusable
from yeban.settings import get_settings


def open_classifier(
    name_or_path: str = "e5-small",
    *,
    precision: str = "auto",
    device: str = "auto",
    session: str = "auto",
    threads: int | None = None,
    model_dir: Path | None = None,
    stores: Stores | None = None,
) -> Classifier:
    """Load a model by name, or from a folder that holds a built one; ``e5-small`` is built on first use.

    Raises :class:`~yeban.errors.UnknownModel`, :class:`~yeban.errors.ModelUnusable` when the
    artifact is damaged, and :class:`~yeban.errors.EngineUnavailable` when what was asked for cannot run here.
    """
    folder = artifacts.ensure(name_or_path, model_dir or get_settings().model_dir)
    manifest = artifacts.load(folder)
    if manifest.kind != "embedding":
        raise ModelUnusable(f"{manifest.name} is of the kind {manifest.kind}, which this release cannot run.")
    built = {name: manifest.precisions(name) for name in SESSIONS}
    choice = choose(built, precision=precision, device=device, session=session, threads=threads)
    spec = manifest.spec
    try:
        tokeniser = Tokeniser.load(folder, spec.frame)
    except Exception as error:  # the tokenizers library raises Exception itself
        raise ModelUnusable(f"The tokeniser in {folder} cannot be read: {error}. Build it again.") from error
    encoder = Encoder(
        tokeniser,
        open_session(folder / manifest.graph(choice.precision, choice.session), choice),
        max_tokens=spec.max_tokens,
        dimension=spec.dimension,
    )
    info = ModelInfo(
        name=manifest.name,
        kind=manifest.kind,
        fingerprint=manifest.fingerprint,
        precision=choice.precision,
        session=choice.session,
        device=choice.device,
        threads=choice.threads,
        max_tokens=spec.max_tokens,
        reason=choice.reason,
    )
    return EmbeddingClassifier(encoder, info, spec, stores=stores)
