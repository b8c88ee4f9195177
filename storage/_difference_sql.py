"""The statements of `storage.difference`, in the order in which a run comes to need them."""

from __future__ import annotations

DEAD = "record_id, place, reason, stage, content_hash"
_DUPLICATE = "duplicate id"
SCHEMA = """
CREATE TABLE known (content_hash VARCHAR, origin VARCHAR);
CREATE TABLE dead (record_id VARCHAR, place VARCHAR, reason VARCHAR, stage VARCHAR,
                   content_hash VARCHAR, event_time TIMESTAMPTZ, owing BOOLEAN DEFAULT false);
CREATE TABLE dead_content (content_hash VARCHAR, reason VARCHAR, lasting BOOLEAN);
"""
# What is asked of all that came before is asked of `storage.keys`: no statement over a chunk reads
# what earlier ones have left. `counted`, `before`, `had` and `waiting` are its answers.
BY_CONTENT = """
SELECT content_hash, {key} AS key
FROM (SELECT DISTINCT content_hash FROM {chunk} WHERE record_id = content_hash)
"""
GIVEN = "CREATE OR REPLACE TEMP TABLE given AS FROM {chunk}"
NUMBER_CONTENT_IDS = """
CREATE OR REPLACE TEMP TABLE given AS
WITH numbered AS (
    SELECT *, row_number() OVER (PARTITION BY record_id ORDER BY seq) AS nth FROM {chunk})
SELECT g.* EXCLUDE (nth) REPLACE (CASE
    WHEN g.record_id <> g.content_hash OR g.nth + c.n = 1 THEN g.record_id
    ELSE g.record_id || '#' || (g.nth + c.n) END AS record_id)
FROM numbered g LEFT JOIN counted c USING (content_hash)
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
WITH first AS (
    SELECT {identity}, min(seq) AS seq, arg_min(place, seq) AS place FROM given GROUP BY {identity})
SELECT g.seq, CASE WHEN b.seq IS NULL THEN f.place ELSE '' END AS first_place,
    b.seq IS NOT NULL AS owing
FROM given g LEFT JOIN before b USING (seq) JOIN first f USING ({identity})
WHERE b.seq IS NOT NULL OR g.seq > f.seq
"""
REFUSE_REPEATED = f"""
INSERT INTO dead ({DEAD}, event_time, owing)
SELECT g.record_id, g.place, '{_DUPLICATE}{{at_one_time}}, first seen at ' || r.first_place, 'read',
    g.content_hash, g.event_time, r.owing
FROM given g JOIN repeated r USING (seq)
"""
# Where those were that came in earlier chunks is looked up once for all.
NAME_FIRST = """
UPDATE dead SET reason = reason || s.place, owing = false FROM {seen} s WHERE owing AND {same}
"""
FIND_WANTED = """
CREATE OR REPLACE TEMP TABLE wanted AS
SELECT min(seq) AS seq, content_hash
FROM given ANTI JOIN repeated USING (seq) ANTI JOIN had USING (seq) GROUP BY content_hash
"""
TAKEN = "SELECT seq, content_hash FROM given ANTI JOIN repeated USING (seq)"
# What an interrupted run has dealt with is as new to the version as what this one encodes.
FIND_FRESH = """
CREATE OR REPLACE TEMP TABLE fresh AS
SELECT seq FROM wanted UNION ALL
SELECT min(seq) FROM given SEMI JOIN waiting USING (seq) ANTI JOIN repeated USING (seq)
GROUP BY content_hash
"""
# Beyond its limit a run leaves records as they are; the next one finds them new again.
LEAVE_OUT = """
CREATE OR REPLACE TEMP TABLE excess AS FROM wanted ORDER BY seq OFFSET {limit};
DELETE FROM wanted WHERE seq IN (SELECT seq FROM excess);
DELETE FROM given WHERE content_hash IN (SELECT content_hash FROM excess)
    AND seq NOT IN (SELECT seq FROM repeated) RETURNING seq
"""
# Not by NOT IN: what that looks rows up in has to fit into memory.
VANISHED = """
SELECT DISTINCT record_id FROM base
ANTI JOIN snapshot USING (record_id) ANTI JOIN dead USING (record_id)
"""
OVERTAKEN = """
row_number() OVER (PARTITION BY record_id, event_time ORDER BY run_id DESC, content_hash) > 1
"""
# Of what is unchanged nothing is put down: mostly that is all there is. Nor are kept columns, which
# may be whole texts; where they are needed they are looked up in `snapshot`.
CLASSIFY = """
CREATE OR REPLACE TABLE outcome AS
SELECT s.seq, s.record_id, s.content_hash, s.event_time, b.nth AS base_nth,
    b.record_id IS NULL AS added, CASE
    WHEN d.content_hash IS NOT NULL THEN 'dead'
    WHEN b.record_id IS NULL THEN {unmatched}
    WHEN b.content_hash <> s.content_hash OR b.overtaken THEN 'changed'
    ELSE 'updated' END AS outcome
FROM snapshot s
LEFT JOIN base b ON {same}
LEFT JOIN dead_content d ON s.content_hash = d.content_hash
WHERE d.content_hash IS NOT NULL OR b.record_id IS NULL
    OR b.content_hash <> s.content_hash OR b.overtaken OR {differs}
"""
TALLY = """
SELECT outcome, count(*) FROM outcome GROUP BY ALL UNION ALL
SELECT 'unchanged', (SELECT count(*) FROM snapshot) - (SELECT count(*) FROM outcome)
"""
# What a run staged that died after it had published stands in the base already. A content may be
# staged twice, by a task that outlived its run.
CHOOSE = """
CREATE OR REPLACE TABLE reused AS
SELECT content_hash, arg_min(nth, record_id) AS nth
FROM base SEMI JOIN (FROM outcome WHERE outcome IN ('new', 'changed')) USING (content_hash)
GROUP BY content_hash;
CREATE OR REPLACE TABLE chosen (digest UHUGEINT, nth BIGINT)
"""
# Contents are told apart by 128 bits: what a join on their whole hashes holds of ten million is
# more than a run may have.
CHOOSE_STAGED = """
INSERT INTO chosen
SELECT md5_number(content_hash) AS digest,
    min((file_index::BIGINT << {file_bits}) | file_row_number)
FROM read_parquet([{files}], file_row_number = true)
SEMI JOIN (FROM outcome WHERE outcome IN ('new', 'changed')) USING (content_hash)
ANTI JOIN reused USING (content_hash)
WHERE reason IS NULL
GROUP BY digest
"""
FROM_STAGED = """
SELECT o.seq, c.nth, true AS fresh
FROM chosen c JOIN outcome o ON c.digest = md5_number(o.content_hash)
WHERE o.outcome IN ('new', 'changed')
"""
# An updated record keeps the run and the time that made its vector.
FROM_PUBLISHED = """
SELECT o.seq, r.nth, true AS fresh
FROM reused r JOIN outcome o USING (content_hash) WHERE o.outcome IN ('new', 'changed')
UNION ALL
SELECT o.seq, o.base_nth, false
FROM outcome o WHERE o.outcome = 'updated'
"""
# Rows lie in `snapshot` by `seq`, and whole ones are neither joined nor sorted here, which takes
# more memory than there is where they are long. Nor is what is joined sorted in one go, which holds
# both; and what is sorted is numbered as it comes: a window with its own order holds all rows.
PLACE = """
CREATE OR REPLACE TABLE unplaced AS {rows};
CREATE OR REPLACE TABLE placed AS
SELECT *, row_number() OVER () - 1 AS {place} FROM (FROM unplaced ORDER BY nth, seq);
DROP TABLE unplaced
"""
PLACED = "SELECT seq, nth, fresh, {place} FROM placed ORDER BY seq"
STAYING = """
SELECT nth FROM base
ANTI JOIN (FROM outcome WHERE outcome IN ('new', 'changed', 'updated')) USING ({key})
{stays} ORDER BY nth
"""
GOING = """
SELECT base_nth AS nth FROM outcome WHERE outcome IN ('changed', 'updated') AND base_nth IS NOT NULL
UNION ALL SELECT nth FROM base WHERE {vanished} ORDER BY nth
"""
# A record may be read or published and dead as well; one refused for its id is another record.
COUNT_KNOWN = f"""
WITH known AS ({{known}}),
again AS (
    SELECT DISTINCT record_id FROM letters
    WHERE record_id IN (FROM known) AND NOT starts_with(reason, '{_DUPLICATE}'))
SELECT (SELECT count(*) FROM known) + (SELECT count(*) FROM letters)
    - (SELECT count(*) FROM again)
"""
COUNT_BY_WINDOW = """
WITH firsts AS (
    SELECT content_hash, min(event_time) AS moment FROM outcome
    WHERE outcome IN ('new', 'changed')
    AND content_hash IN (SELECT content_hash FROM known WHERE origin = 'run')
    GROUP BY content_hash)
SELECT (SELECT count(*) FROM snapshot WHERE event_time >= since AND event_time < until),
    (SELECT count(*) FROM firsts WHERE moment >= since AND moment < until)
FROM bounds ORDER BY nth
"""
STILL_DEAD = f"""
SELECT {DEAD} FROM before b
ANTI JOIN {{seen}} s ON b.place = s.place ANTI JOIN dead d ON b.place = d.place
ANTI JOIN {{seen}} t ON b.record_id = t.record_id ANTI JOIN dead e ON b.record_id = e.record_id
"""
GIVEN_CONTENTS = "SELECT DISTINCT content_hash FROM given WHERE content_hash IS NOT NULL"
KNOW_DEAD = """
INSERT INTO dead_content
SELECT content_hash, any_value(reason), bool_or(lasting) FROM given
ANTI JOIN dead_content USING (content_hash) ANTI JOIN base USING (content_hash)
WHERE content_hash IS NOT NULL GROUP BY content_hash
"""
