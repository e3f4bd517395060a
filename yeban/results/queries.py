"""SQL statements that read results, and the effective label of each row.

The effective label is a person's correction, else the refined label, else the row label.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, ColumnClause, DateTime, Float, Integer, LargeBinary, SmallInteger, Text, column
from sqlalchemy.dialects.postgresql import ARRAY, JSON, REAL

from yeban.database.tables.states import statement
from yeban.labels import Status

#: Status of a row that has no result yet.
PENDING = "pending"

# Joins to ``result``, for all rows of a job.
_JOINS = """
    LEFT JOIN refined ON refined.job_id = result.job_id AND refined.row_no = result.row_no
    LEFT JOIN correction ON correction.job_id = result.job_id AND correction.row_no = result.row_no
"""

# The same for some rows of a job, each looked up by key. With statistics older than the job, PostgreSQL takes every
# table for nearly empty and would compare all rows with all others; the limits prevent that.
_LOOKUPS = """
    LEFT JOIN LATERAL (SELECT * FROM refined
        WHERE refined.job_id = result.job_id AND refined.row_no = result.row_no LIMIT 1) AS refined ON true
    LEFT JOIN LATERAL (SELECT * FROM correction
        WHERE correction.job_id = result.job_id AND correction.row_no = result.row_no LIMIT 1) AS correction ON true
"""

_STATUS = """
    CASE WHEN correction.row_no IS NULL THEN coalesce(refined.status, result.status)
         WHEN correction.labels = '{}' THEN 'abstained' ELSE 'ok' END
"""

# The assigned labels as numbers. Needs the parameters ``multi_label`` and ``threshold``.
_ASSIGNED = """
    CASE WHEN correction.row_no IS NOT NULL THEN CAST(correction.labels AS int[])
         WHEN coalesce(refined.status, result.status) <> 'ok' THEN CAST('{}' AS int[])
         WHEN :multi_label THEN ARRAY(
             SELECT CAST(place - 1 AS int) FROM unnest(result.scores) WITH ORDINALITY AS score (value, place)
             WHERE value >= CAST(:threshold AS real))
         ELSE ARRAY[CAST(coalesce(refined.label, result.label) AS int)] END
"""

# The bin of the score among twenty equal parts of [0, 1], from 1 on; NULL for corrected rows and errors. Numeric has
# the decimals that were stored: 0.95 as a float4 is less than 0.95.
_BIN = """
    CASE WHEN correction.row_no IS NOT NULL THEN NULL WHEN coalesce(refined.score, result.score) >= 1 THEN 20
         ELSE width_bucket(CAST(coalesce(refined.score, result.score) AS numeric), 0, 1, 20) END
"""

_RESULT_WITH_GOLD = (
    "FROM result",
    _JOINS,
    'JOIN "row" ON "row".job_id = result.job_id AND "row".row_no = result.row_no WHERE result.job_id = :id',
)
_COUNTED = (
    column("status", Text),
    column("gold", Text),
    column("assigned", ARRAY(Integer)),
    column("bin", Integer),
    column("count", BigInteger),
)

#: Counts of a job's rows by effective status, labels and score.
COUNTS = statement(
    "SELECT",
    _STATUS,
    "AS status, NULL AS gold,",
    _ASSIGNED,
    "AS assigned,",
    _BIN,
    "AS bin, count(*) FROM result",
    _JOINS,
    "WHERE result.job_id = :id GROUP BY 1, 2, 3, 4",
).columns(*_COUNTED)

#: The same, by gold cell as well.
COUNTS_WITH_GOLD = statement(
    "SELECT",
    _STATUS,
    "AS status, gold,",
    _ASSIGNED,
    "AS assigned,",
    _BIN,
    "AS bin, count(*)",
    *_RESULT_WITH_GOLD,
    "GROUP BY 1, 2, 3, 4",
).columns(*_COUNTED)

#: Counts by gold cell and row label, against which the effect of refinement and corrections is measured.
ROW_LABELS_WITH_GOLD = statement(
    """
    SELECT gold, CASE WHEN status = 'ok' THEN label END AS label, count(*)
    FROM result JOIN "row" USING (job_id, row_no) WHERE job_id = :id GROUP BY 1, 2
    """
).columns(column("gold", Text), column("label", SmallInteger), column("count", BigInteger))

#: Counts by score, gold cell and label. Scores are cut to two decimals, never rounded up: a row of .805 does not reach
#: a threshold of .81. Corrected rows have no score.
SCORES_WITH_GOLD = statement(
    """
    SELECT CAST(floor(CAST(coalesce(refined.score, result.score) AS numeric) * 100) / 100 AS float) AS score, gold,
        coalesce(refined.label, result.label) AS label, count(*)
    """,
    *_RESULT_WITH_GOLD,
    "AND result.status <> 'error' AND correction.row_no IS NULL AND gold IS NOT NULL GROUP BY 1, 2, 3",
).columns(column("score", Float), column("gold", Text), column("label", SmallInteger), column("count", BigInteger))

#: Counts of the row labels and scores of a job's first rows.
FIRST_SCORES = statement(
    """
    SELECT status, label,
        CASE WHEN score >= 1 THEN 20 ELSE width_bucket(CAST(score AS numeric), 0, 1, 20) END AS bin, count(*)
    FROM result WHERE job_id = :job AND row_no <= :last GROUP BY 1, 2, 3
    """
).columns(column("status", Text), column("label", SmallInteger), column("bin", Integer), column("count", BigInteger))

#: Counts of the labels that the scores of a multi-label job's first rows assign.
FIRST_ASSIGNED = statement(
    """
    SELECT CAST(place - 1 AS int) AS label, count(*)
    FROM result CROSS JOIN LATERAL unnest(scores) WITH ORDINALITY AS score (value, place)
    WHERE job_id = :job AND row_no <= :last AND status = 'ok' AND value >= CAST(:threshold AS real) GROUP BY 1
    """
).columns(column("label", Integer), column("count", BigInteger))

#: Effective status, labels and score of some rows that have a result.
EFFECTIVE = statement(
    "SELECT result.row_no,",
    _STATUS,
    "AS status,",
    _ASSIGNED,
    "AS assigned,",
    _BIN,
    "AS bin,",
    "correction.labels AS corrected FROM result",
    _LOOKUPS,
    "WHERE result.job_id = :id AND result.row_no = ANY(:row_nos)",
).columns(
    column("row_no", Integer),
    column("status", Text),
    column("assigned", ARRAY(Integer)),
    column("bin", Integer),
    column("corrected", ARRAY(SmallInteger)),
)

#: Numbers of the rows of a block of the file with one gold label and one effective label. Results are looked up by key
#: and only for rows with that gold label, regardless of the statistics.
CONFUSED = statement(
    """
    SELECT "row".row_no
    FROM "row" CROSS JOIN LATERAL (SELECT * FROM result
        WHERE result.job_id = "row".job_id AND result.row_no = "row".row_no LIMIT 1) AS result
    """,
    _LOOKUPS,
    """
    WHERE "row".job_id = :job AND "row".row_no > :after AND "row".row_no <= :last
        AND CASE WHEN CAST(:gold AS text) IS NULL THEN gold <> ALL(CAST(:names AS text[])) ELSE gold = :gold END
        AND CASE WHEN :label < 0 THEN
    """,
    _STATUS,
    "<> 'ok' ELSE",
    _STATUS,
    "= 'ok' AND",
    _ASSIGNED,
    "= ARRAY[CAST(:label AS int)] END",
    'ORDER BY "row".row_no LIMIT :limit',
).columns(column("row_no", Integer))

_TAGGED = (
    'SELECT "row".row_no, file_row, "row".text, gold, cells, coalesce(',
    _STATUS,
    ", :pending) AS status,",
    """
        result.status AS row_status, result.score AS row_score, result.margin AS row_margin, scores, error,
        refined.status AS refined_status, refined.label AS refined_label, refined.score AS refined_score,
        refined.margin AS refined_margin,
        correction.labels AS corrected, correction.author AS corrected_by, correction.made_at AS corrected_at
    """,
)
_TAGGED_COLUMNS: tuple[ColumnClause[Any], ...] = (
    column("row_no", Integer),
    column("file_row", Integer),
    column("text", Text),
    column("gold", Text),
    column("cells", JSON),
    column("status", Text),
    column("row_status", Text),
    column("row_score", REAL),
    column("row_margin", REAL),
    column("scores"),  # without a type, whose processor would read each of a million rows' scores once more
    column("error", Text),
    column("refined_status", Text),
    column("refined_label", SmallInteger),
    column("refined_score", REAL),
    column("refined_margin", REAL),
    column("corrected", ARRAY(SmallInteger)),
    column("corrected_by", Text),
    column("corrected_at", DateTime(timezone=True)),
)

# Conditions that an index serves: results are found by their status (errors by an index of their own), pending rows by
# having none. A correction mends an error.
_CONDITIONS: dict[str | None, tuple[str, ...]] = {
    None: ("true",),
    PENDING: ("result.row_no IS NULL",),
    Status.OK: (_STATUS, "= 'ok'"),
    Status.ABSTAINED: (_STATUS, "= 'abstained'"),
    Status.ERROR: ("result.status = 'error' AND correction.row_no IS NULL",),
}

#: Pages of tagged rows, by the status that the page is limited to.
PAGES = {
    status: statement(
        *_TAGGED,
        """
        FROM "row" LEFT JOIN result ON result.job_id = "row".job_id AND result.row_no = "row".row_no
            AND result.job_id = :job AND result.row_no > :after AND result.row_no <= :last
        """,
        _LOOKUPS,
        'WHERE "row".job_id = :job AND "row".row_no > :after AND "row".row_no <= :last AND',
        *condition,
        'ORDER BY "row".row_no LIMIT :limit',
    )
    .bindparams(pending=PENDING)
    .columns(*_TAGGED_COLUMNS)
    for status, condition in _CONDITIONS.items()
}

#: Tagged rows by number, each looked up by key, since they may stand anywhere in a long file.
TAGGED_ROWS = (
    statement(
        *_TAGGED,
        """
        FROM unnest(CAST(:row_nos AS int[])) AS wanted (row_no)
        CROSS JOIN LATERAL (SELECT * FROM "row" WHERE job_id = :job AND row_no = wanted.row_no LIMIT 1) AS "row"
        LEFT JOIN LATERAL (SELECT * FROM result
            WHERE job_id = :job AND row_no = wanted.row_no LIMIT 1) AS result ON true
        """,
        _LOOKUPS,
    )
    .bindparams(pending=PENDING)
    .columns(*_TAGGED_COLUMNS)
)

_SCORED_COLUMNS = (
    column("row_no", Integer),
    column("text", Text),
    column("label", SmallInteger),
    column("refined", SmallInteger),
    column("scores", LargeBinary),
    column("vector", LargeBinary),
)

#: The scored rows among ``:row_nos``, with the embedding of each.
SAMPLED = statement(
    """
    SELECT "row".row_no, left("row".text, :chars), label, NULL, array_send(scores),
        substring(vectors FROM ("row".row_no - first_row) * CAST(:width AS int) + 1 FOR CAST(:width AS int))
    FROM unnest(CAST(:row_nos AS int[])) AS wanted (row_no)
        JOIN "row" ON "row".job_id = :id AND "row".row_no = wanted.row_no
        JOIN result ON result.job_id = :id AND result.row_no = wanted.row_no AND result.status <> 'error'
        JOIN embedding ON embedding.job_id = :id AND embedding.first_row = (
            SELECT max(first_row) FROM embedding WHERE job_id = :id AND first_row <= wanted.row_no)
    ORDER BY 1
    """
).columns(*_SCORED_COLUMNS)

#: The scored rows from ``:first`` to ``:last``, without embeddings.
SCORED_RANGE = statement(
    """
    SELECT "row".row_no, left("row".text, :chars), result.label, refined.label, array_send(scores), NULL
    FROM "row" JOIN result ON result.job_id = :id AND result.row_no = "row".row_no
        AND result.row_no BETWEEN :first AND :last AND result.status <> 'error'
    LEFT JOIN refined ON refined.job_id = :id AND refined.row_no = "row".row_no
        AND refined.row_no BETWEEN :first AND :last
    WHERE "row".job_id = :id AND "row".row_no BETWEEN :first AND :last ORDER BY 1
    """
).columns(*_SCORED_COLUMNS)
