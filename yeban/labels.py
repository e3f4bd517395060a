"""Label sets: candidate labels, their limits, and decisions from scores. Pure: no I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from yeban.errors import InvalidLabels, InvalidRequest, InvalidTemplate, TooLarge, msg

MAX_LABELS = 1_000
MAX_LABEL_CHARS = 200
MAX_TEMPLATE_CHARS = 200
#: Maximum length of a description or an example.
MAX_HINT_CHARS = 500
MAX_EXAMPLES = 20
#: Total length of a set's names, descriptions and examples.
MAX_SET_CHARS = 300_000
DEFAULT_TEMPLATE = "{}"
#: Separates the labels of one row in the files of a multi-label job.
LABEL_JOINER = "|"

# As in ModelScope: ASCII and full-width commas.
_SEPARATORS = re.compile("[,，]")


class Status(StrEnum):
    """The status of one row."""

    OK = "ok"  # labelled
    ABSTAINED = "abstained"  # no score reached the threshold
    ERROR = "error"  # not scored; stored with the reason


@dataclass(frozen=True, kw_only=True)
class Label:
    """One candidate label. ``description`` and ``examples`` are optional help for the model."""

    name: str
    description: str = ""
    examples: tuple[str, ...] = ()

    def normalized(self) -> Label:
        """Join the texts into one line each and drop blank examples. Raises ``InvalidLabels`` over the limits."""
        name = one_line(self.name)
        examples = tuple(line for line in map(one_line, self.examples) if line)
        if len(examples) > MAX_EXAMPLES:
            raise InvalidLabels(
                msg(
                    "The label “%(name)s” has %(count)s examples; the limit is %(max_examples)s.",
                    name=name,
                    count=len(examples),
                    max_examples=MAX_EXAMPLES,
                ),
                label=name,
                limit=MAX_EXAMPLES,
            )
        description = one_line(self.description)
        texts = [(msg("The description"), description), *((msg("An example"), example) for example in examples)]
        for what, value in texts:
            if len(value) > MAX_HINT_CHARS:
                raise InvalidLabels(
                    msg(
                        "%(what)s of the label “%(name)s” has %(count)s characters; the limit is %(max_hint_chars)s.",
                        what=what,
                        name=name,
                        count=len(value),
                        max_hint_chars=MAX_HINT_CHARS,
                    ),
                    label=name,
                    limit=MAX_HINT_CHARS,
                )
            if "\x00" in value:
                raise InvalidLabels(
                    msg("%(what)s of the label “%(name)s” contains a NUL character.", what=what, name=name), label=name
                )
        return Label(name=name, description=description, examples=examples)


@dataclass(frozen=True, kw_only=True)
class LabelSet:
    """Candidate labels, hypothesis template and decision rule.

    ``template`` has exactly one ``{}``, which a label replaces to form its hypothesis. ``threshold`` is a probability
    in [0, 1]: below it a text abstains (single label) or a label is not assigned (multi-label). ``None`` means 0 for
    single label and 0.5 for multi-label.
    """

    labels: tuple[Label, ...]
    template: str = DEFAULT_TEMPLATE
    multi_label: bool = False
    threshold: float | None = None
    _names: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = tuple(label.name for label in self.labels)
        _check_names(names)
        _check_template(self.template)
        if self.multi_label and (joined := next((name for name in names if LABEL_JOINER in name), None)) is not None:
            raise InvalidLabels(
                msg(
                    "The label “%(joined)s” contains %(label_joiner)s, which separates the labels of one "
                    "text. Rename the label.",
                    joined=joined,
                    label_joiner=LABEL_JOINER,
                ),
                label=joined,
            )
        if self.threshold is not None and not 0.0 <= self.threshold <= 1.0:
            raise InvalidRequest(
                msg(
                    "The threshold must be a probability between 0 and 1, not %(threshold)s.", threshold=self.threshold
                ),
                field="threshold",
            )
        object.__setattr__(self, "_names", names)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def names(self) -> tuple[str, ...]:
        """Label names in the given order."""
        return self._names

    @property
    def hypotheses(self) -> tuple[str, ...]:
        """The template filled in with each label, in label order."""
        return tuple(self.template.replace("{}", name) for name in self._names)

    @property
    def refinable(self) -> bool:
        """Report whether refinement applies: two or more labels, of which a text has one."""
        return len(self.labels) > 1 and not self.multi_label

    @property
    def effective_threshold(self) -> float:
        """The threshold, or its default if none was set."""
        if self.threshold is not None:
            return self.threshold
        return 0.5 if self.multi_label else 0.0

    def decide(self, scores: Sequence[float]) -> Decision:
        """Decide from the scores of one text, shape ``(n_labels,)``, in label order.

        Ties go to the label given first. The margin is the distance between the best two scores (single label), of the
        best score from the threshold (multi-label), or the score itself (one label), rounded to six decimals.
        """
        if len(scores) != len(self.labels):
            raise ValueError(f"{len(scores)} scores for {len(self.labels)} labels")
        best = max(range(len(scores)), key=scores.__getitem__)
        top = scores[best]
        threshold = self.effective_threshold
        if self.multi_label:
            margin = abs(top - threshold)
            assigned = tuple(i for i, score in enumerate(scores) if score >= threshold)
        else:
            second = max((s for i, s in enumerate(scores) if i != best), default=0.0)
            margin = top - second
            assigned = (best,) if top >= threshold else ()
        return Decision(best=best, score=top, margin=round(margin, 6), assigned=assigned)

    def normalized(self) -> LabelSet:
        """Join every string into one line and drop blank examples, as sets are stored.

        Raises ``InvalidLabels`` for a description or example that is too long or has a NUL, or a label with more than
        :data:`MAX_EXAMPLES` examples; ``TooLarge`` over :data:`MAX_SET_CHARS`.
        """
        labels = tuple(label.normalized() for label in self.labels)
        chars = sum(len(part) for label in labels for part in (label.name, label.description, *label.examples))
        if chars > MAX_SET_CHARS:
            raise TooLarge(
                msg(
                    "The label set has %(chars)s characters; the limit is %(max_set_chars)s. Remove some examples.",
                    chars=chars,
                    max_set_chars=MAX_SET_CHARS,
                ),
                limit=MAX_SET_CHARS,
            )
        # This checks the names again: two may have become equal.
        return replace(self, labels=labels, template=" ".join(self.template.splitlines()))

    def to_json(self) -> dict[str, Any]:
        """The snapshot stored with a job."""
        return {
            "labels": [
                {"name": label.name, "description": label.description, "examples": list(label.examples)}
                for label in self.labels
            ],
            "template": self.template,
            "multi_label": self.multi_label,
            "threshold": self.threshold,
        }

    @classmethod
    def from_json(cls, snapshot: Mapping[str, Any]) -> LabelSet:
        """The inverse of :meth:`to_json`."""
        return cls(
            labels=tuple(
                Label(
                    name=label["name"],
                    description=label.get("description", ""),
                    examples=tuple(label.get("examples", ())),
                )
                for label in snapshot["labels"]
            ),
            template=snapshot.get("template", DEFAULT_TEMPLATE),
            multi_label=bool(snapshot.get("multi_label", False)),
            threshold=snapshot.get("threshold"),
        )

    @classmethod
    def of(
        cls,
        names: str | Iterable[str],
        *,
        template: str = DEFAULT_TEMPLATE,
        multi_label: bool = False,
        threshold: float | None = None,
    ) -> LabelSet:
        """Build from plain names, or from one string separated by ``,`` or ``，``."""
        parsed = split_labels(names) if isinstance(names, str) else [name.strip() for name in names]
        return cls(
            labels=tuple(Label(name=name) for name in parsed),
            template=template,
            multi_label=multi_label,
            threshold=threshold,
        )


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The labels of one text. Indices point into the label set."""

    best: int
    score: float
    margin: float
    assigned: tuple[int, ...]

    @property
    def status(self) -> Status:
        return Status.OK if self.assigned else Status.ABSTAINED


def split_labels(text: str) -> list[str]:
    """Split a label string as ModelScope does: on ``,`` and ``，``, stripped, blanks dropped."""
    return [part.strip() for part in _SEPARATORS.split(text) if part.strip()]


def one_line(text: str) -> str:
    """Join the lines of ``text`` with single blanks, each stripped."""
    return " ".join(filter(None, (line.strip() for line in text.splitlines())))


def check_count(labels: int) -> None:
    """Raise ``InvalidLabels`` for more than :data:`MAX_LABELS` labels, before millions are created."""
    if labels > MAX_LABELS:
        raise InvalidLabels(
            msg("There are %(labels)s labels; the limit is %(max_labels)s.", labels=labels, max_labels=MAX_LABELS),
            limit=MAX_LABELS,
        )


def _check_names(names: tuple[str, ...]) -> None:
    if not names:
        raise InvalidLabels(msg("Give at least one label."), field="labels")
    check_count(len(names))
    seen: set[str] = set()
    for name in names:
        if not name.strip():
            raise InvalidLabels(msg("A label must not be blank."), field="labels")
        if len(name) > MAX_LABEL_CHARS:
            raise InvalidLabels(
                msg(
                    "The label “%(name)s…” has %(count)s characters; the limit is %(max_label_chars)s.",
                    name=name[:20],
                    count=len(name),
                    max_label_chars=MAX_LABEL_CHARS,
                ),
                limit=MAX_LABEL_CHARS,
            )
        if "\x00" in name:
            raise InvalidLabels(msg("The label %(name)s contains a NUL character.", name=repr(name)), field="labels")
        if name in seen:
            raise InvalidLabels(msg("The label “%(name)s” appears twice. Keep one.", name=name), label=name)
        seen.add(name)


def _check_template(template: str) -> None:
    if template.count("{}") != 1:
        raise InvalidTemplate(
            msg(
                "The template %(template)s must contain {} exactly once, where the label goes.", template=repr(template)
            ),
            field="template",
        )
    if len(template) > MAX_TEMPLATE_CHARS:
        raise InvalidTemplate(
            msg(
                "The template has %(count)s characters; the limit is %(max_template_chars)s.",
                count=len(template),
                max_template_chars=MAX_TEMPLATE_CHARS,
            ),
            limit=MAX_TEMPLATE_CHARS,
        )
    if "\x00" in template:
        raise InvalidTemplate(msg("The template contains a NUL character."), field="template")
