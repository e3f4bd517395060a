"""``manifest.json``: files, origin and measured parity of a built model."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from worker.engine.calibration import Calibration
from worker.engine.phrasing import Phrasing, Phrasings
from worker.engine.tokenisers.library import Frame
from yeban.errors import ModelUnusable, msg

MANIFEST_FILE = "manifest.json"
SCHEMA = 3

_HASH_CHUNK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class FileRecord:
    """A file of the model, by its path in the folder."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Variant:
    """The graph in one precision, for the sessions that run this form best."""

    precision: str
    sessions: tuple[str, ...]
    graph: str
    activation_group: int = 0
    """Neighbouring activations that share one int8 scale found at run time, where a session can do so; 0: none."""
    bfloat16: bool = False
    """Whether what is not int8 may be computed in bfloat16. Cosines that lie close together do not bear it."""


@dataclass(frozen=True, kw_only=True)
class Parity:
    """Distance of one precision in one session from float32.

    ``sample`` describes the inputs. ``measures`` holds ``worst_cosine`` and ``mean_cosine`` of embeddings;
    ``worst_difference`` of logits, and ``same_top_label``, the share of texts whose best label stayed the same.
    """

    session: str
    precision: str
    sample: str
    measures: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class EmbeddingSpec:
    """Settings of a bi-encoder. Scores depend on them as much as on the weights.

    ``background`` ``(dimension,)`` is the mean embedding of ordinary texts. A label's cosine to it measures
    how much the label is favoured by any text; ``background_share`` of that is taken off its cosines.
    """

    max_tokens: int
    dimension: int
    text_prefix: str
    label_prefix: str
    phrasings: Phrasings
    frame: Frame
    calibration: Calibration
    background: tuple[float, ...]
    background_share: float


@dataclass(frozen=True, kw_only=True)
class NliSpec:
    """Settings of a cross-encoder: maximum tokens of a pair, and the deciding classes."""

    max_tokens: int
    pad: int
    classes: int
    entailment: int
    contradiction: int


Spec = EmbeddingSpec | NliSpec


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A built model. ``variants`` come best first; ``origin`` and ``built`` are for people."""

    name: str
    kind: str
    fingerprint: str
    spec: Spec
    variants: tuple[Variant, ...]
    files: tuple[FileRecord, ...]
    parity: tuple[Parity, ...]
    origin: Mapping[str, str]
    built: Mapping[str, str]

    def to_json(self) -> str:
        """Return the text of the file."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}, ensure_ascii=False, indent=1) + "\n"

    def precisions(self, session: str) -> tuple[str, ...]:
        """The precisions that ``session`` can run, best first."""
        return tuple(variant.precision for variant in self.variants if session in variant.sessions)

    def variant(self, precision: str, session: str) -> Variant:
        """Return the variant for a precision and a session, or raise :class:`~yeban.errors.ModelUnusable`."""
        for variant in self.variants:
            if variant.precision == precision and session in variant.sessions:
                return variant
        raise ModelUnusable(
            msg(
                "%(name)s has no %(precision)s build for %(session)s.",
                name=self.name,
                precision=precision,
                session=session,
            ),
            model=self.name,
        )


def read_manifest(folder: Path) -> Manifest:
    """Read ``manifest.json`` in ``folder``.

    Raises :class:`~yeban.errors.ModelUnusable` when it is absent, malformed or of another schema.
    """
    try:
        document = json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelUnusable(
            msg(
                "%(folder)s is not a built model: it has no %(manifest_file)s.",
                folder=folder,
                manifest_file=MANIFEST_FILE,
            )
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelUnusable(
            msg("%(path)s cannot be read (%(error)s). Build the model again.", path=folder / MANIFEST_FILE, error=error)
        ) from error
    try:
        if document["schema"] != SCHEMA:
            raise ModelUnusable(
                msg(
                    "%(folder)s was built by another release (schema %(document)s, not %(schema)s). Build it again.",
                    folder=folder,
                    document=document["schema"],
                    schema=SCHEMA,
                ),
                schema=document["schema"],
            )
        return _from_document(document)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelUnusable(
            msg(
                "%(path)s is malformed (%(error)s). Build the model again.",
                path=folder / MANIFEST_FILE,
                error=repr(error),
            )
        ) from error


def fingerprint(spec: Spec, files: Iterable[FileRecord]) -> str:
    """SHA-256 over the spec and the hash of each file, which determine the scores."""
    facts = {"spec": asdict(spec), "files": sorted((record.path, record.sha256) for record in files)}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def record_file(folder: Path, path: str) -> FileRecord:
    """Measure and hash one file."""
    digest = hashlib.sha256()
    with (folder / path).open("rb") as file:
        while chunk := file.read(_HASH_CHUNK):
            digest.update(chunk)
    return FileRecord(path=path, size=(folder / path).stat().st_size, sha256=digest.hexdigest())


def _from_document(document: Mapping[str, Any]) -> Manifest:
    manifest = Manifest(
        name=document["name"],
        kind=document["kind"],
        fingerprint=document["fingerprint"],
        spec=_SPECS[document["kind"]](document["spec"]),
        variants=tuple(Variant(**{**entry, "sessions": tuple(entry["sessions"])}) for entry in document["variants"]),
        files=tuple(FileRecord(**entry) for entry in document["files"]),
        parity=tuple(Parity(**entry) for entry in document["parity"]),
        origin=document["origin"],
        built=document["built"],
    )
    inside = {record.path for record in manifest.files}
    for path in [*inside, *(variant.graph for variant in manifest.variants)]:
        if path not in inside or Path(path).is_absolute() or ".." in Path(path).parts:
            raise ValueError(f"bad path {path!r}")
    return manifest


def _embedding_spec(document: Mapping[str, Any]) -> EmbeddingSpec:
    phrasings = {
        language: Phrasing(frames=tuple(entry["frames"]), nothing=tuple(entry["nothing"]))
        for language, entry in document["phrasings"].items()
    }
    return EmbeddingSpec(
        max_tokens=int(document["max_tokens"]),
        dimension=int(document["dimension"]),
        text_prefix=document["text_prefix"],
        label_prefix=document["label_prefix"],
        phrasings=Phrasings(**phrasings),
        frame=Frame(**document["frame"]),
        calibration=Calibration(**document["calibration"]),
        background=tuple(map(float, document["background"])),
        background_share=float(document["background_share"]),
    )


def _nli_spec(document: Mapping[str, Any]) -> NliSpec:
    return NliSpec(**{key: int(value) for key, value in document.items()})


_SPECS: Mapping[str, Callable[[Mapping[str, Any]], Spec]] = {"embedding": _embedding_spec, "nli": _nli_spec}


_PACKAGES = ("onnx", "openvino", "onnxruntime", "tokenizers", "numpy")


def versions() -> dict[str, str]:
    """Versions of Python and the packages at hand, and the machine's architecture."""
    found = {name: version for name in _PACKAGES if (version := _version(name))}
    return {"python": platform.python_version(), "machine": platform.machine(), **found}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
