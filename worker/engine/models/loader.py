"""Load a classifier by the name of its model."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from worker.engine.classifier import Classifier, ModelInfo
from worker.engine.embedding.classifier import EmbeddingClassifier, plainer
from worker.engine.embedding.encoder import Encoder
from worker.engine.manifest import EmbeddingSpec, NliSpec
from worker.engine.models import store
from worker.engine.nli.classifier import NliClassifier
from worker.engine.sessions import Session, open_session
from worker.engine.sessions.selection import select
from worker.engine.shortlist import ShortlistClassifier
from worker.engine.stores import Stores
from worker.engine.tokenisers.library import Tokeniser
from worker.engine.tokenisers.pairs import PairTokeniser
from yeban.errors import ModelUnusable, UnknownModel, msg
from yeban.settings import get_settings

SHORTLIST_JOINER = "+"


def open_classifier(
    name_or_path: str = "e5-small",
    *,
    precision: str = "auto",
    device: str = "auto",
    session: str = "auto",
    threads: int | None = None,
    model_dir: Path | None = None,
    stores: Stores | None = None,
    shortlist_labels: int | None = None,
    without: Collection[str] = (),
) -> Classifier:
    """Load a model by name, or from a folder that holds a built one; ``e5-small`` is built on first use.

    ``A+B`` is a shortlist: the embedding model A picks ``shortlist_labels`` labels of each text (by default the
    setting), and the cross-encoder B scores those. ``without`` leaves out features of an embedding model, to measure
    their effect (:func:`~worker.engine.embedding.classifier.plainer`).

    Raises :class:`~yeban.errors.UnknownModel`, :class:`~yeban.errors.ModelUnusable` when the
    artifact is damaged, and :class:`~yeban.errors.EngineUnavailable` when the requested session cannot run here.
    """
    if SHORTLIST_JOINER in name_or_path and not Path(name_or_path).exists():
        ranker, scorer = (
            open_classifier(
                part,
                precision=precision,
                device=device,
                session=session,
                threads=threads,
                model_dir=model_dir,
                stores=stores,
            )
            for part in _parts(name_or_path)
        )
        return _shortlist(ranker, scorer, shortlist_labels or get_settings().shortlist_labels)
    folder = store.ensure(name_or_path, model_dir or get_settings().model_dir)
    manifest = store.load(folder)
    choice, graph = select(folder, manifest, precision=precision, device=device, session=session, threads=threads)
    info = ModelInfo(
        name=manifest.name,
        kind=manifest.kind,
        fingerprint=manifest.fingerprint,
        precision=choice.precision,
        session=choice.session,
        device=choice.device,
        threads=choice.threads,
        max_tokens=manifest.spec.max_tokens,
        reason=choice.reason,
    )
    opened = open_session(graph, choice)
    if isinstance(manifest.spec, EmbeddingSpec):
        return _embedding(folder, plainer(manifest.spec, without), opened, info, stores)
    return _nli(folder, manifest.spec, opened, info, stores)


def _parts(name: str) -> list[str]:
    parts = name.split(SHORTLIST_JOINER)
    if len(parts) != 2 or not all(parts):
        raise UnknownModel(
            msg(
                "There is no model %(name)s. A shortlist combines two models: "
                "EMBEDDING%(shortlist_joiner)sCROSS-ENCODER.",
                name=name,
                shortlist_joiner=SHORTLIST_JOINER,
            ),
            model=name,
        )
    return parts


def _shortlist(ranker: Classifier, scorer: Classifier, keep: int) -> ShortlistClassifier:
    kinds = (ranker.info.kind, scorer.info.kind)
    if kinds != ("embedding", "nli"):
        raise UnknownModel(
            msg(
                "A shortlist is an embedding model followed by a cross-encoder, not %(kinds)s.",
                kinds=" and ".join(kinds),
            )
        )
    return ShortlistClassifier(ranker, scorer, keep=keep)


def _embedding(
    folder: Path, spec: EmbeddingSpec, session: Session, info: ModelInfo, stores: Stores | None
) -> EmbeddingClassifier:
    try:
        tokeniser = Tokeniser.load(folder, spec.frame)
    except Exception as error:  # the tokenizers library raises Exception itself
        raise ModelUnusable(
            msg("The tokeniser in %(folder)s cannot be read: %(error)s. Build it again.", folder=folder, error=error)
        ) from error
    encoder = Encoder(tokeniser, session, max_tokens=spec.max_tokens, dimension=spec.dimension)
    return EmbeddingClassifier(encoder, info, spec, stores=stores)


def _nli(folder: Path, spec: NliSpec, session: Session, info: ModelInfo, stores: Stores | None) -> NliClassifier:
    tokeniser = PairTokeniser.load(folder, max_tokens=spec.max_tokens)
    return NliClassifier(tokeniser, session, info, spec, stores=stores)
