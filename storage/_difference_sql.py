"""The statements of `storage.difference`, in the order in which a run comes to need them."""

from __future__ import annotations

DEAD = "record_id, place, reason, stage, content_hash"
_DUPLICATE = "duplicate id"
SCHEMA = """
CREATE TABLE known (content_hash VARCHAR, origin VARCHAR);
CREATE TABLE dead (record_id VARCHAR, place VARCHAR, reason VARCHAR, stage VARCHAR,
                   content_hash VARCHAR);
CREATE TABLE dead_content (content_hash VARCHAR, reason VARCHAR, lasting BOOLEAN);
CREATE TABLE unmet (content_hash VARCHAR);
"""
# Each looks up a chunk's few thousand rows in all that came before, so the larger table is filtered
# by the chunk first: DuckDB then streams it past a small hash table, and builds no large one.
NUMBER_CONTENT_IDS = """
CREATE OR REPLACE TEMP TABLE given AS
WITH seen AS (
    SELECT content_hash, count(*) AS n FROM {seen}
    WHERE content_hash IN (SELECT content_hash FROM {chunk} WHERE record_id = content_hash)
    GROUP BY content_hash),
numbered AS (SELECT *, row_number() OVER (PARTITION BY record_id ORDER BY seq) AS nth FROM {chunk})
SELECT g.* EXCLUDE (nth) REPLACE (CASE
    WHEN g.record_id <> g.content_hash OR g.nth + coalesce(s.n, 0) = 1 THEN g.record_id
    ELSE g.record_id || '#' || (g.nth + coalesce(s.n, 0)) END AS record_id)
FROM numbered g LEFT JOIN seen s ON g.content_hash = s.content_hash
"""
REFUSE_TIMELESS = f"""
INSERT INTO dead ({DEAD})
SELECT record_id, place, 'no event time: history = true keeps contents by the time they are of',
    'read', content_hash
FROM given WHERE event_time IS NULL;
DELETE FROM given WHERE event_time IS NULL
"""
FIND_REPEATED = """
CREATE OR REPLACE TEMP TABLE repeated AS
WITH before AS (SELECT {identity}, place FROM {seen} SEMI JOIN given USING ({identity})),
first AS (
    SELECT {identity}, min(seq) AS seq, arg_min(place, seq) AS place FROM given GROUP BY {identity})
SELECT g.seq, coalesce(b.place, f.place) AS first_place
FROM given g LEFT JOIN before b USING ({identity}) JOIN first f USING ({identity})
WHERE b.place IS NOT NULL OR g.seq > f.seq
"""
REFUSE_REPEATED = f"""
INSERT INTO dead ({DEAD})
SELECT g.record_id, g.place, '{_DUPLICATE}{{at_one_time}}, first seen at ' || r.first_place, 'read',
    g.content_hash
FROM given g JOIN repeated r USING (seq)
"""
FIND_WANTED = """
CREATE OR REPLACE TEMP TABLE wanted AS
WITH had AS (
    SELECT content_hash FROM known WHERE content_hash IN (SELECT content_hash FROM given))
SELECT min(seq) AS seq, content_hash FROM given ANTI JOIN repeated USING (seq)
WHERE content_hash NOT IN (SELECT content_hash FROM had) GROUP BY content_hash
"""
NOTE_UNMET = """
INSERT INTO unmet SELECT DISTINCT content_hash FROM given
WHERE content_hash NOT IN (SELECT content_hash FROM known)
"""
# What an interrupted run has dealt with is as new to the version as what this one encodes.
FIND_FRESH = """
CREATE OR REPLACE TEMP TABLE fresh AS
SELECT seq FROM wanted UNION ALL
SELECT min(seq) FROM given ANTI JOIN repeated USING (seq)
WHERE content_hash IN (FROM unmet) GROUP BY content_hash;
DELETE FROM unmet WHERE content_hash IN (SELECT content_hash FROM given)
"""
# Beyond its limit a run leaves records as they are; the next one finds them new again.
LEAVE_OUT = """
CREATE OR REPLACE TEMP TABLE excess AS FROM wanted ORDER BY seq OFFSET {limit};
DELETE FROM wanted WHERE seq IN (SELECT seq FROM excess);
DELETE FROM given WHERE content_hash IN (SELECT content_hash FROM excess)
    AND seq NOT IN (SELECT seq FROM repeated) RETURNING seq
"""
VANISHED = """
SELECT DISTINCT record_id FROM base WHERE record_id NOT IN (SELECT record_id FROM snapshot)
AND record_id NOT IN (SELECT record_id FROM dead WHERE record_id IS NOT NULL)
ORDER BY record_id
"""
OVERTAKEN = """
row_number() OVER (PARTITION BY record_id, event_time ORDER BY run_id DESC, content_hash) > 1
"""
CLASSIFY = """
CREATE OR REPLACE TABLE outcome AS
SELECT s.*, b.record_id IS NULL AS added, CASE
    WHEN d.content_hash IS NOT NULL THEN 'dead'
    WHEN b.record_id IS NULL THEN {unmatched}
    WHEN b.content_hash <> s.content_hash OR b.overtaken THEN 'changed'
    WHEN {differs} THEN 'updated'
    ELSE 'unchanged' END AS outcome
FROM snapshot s
LEFT JOIN base b ON {same}
LEFT JOIN dead_content d ON s.content_hash = d.content_hash
"""
# A content may be staged twice, by a task that outlived its run. And what a run staged that died
# after it had published stands in the base already.
CHOOSE_STAGED = """
CREATE OR REPLACE TEMP TABLE chosen AS
SELECT filename, file_row_number
FROM read_parquet([{files}], filename = true, file_row_number = true)
WHERE reason IS NULL
AND content_hash NOT IN (SELECT content_hash FROM known WHERE origin = 'base')
QUALIFY row_number() OVER (PARTITION BY content_hash ORDER BY filename, file_row_number) = 1
"""
USED_STAGED = """
WITH firsts AS (
    SELECT content_hash, filename
    FROM read_parquet([{files}], filename = true, file_row_number = true)
    WHERE reason IS NULL
    QUALIFY row_number() OVER (PARTITION BY content_hash ORDER BY filename, file_row_number) = 1)
SELECT DISTINCT filename FROM firsts WHERE content_hash IN (
    SELECT content_hash FROM outcome WHERE outcome IN ('new', 'changed')
    INTERSECT SELECT content_hash FROM known WHERE origin IN ('run', 'staged'))
"""
REUSE = """
CREATE OR REPLACE TEMP TABLE reused AS
SELECT content_hash, arg_min(vector, record_id) AS vector, min(encoded_at) AS encoded_at,
    arg_min({thumbnail}, record_id) AS thumbnail
FROM published
WHERE content_hash IN (
    SELECT content_hash FROM outcome WHERE outcome IN ('new', 'changed')
    INTERSECT SELECT content_hash FROM known WHERE origin = 'base')
GROUP BY content_hash
"""
# A record may be read or published and dead as well; one refused for its id is another record.
COUNT_KNOWN = f"""
WITH known AS ({{known}}),
again AS (
    SELECT DISTINCT record_id FROM letters
    WHERE record_id IN (FROM known) AND NOT starts_with(reason, '{_DUPLICATE}'))
SELECT (SELECT count(*) FROM known) + (SELECT count(*) FROM letters)
    - (SELECT count(*) FROM again) AS n
"""
COUNT_BY_WINDOW = """
WITH firsts AS (
    SELECT content_hash, min(event_time) AS moment FROM outcome
    WHERE outcome IN ('new', 'changed')
    AND content_hash IN (SELECT content_hash FROM known WHERE origin = 'run')
    GROUP BY content_hash)
SELECT (SELECT count(*) FROM outcome WHERE event_time >= since AND event_time < until),
    (SELECT count(*) FROM firsts WHERE moment >= since AND moment < until)
FROM bounds ORDER BY nth
"""
