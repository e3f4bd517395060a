"""The checkpoint in torch, by way of Hugging Face's BERT."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any


def load(checkpoint: Path) -> tuple[Any, Any]:
    """Hugging Face's BERT, in float32, and its fast tokeniser."""
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    config = BertConfig.from_pretrained(checkpoint)
    model = BertForSequenceClassification.from_pretrained(checkpoint, config=config).eval()
    return model, BertTokenizerFast(vocab_file=str(checkpoint / "vocab.txt"), do_lower_case=True, model_max_length=512)


def ask(model: Any, tokenizer: Any, text: str, labels: Sequence[str]) -> Any:
    """``(labels, 3)`` float32 logits."""
    import torch

    with torch.inference_mode():
        rows = tokenizer([text] * len(labels), list(labels), padding=True, truncation="only_first", return_tensors="pt")
        return model(**rows).logits
