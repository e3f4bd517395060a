"""Label sets as they are saved: what is tidied without a word, and what is refused."""

from __future__ import annotations

from dataclasses import replace

from yeban.errors import InvalidLabels, InvalidRequest, TooLarge, phrase
from yeban.labels import MAX_EXAMPLES, MAX_HINT_CHARS, Label, LabelSet

MAX_NAME_CHARS = 100
#: Of a set's names, descriptions and examples together.
MAX_SET_CHARS = 300_000


def tidied_name(name: str) -> str:
    """A set's name on one line. Raises ``InvalidRequest``: it has 1 to :data:`MAX_NAME_CHARS` characters."""
    name = _on_one_line(name)
    if not 1 <= len(name) <= MAX_NAME_CHARS or "\x00" in name:
        raise InvalidRequest(f"A label set's name has 1 to {MAX_NAME_CHARS} characters, and no NUL.", field="name")
    return name


def tidied(label_set: LabelSet) -> LabelSet:
    """As it is stored and can be edited: every string on one line, blank examples dropped.

    Raises ``InvalidLabels`` that names the label whose description or example is too long or has a NUL, or that has
    over :data:`~yeban.labels.MAX_EXAMPLES` examples; and ``TooLarge`` over :data:`MAX_SET_CHARS`.
    """
    labels = tuple(map(_tidied_label, label_set.labels))
    chars = sum(len(part) for label in labels for part in (label.name, label.description, *label.examples))
    if chars > MAX_SET_CHARS:
        raise TooLarge(
            f"The label set has {chars} characters; the limit is {MAX_SET_CHARS}. Leave out some examples.",
            limit=MAX_SET_CHARS,
        )
    # Checked anew: names may be equal on one line.
    return replace(label_set, labels=labels, template=" ".join(label_set.template.splitlines()))


def _tidied_label(label: Label) -> Label:
    name = _on_one_line(label.name)
    examples = tuple(line for line in map(_on_one_line, label.examples) if line)
    if len(examples) > MAX_EXAMPLES:
        raise InvalidLabels(
            f"The label “{name}” has {len(examples)} examples; the limit is {MAX_EXAMPLES}.",
            label=name,
            limit=MAX_EXAMPLES,
        )
    description = _on_one_line(label.description)
    texts = [(phrase("The description"), description), *((phrase("An example"), example) for example in examples)]
    for what, value in texts:
        if len(value) > MAX_HINT_CHARS:
            raise InvalidLabels(
                f"{what} of the label “{name}” has {len(value)} characters; the limit is {MAX_HINT_CHARS}.",
                label=name,
                limit=MAX_HINT_CHARS,
            )
        if "\x00" in value:
            raise InvalidLabels(f"{what} of the label “{name}” holds a NUL character.", label=name)
    return Label(name=name, description=description, examples=examples)


def _on_one_line(value: str) -> str:
    return " ".join(filter(None, (line.strip() for line in value.splitlines())))
