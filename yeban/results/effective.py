"""What finally holds for a row: a person's correction, else what the whole file says, else what the row says by itself.

SQL fragments over the tables ``result``, ``refined`` and ``correction``, shared by the pages and the summary.
"""

from __future__ import annotations

#: Joins to ``result``, for all rows of a job.
JOINS = """
    LEFT JOIN refined ON refined.job_id = result.job_id AND refined.row_no = result.row_no
    LEFT JOIN correction ON correction.job_id = result.job_id AND correction.row_no = result.row_no
"""

#: The same for some rows of a job, one lookup by key for each. With statistics older than the job, PostgreSQL takes
#: every table for nearly empty and would compare all rows with all others; the limits keep it from that.
LOOKUPS = """
    LEFT JOIN LATERAL (SELECT * FROM refined
        WHERE refined.job_id = result.job_id AND refined.row_no = result.row_no LIMIT 1) AS refined ON true
    LEFT JOIN LATERAL (SELECT * FROM correction
        WHERE correction.job_id = result.job_id AND correction.row_no = result.row_no LIMIT 1) AS correction ON true
"""

STATUS = """
    CASE WHEN correction.row_no IS NULL THEN coalesce(refined.status, result.status)
         WHEN correction.labels = '{}' THEN 'abstained' ELSE 'ok' END
"""

#: The assigned labels as numbers. Wants the parameters ``multi_label`` and ``threshold``.
ASSIGNED = """
    CASE WHEN correction.row_no IS NOT NULL THEN CAST(correction.labels AS int[])
         WHEN coalesce(refined.status, result.status) <> 'ok' THEN CAST('{}' AS int[])
         WHEN :multi_label THEN ARRAY(
             SELECT CAST(place - 1 AS int) FROM unnest(result.scores) WITH ORDINALITY AS score (value, place)
             WHERE value >= CAST(:threshold AS real))
         ELSE ARRAY[CAST(coalesce(refined.label, result.label) AS int)] END
"""

#: The score by its place among the twenty parts of [0, 1], from 1 on; NULL for corrected rows and errors. By way of
#: numeric, which has the decimals that were stored: 0.95 as a float4 is less than 0.95.
BIN = """
    CASE WHEN correction.row_no IS NOT NULL THEN NULL WHEN coalesce(refined.score, result.score) >= 1 THEN 20
         ELSE width_bucket(CAST(coalesce(refined.score, result.score) AS numeric), 0, 1, 20) END
"""
