"""The statements of a log, in words that SQLite and PostgreSQL share: every event is one of them.

Numbers, places and versions have no gaps because each is one more than the greatest there is, found by an index, and
because whoever writes does so alone.
"""

__all__ = [
    "ADD", "AHEAD", "ASK", "ASK_AHEAD", "CHANGES", "CLAIM", "COPIED", "DEFINE", "DEFINITIONS", "ENQUEUE", "FORGET",
    "GIVE_UP", "HELD", "NOTE", "QUEUED", "RELEASE", "RENEW", "REPORT", "REPORTS", "TELL", "TRIAL", "WORKERS",
]  # fmt: skip

TRIAL = (
    "number, state, origin, proposal, params, after, place, answer, violations, error, attributes, owner, lease, "
    "attempts, began, ended, version"
)
_NUMBER = "(SELECT coalesce(max(number), -1) + 1 FROM trials WHERE study = :study)"
_PLACE = "(SELECT coalesce(max(place), -1) + 1 FROM trials WHERE study = :study AND place IS NOT NULL)"
_VERSION = "(SELECT coalesce(max(version), 0) + 1 FROM trials WHERE study = :study)"
# SQLite takes a partial index if its condition is there word for word, and to read rows by it if it is told so
_OPEN = "study = :study AND state IN ('queued', 'running') AND state ="
_RUNNING = f"(SELECT number FROM trials WHERE {_OPEN} 'running')"

CHANGES = f"SELECT {TRIAL} FROM trials WHERE study = :study AND version > :since ORDER BY version"

ASK = f"""
INSERT INTO trials
    (study, number, state, origin, proposal, after, attributes, owner, lease, seen, attempts, began, version)
SELECT :study, :number, 'running', 'asked', :proposal, :after, :attributes, :owner, :lease, :now, 1, :now, {_VERSION}
WHERE {_NUMBER} = :number
RETURNING number
"""
AHEAD = 8
"""For how many numbers `ASK_AHEAD` has proposals: p0, p1, ..."""

_PROPOSAL = " ".join(f"WHEN {i} THEN :p{i}" for i in range(AHEAD))
ASK_AHEAD = f"""
WITH latest AS MATERIALIZED (SELECT {_NUMBER} AS next)
INSERT INTO trials
    (study, number, state, origin, proposal, after, attributes, owner, lease, seen, attempts, began, version)
SELECT :study, next, 'running', 'asked', CASE next - :number {_PROPOSAL} END, :after, :attributes, :owner, :lease, :now,
       1, :now, {_VERSION}
FROM latest
WHERE next >= :number AND next < :number + :count AND NOT EXISTS
    (SELECT 1 FROM trials WHERE study = :study AND number >= :number AND origin <> 'asked')
    AND NOT EXISTS (SELECT 1 FROM trials WHERE {_OPEN} 'queued')
RETURNING number
"""
ENQUEUE = f"""
INSERT INTO trials (study, number, state, origin, proposal, after, attributes, attempts, version)
SELECT :study, {_NUMBER}, 'queued', 'queued', :proposal, {_PLACE}, :attributes, 0, {_VERSION}
RETURNING number
"""
ADD = f"""
INSERT INTO trials
    (study, number, state, origin, proposal, params, after, place, answer, violations, error, attributes, attempts,
     began, ended, version)
SELECT :study, {_NUMBER}, :state, 'added', :proposal, :params, {_PLACE}, {_PLACE}, :answer, :violations, :error,
       :attributes, 0, :began, :ended, {_VERSION}
RETURNING number
"""
TELL = f"""
UPDATE trials
SET state = :state, params = CASE WHEN proposal = :params THEN NULL ELSE :params END, place = {_PLACE},
    answer = :answer, violations = :violations, error = :error, attributes = coalesce(:attributes, attributes),
    lease = NULL, seen = NULL, ended = :now, version = {_VERSION}
WHERE study = :study AND number = :number AND state = 'running' AND owner = :owner
RETURNING {TRIAL}
"""
QUEUED = f"SELECT min(number) FROM trials WHERE {_OPEN} 'queued'"
HELD = f"""
SELECT number, owner, lease, seen, attempts FROM trials WHERE study = :study AND number IN {_RUNNING} ORDER BY number
"""
CLAIM = f"""
UPDATE trials
SET state = 'running', owner = :owner, lease = :lease, seen = :now, began = :now, attempts = attempts + 1,
    version = {_VERSION}
WHERE study = :study AND number = :number AND state = :state AND attempts = :attempts
    AND coalesce(lease, -1) = :until
RETURNING {TRIAL}
"""
GIVE_UP = f"""
UPDATE trials
SET state = 'failed', place = {_PLACE}, error = :error, lease = NULL, seen = NULL, ended = :now, version = {_VERSION}
WHERE study = :study AND number = :number AND state = 'running' AND attempts = :attempts AND lease = :until
"""
RELEASE = f"""
UPDATE trials
SET state = 'queued', owner = NULL, lease = NULL, seen = NULL, began = NULL, attempts = attempts - 1,
    version = {_VERSION}
WHERE study = :study AND number = :number AND state = 'running' AND owner = :owner
RETURNING {TRIAL}
"""
RENEW = f"""
UPDATE trials SET lease = :lease, seen = :now WHERE study = :study AND number IN {_RUNNING} AND owner = :owner
"""
NOTE = f"UPDATE trials SET attributes = :attributes, version = {_VERSION} WHERE study = :study AND number = :number"

REPORT = """
INSERT INTO reports (study, number, step, answer, at, version)
SELECT :study, :number, :step, :answer, :now,
       (SELECT coalesce(max(version), 0) + 1 FROM reports WHERE study = :study)
WHERE EXISTS (SELECT 1 FROM trials WHERE study = :study AND number = :number)
ON CONFLICT (study, number, step) DO UPDATE
SET answer = excluded.answer, at = excluded.at, version = excluded.version
RETURNING version
"""
REPORTS = """
SELECT number, step, answer, at, version FROM reports WHERE study = :study AND version > :since ORDER BY version
"""
DEFINE = """
INSERT INTO definitions (study, number, name, leaf)
SELECT :study, (SELECT coalesce(max(number), -1) + 1 FROM definitions WHERE study = :study), :name, :leaf
WHERE :leaf <> coalesce(
    (SELECT leaf FROM definitions WHERE study = :study AND name = :name ORDER BY number DESC LIMIT 1), '')
"""
DEFINITIONS = "SELECT name, leaf FROM definitions WHERE study = :study ORDER BY number"
WORKERS = f"""
SELECT owner, seen, number FROM trials WHERE study = :study AND number IN {_RUNNING} ORDER BY owner, number
"""
COPIED = {
    "trials": f"{TRIAL}, seen",
    "reports": "number, step, answer, at, version",
    "definitions": "number, name, leaf",
}
"""The columns, besides its study, of every table that belongs to one."""

FORGET = (
    "DELETE FROM reports WHERE study = :study",
    "DELETE FROM definitions WHERE study = :study",
    "DELETE FROM trials WHERE study = :study",
    "DELETE FROM studies WHERE id = :study",
)
"""All of a study."""
