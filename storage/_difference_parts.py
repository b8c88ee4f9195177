"""The statements of `storage.difference` for rows that are parts of records (`storage.parts`).

Whether a record came before, or goes by its content, is asked of the record: by the first of its
rows, which stands for it in ``heads``. What was found of records so far lies in ``wholes``, where
rows that are records themselves have their ``snapshot``.
"""

from __future__ import annotations

SCHEMA = "CREATE TABLE wholes (record_id VARCHAR, content_hash VARCHAR, place VARCHAR)"

HEADS = """
CREATE OR REPLACE TEMP TABLE heads AS
SELECT seq, {parent} AS record_id, place, {whole} AS content_hash, event_time
FROM chunk WHERE {number} = 0
"""
# After records were numbered and refused as a whole, `given` becomes what it is without parts:
# the rows themselves, none of which repeats another.
SPREAD = """
CREATE OR REPLACE TEMP TABLE taken AS
SELECT seq, record_id, content_hash, place FROM given ANTI JOIN repeated USING (seq);
CREATE OR REPLACE TEMP TABLE given AS
SELECT c.* EXCLUDE (head) REPLACE (
    t.record_id || '#' || c.{number} AS record_id, t.record_id AS {parent})
FROM chunk c JOIN taken t ON c.head = t.seq;
DELETE FROM repeated
"""
# A record is taken whole or left whole: of two of its states no reader is to see a part of each.
# So the one that reaches the limit may go beyond.
LEAVE_OUT = """
CREATE OR REPLACE TEMP TABLE excess AS
WITH asked AS (
    SELECT g.{parent} AS parent, min(g.seq) AS first, count(*) AS n
    FROM wanted w JOIN given g USING (seq) GROUP BY ALL),
summed AS (SELECT parent, sum(n) OVER (ORDER BY first) - n AS before FROM asked)
SELECT w.seq, w.content_hash
FROM wanted w JOIN given g USING (seq) JOIN summed s ON g.{parent} = s.parent
WHERE s.before >= {limit};
DELETE FROM wanted WHERE seq IN (SELECT seq FROM excess);
DELETE FROM given WHERE {parent} IN (
    SELECT {parent} FROM given WHERE content_hash IN (SELECT content_hash FROM excess))
RETURNING seq
"""
TAKEN = "SELECT * FROM taken WHERE record_id IN (SELECT {parent} FROM given)"
TAKE = f"INSERT INTO wholes SELECT record_id, content_hash, place FROM ({TAKEN})"
# A record that was read has the parts that it was read to have, however little else was read.
SHORTENED = """
SELECT DISTINCT record_id FROM base ANTI JOIN snapshot USING (record_id)
WHERE {parent} IN (SELECT record_id FROM wholes)
"""
VANISHED = """
SELECT DISTINCT record_id FROM base ANTI JOIN snapshot USING (record_id)
WHERE {parent} IN (SELECT record_id FROM wholes)
    OR {parent} NOT IN (SELECT record_id FROM dead WHERE record_id IS NOT NULL)
"""
GONE = """
SELECT DISTINCT {parent} AS record_id FROM base b
ANTI JOIN wholes w ON b.{parent} = w.record_id ANTI JOIN dead d ON b.{parent} = d.record_id
"""
# The words about the part come off first: what failed before is read back from the catalog.
REASON = (
    "regexp_replace(d.reason, ' \\(chunk \\d+, {unit} \\d+ to \\d+\\)$', '') || ' (chunk ' || "
    "s.{number} || ', {unit} ' || s.{start} || ' to ' || s.{end} || ')'"
)
