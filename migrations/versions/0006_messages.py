"""Stored reasons as messages: an id and parameters in place of an English sentence."""

import json
import re
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_COLUMNS = (("job", "error"), ('"row"', "problem"), ("chunk", "last_error"), ("result", "error"))
_REASON = "refinement ->> 'reason'"

#: The sentences that were stored before this revision, and the message of each where it reads differently now.
_KNOWN = {
    "empty text": None,
    "%(read)s cell where the header has %(columns)s": None,
    "%(read)s cells where the header has %(columns)s": None,
    "not a JSON object": None,
    "not a JSON object (a number or its nesting is too large)": None,
    "not a JSON object (%(problem)s at character %(position)s)": None,
    "the key %(key)s occurs twice in one object": None,
    "its worker was lost %(attempt)s times": None,
    "The engine failed %(attempt)s times: %(reason)s": None,
    "The engine returned scores that are not finite.": None,
    "The engine %(session)s returned logits that are not finite.": None,
    "The engine %(session)s returned embeddings that are not finite.": None,
    "ONNX Runtime failed: %(error)s": None,
    "ONNX Runtime on %(device)s failed: %(error)s": None,
    "OpenVINO failed: %(error)s": None,
    "TensorRT failed: %(error)s": None,
    "This job began with another build of %(model)s (%(pinned)s, here %(mine)s); submit it again to tag every row with "
    "one model.": None,
    "The model %(name_or_path)s is not built yet; run: yeban models build %(name_or_path)s": None,
    "The model in %(folder)s is damaged: %(problem)s. Build it again.": None,
    "This worker cannot refine.": None,
    "None of the rows that would be learnt from could be scored.": "None of the sampled rows could be scored.",
    "Refinement is for two labels or more that exclude one another.": (
        "Refinement needs at least two labels that exclude one another."
    ),
    "%(scored)s rows are too few to learn from; with these labels it takes %(least)s.": (
        "Refinement needs %(least)s scored rows for these labels; the job has %(scored)s."
    ),
    "Not every row has an embedding: the model for them could not run on the workers.": None,
    "The rows were embedded by different builds of the model; submit the job again.": None,
}
_PLACE = re.compile(r"%\((\w+)\)s")


def _pattern(sentence: str) -> re.Pattern[str]:
    made, names = "", set()
    for number, part in enumerate(_PLACE.split(sentence)):
        made += re.escape(part) if number % 2 == 0 else f"(?P={part})" if part in names else f"(?P<{part}>.*?)"
        names |= {part} if number % 2 else set()
    return re.compile(made, re.DOTALL)


_PATTERNS = [(now or before, _pattern(before)) for before, now in _KNOWN.items()]


def message_of(sentence: str) -> dict[str, Any]:
    """The message that ``sentence`` was; one that repeats the sentence where it is not known."""
    return _known(sentence) or {"id": sentence.replace("%", "%%"), "parameters": {}}


def _known(sentence: str) -> dict[str, Any] | None:
    # The class of what an engine raised stood before what it said.
    said = sentence.removeprefix("EngineFailed: ")
    for message_id, pattern in _PATTERNS:
        if (found := pattern.fullmatch(said)) is not None:
            parameters: dict[str, Any] = dict(found.groupdict())
            if "reason" in parameters:
                parameters["reason"] = message_of(parameters["reason"])
            return {"id": message_id, "parameters": parameters}
    return None


def sentence_of(message: dict[str, Any]) -> str:
    """The English sentence of a message."""
    values = {name: _words(value) for name, value in message["parameters"].items()}
    return str(message["id"] % values)


def _words(value: Any) -> Any:
    if isinstance(value, dict):
        return sentence_of(value)
    return "; ".join(map(sentence_of, value)) if isinstance(value, list) else value


def upgrade() -> None:
    sentences = _distinct("{column}", _REASON)
    known = [{"before": said, "after": json.dumps(message_of(said), ensure_ascii=False)} for said in sentences]
    _convert(known, "jsonb")


def downgrade() -> None:
    messages = _distinct("{column}::text", "(refinement -> 'reason')::text")
    _convert([{"before": written, "after": sentence_of(json.loads(written))} for written in messages], "text")


def _distinct(column: str, reason: str) -> list[str]:
    # The names are those above.
    found = [
        f"SELECT {column.format(column=name)} FROM {table} WHERE {name} IS NOT NULL"  # noqa: S608
        for table, name in _COLUMNS
    ]
    found.append(f"SELECT {reason} FROM job WHERE refinement ? 'reason'")  # noqa: S608
    return list(op.get_bind().scalars(sa.text(" UNION ".join(found))))


def _convert(pairs: list[dict[str, str]], to: str) -> None:
    """Rewrite the columns, and the reasons within reports, by ``pairs`` of old and new values."""
    connection = op.get_bind()
    connection.execute(sa.text("CREATE TEMPORARY TABLE conversion (before text, after text)"))
    if pairs:
        connection.execute(sa.text("INSERT INTO conversion VALUES (:before, :after)"), pairs)
    # By a digest: a sentence may be longer than an index entry.
    connection.execute(sa.text("CREATE INDEX conversion_before ON conversion (md5(before))"))
    connection.execute(sa.text("ANALYZE conversion"))
    # ALTER TABLE … USING takes a function, but no subquery.
    connection.execute(
        sa.text(
            "CREATE FUNCTION pg_temp.converted(said text) RETURNS text LANGUAGE sql STABLE AS"
            " 'SELECT after FROM conversion WHERE md5(before) = md5(said) AND before = said'"
        )
    )
    for table, name in _COLUMNS:
        connection.execute(
            sa.text(
                f"ALTER TABLE {table} ALTER COLUMN {name} TYPE {to}"
                f" USING CASE WHEN {name} IS NOT NULL THEN pg_temp.converted({name}::text)::{to} END"
            )
        )
    before, after = {
        "jsonb": (_REASON, "pg_temp.converted({before})::jsonb"),
        "text": ("(refinement -> 'reason')::text", "to_jsonb(pg_temp.converted({before}))"),
    }[to]
    connection.execute(
        sa.text(
            f"UPDATE job SET refinement = jsonb_set(refinement, '{{reason}}', {after.format(before=before)})"  # noqa: S608
            " WHERE refinement ? 'reason'"
        )
    )
    connection.execute(sa.text("DROP FUNCTION pg_temp.converted(text)"))
    connection.execute(sa.text("DROP TABLE conversion"))
