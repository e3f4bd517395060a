"""The ways to run the same checkpoint that are compared.

Libraries are imported where they are used: each contender runs in a process of its own that holds nothing of the
others, and tells apart what importing and what loading takes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.engine import in_torch

CHUNK_ROWS = 128
"""Rows of a job that a bulk worker scores together, at most ``_SLICE_TOKENS`` tokens at a time; its defaults."""

EXACT = "static"
"""The model that has our float32 graph too; of the others only int8 is kept."""

_SLICE_TOKENS = 65_536
_PAIR_BATCH = 16
_CACHED_PAIRS = 200_000


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the models of a run lie, our way to int8, and how many threads each contender uses."""

    checkpoint: Path
    model_dir: Path
    onnx_int8: Path
    scheme: str
    threads: int


class Contender(ABC):
    """One way to score texts. Used in this order: imports, load, then any number of calls."""

    def __init__(self, place: Place) -> None:
        self.place = place

    @abstractmethod
    def imports(self) -> None:
        """Import what is needed."""

    @abstractmethod
    def load(self) -> None:
        """Make the model ready for a first call."""

    @abstractmethod
    def score(self, texts: Sequence[str], labels: Sequence[str]) -> None:
        """Score every text against all labels."""

    def warm_up(self) -> None:
        """Do what a server does before its first request."""
        raise NotImplementedError

    def logits(self, texts: Sequence[str], labels: Sequence[str]) -> list[list[list[float]]]:
        """The three logits of each text and label."""
        raise NotImplementedError


class ModelScope(Contender):
    """ModelScope's pipeline: float32, one text with its labels at a time; it knows no other way."""

    def imports(self) -> None:
        import modelscope.models.nlp.structbert.text_classification
        import modelscope.pipelines  # noqa: F401 - so that loading finds it imported
        import torch

        torch.set_num_threads(self.place.threads)

    def load(self) -> None:
        from tests.parity.modelscope_reference import ModelScopeReference

        self._pipeline = ModelScopeReference(self.place.checkpoint)

    def score(self, texts: Sequence[str], labels: Sequence[str]) -> None:
        self._pipeline.classify(texts, list(labels))


class Transformers(Contender):
    """Hugging Face's zero-shot pipeline as it is by default: float32, one pair at a time."""

    batch_size = 1

    def imports(self) -> None:
        import torch
        import transformers.pipelines.zero_shot_classification

        torch.set_num_threads(self.place.threads)
        transformers.logging.set_verbosity_error()
        transformers.BertForSequenceClassification  # noqa: B018 - its module is imported when asked for

    def load(self) -> None:
        from transformers import pipeline

        self.model, self.tokenizer = in_torch.load(self.place.checkpoint)
        self._pipeline = pipeline("zero-shot-classification", model=self.model, tokenizer=self.tokenizer, device="cpu")

    def score(self, texts: Sequence[str], labels: Sequence[str]) -> None:
        self._pipeline(list(texts), list(labels), hypothesis_template="{}", batch_size=self.batch_size)

    def logits(self, texts: Sequence[str], labels: Sequence[str]) -> list[list[list[float]]]:
        return [in_torch.ask(self.model, self.tokenizer, text, labels).tolist() for text in texts]


class TransformersBatched(Transformers):
    """The same, told to take several pairs at a time, in the order in which they come."""

    batch_size = _PAIR_BATCH


class TorchInt8(Contender):
    """torch's dynamic INT8: every linear layer quantised in memory after loading; one text at a time."""

    imports = Transformers.imports

    def load(self) -> None:
        import torch

        model, self.tokenizer = in_torch.load(self.place.checkpoint)
        self.model = torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)

    def score(self, texts: Sequence[str], labels: Sequence[str]) -> None:
        self.logits(texts, labels)

    def logits(self, texts: Sequence[str], labels: Sequence[str]) -> list[list[list[float]]]:
        return [in_torch.ask(self.model, self.tokenizer, text, labels).tolist() for text in texts]


class OnnxRuntimeInt8(Contender):
    """ONNX Runtime over a graph that its ``quantize_dynamic`` made, weights INT8; one text at a time."""

    def imports(self) -> None:
        import onnxruntime  # noqa: F401 - so that loading finds it imported
        import tokenizers  # noqa: F401

    def load(self) -> None:
        import onnxruntime
        from tokenizers import BertWordPieceTokenizer

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.place.threads
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(str(self.place.onnx_int8), options)
        self._tokenizer = BertWordPieceTokenizer(str(self.place.checkpoint / "vocab.txt"), lowercase=True)
        self._tokenizer.enable_padding(pad_id=0)
        self._tokenizer.enable_truncation(512, strategy="only_first")

    def score(self, texts: Sequence[str], labels: Sequence[str]) -> None:
        self.logits(texts, labels)

    def logits(self, texts: Sequence[str], labels: Sequence[str]) -> list[list[list[float]]]:
        import numpy as np

        answers = []
        for text in texts:
            rows = self._tokenizer.encode_batch([(text, label) for label in labels])
            parts = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
            inputs = {name: np.array([getattr(row, part) for row in rows], np.int64) for name, part in parts.items()}
            answers.append(self._session.run(None, inputs)[0].tolist())
        return answers


class Ours(Contender):
    """Our classifier with nothing cached, given chunks as a bulk worker gives them."""

    model: str = EXACT
    precision = "fp32"

    def imports(self) -> None:
        import worker.engine.models.loader  # so that neither loading nor scoring finds anything to import
        import worker.engine.sessions.openvino
        import worker.tasks.models  # noqa: F401

    def load(self) -> None:
        from worker.engine.models.loader import open_classifier
        from worker.engine.stores import Stores

        self._caught = _Catch()
        self._classifier = open_classifier(
            self.model,
            precision=self.precision,
            device="cpu",
            threads=self.place.threads,
            model_dir=self.place.model_dir,
            stores=Stores(pairs=self.pairs()),
        )

    def pairs(self) -> Any:
        """What keeps the logits of pairs."""
        return self._caught

    def warm_up(self) -> None:
        self._classifier.warm_up()

    def score(self, texts: Sequence[str], labels: Sequence[str]) -> None:
        from worker.engine.classifier import Batch
        from worker.tasks.models import slices
        from yeban.labels import LabelSet

        label_set = LabelSet.of(labels)
        chunks = [tuple(texts[at : at + CHUNK_ROWS]) for at in range(0, len(texts), CHUNK_ROWS)]
        batches = [Batch(texts=chunk, label_set=label_set) for chunk in chunks]
        for part in slices(batches, self._classifier.weight, _SLICE_TOKENS):
            self._classifier.score(part)

    def logits(self, texts: Sequence[str], labels: Sequence[str]) -> list[list[list[float]]]:
        answers = []
        for text in texts:
            self.score([text], labels)
            answers.append(self._caught.last)
        return answers


class OursInt8(Ours):
    """In int8, in the way that is compared."""

    precision = "int8"

    @property
    def model(self) -> str:
        return self.place.scheme


class OursInt8Static(OursInt8):
    """With fixed scales for the inputs of all matrices."""

    model = "static"


class OursInt8Mixed(OursInt8):
    """With the scales of the second feed-forward product's input found at run time."""

    model = "mixed"


class OursInt8Dynamic(OursInt8):
    """With all scales found at run time."""

    model = "dynamic"


class OursInt8OneByOne(OursInt8):
    """The same with one text at a time: what batching brings is the difference."""

    def score(self, texts: Sequence[str], labels: Sequence[str]) -> None:
        for text in texts:
            super().score([text], labels)


class OursInt8Cached(OursInt8):
    """With the memory cache of a worker."""

    def pairs(self) -> Any:
        from worker.cache.memory import MemoryStore

        return MemoryStore(_CACHED_PAIRS)


CONTENDERS: Mapping[str, type[Contender]] = {
    "modelscope": ModelScope,
    "transformers": Transformers,
    "transformers-batched": TransformersBatched,
    "torch-int8": TorchInt8,
    "onnxruntime-int8": OnnxRuntimeInt8,
    "ours-fp32": Ours,
    "ours-int8": OursInt8,
    "ours-int8-static": OursInt8Static,
    "ours-int8-mixed": OursInt8Mixed,
    "ours-int8-dynamic": OursInt8Dynamic,
    "ours-int8-one-by-one": OursInt8OneByOne,
    "ours-int8-cached": OursInt8Cached,
}


class _Catch:
    """A store that knows nothing, but shows what the last call would have kept."""

    last: list[list[float]]

    def get_many(self, keys: Sequence[bytes]) -> list[None]:
        return [None] * len(keys)

    def put_many(self, items: Mapping[bytes, Any]) -> None:
        # In the order of the labels, since pairs are numbered as they are met.
        self.last = [value.tolist() for value in items.values()]

    def stats(self) -> Mapping[str, Any]:
        return {}
