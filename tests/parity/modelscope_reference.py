"""ModelScope's own zero-shot pipeline: what ours must reproduce, and the baseline of the benchmarks.

ModelScope takes a list of texts but scores them one after another, and its ``batch_size`` returns wrong answers
or raises (``test_reference.py`` shows both), so one by one is the only way in which it can be used.

Needs the ``models`` extra.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from worker.engine.classifier import Ranking

DEFAULT_TEMPLATE = "{}"


class ModelScopeReference:
    """The pipeline over the checkpoint in ``folder``, in float32 on the CPU.

    Nothing is fetched from a network. Raises what ModelScope raises when it cannot load the folder.
    """

    def __init__(self, folder: Path) -> None:
        with _quiet():
            from modelscope.models.nlp.structbert.text_classification import SbertForSequenceClassification
            from modelscope.pipelines import pipeline

            # A folder's own prefix is left on the class, where the next folder would find it.
            SbertForSequenceClassification.base_model_prefix = "bert"
            self.pipeline: Any = pipeline("zero-shot-classification", model=str(folder), device="cpu")

    def classify(
        self,
        texts: Sequence[str],
        labels: str | Sequence[str],
        *,
        template: str = DEFAULT_TEMPLATE,
        multi_label: bool = False,
    ) -> list[Ranking]:
        """Rank the labels of each text, one text after another: best first, ties in no order to rely on."""
        return [
            self.call(text, candidate_labels=labels, hypothesis_template=template, multi_label=multi_label)
            for text in texts
        ]

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Call the pipeline with ModelScope's own arguments."""
        with _quiet():
            return self.pipeline(*args, **kwargs)

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text has by the checkpoint's tokeniser, without special tokens."""
        tokenizer = self.pipeline.preprocessor.nlp_tokenizer.tokenizer
        return [len(tokenizer.tokenize(text)) for text in texts]


@contextmanager
def _quiet() -> Iterator[None]:
    # The libraries warn of their own doings, such as deprecated arguments, which nobody here can mend.
    loggers = [logging.getLogger(name) for name in ("modelscope", "transformers")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
