"""The tables of a log, version by version; a log that is older is brought up step by step in one transaction.

A step is never changed once it was published, since logs of its version are about. ``{serial}`` and ``{clustered}``
are spelled by each database in its own way, all else is understood by SQLite and by PostgreSQL.
"""

__all__ = ["APPLICATION", "FROM_RUNS", "TRIALS", "VERSION"]

APPLICATION = 0x64736364
"""By which SQLite files of descend are recognized ("dscd")."""

TRIALS = """
CREATE TABLE studies (
    id {serial},
    name TEXT NOT NULL UNIQUE,
    header TEXT NOT NULL,               -- JSON: all that its trials depend on
    attributes TEXT,                    -- JSON
    began DOUBLE PRECISION NOT NULL     -- unix time, as all times
);
CREATE TABLE trials (
    study INTEGER NOT NULL REFERENCES studies (id),
    number INTEGER NOT NULL,            -- 0, 1, 2... in the order of creation
    state TEXT NOT NULL,                -- queued, running, done, pruned, failed
    origin TEXT NOT NULL,               -- asked, queued, added
    proposal TEXT,                      -- JSON: what the method proposed, or a user fixed
    params TEXT,                        -- JSON: what was really used; NULL once it is finished: as proposed
    after INTEGER NOT NULL,             -- how many answers were known to whoever asked
    place INTEGER,                      -- 0, 1, 2... in the order of answers
    answer TEXT,                        -- JSON: a value for each objective
    violations TEXT,                    -- JSON: one for each constraint
    error TEXT,
    attributes TEXT,                    -- JSON
    owner TEXT,
    lease DOUBLE PRECISION,             -- until when it is the owner's
    seen DOUBLE PRECISION,              -- when the owner was last heard of
    attempts INTEGER NOT NULL,
    began DOUBLE PRECISION,
    ended DOUBLE PRECISION,
    version INTEGER NOT NULL,           -- 1, 2, 3... over all changes of a study
    PRIMARY KEY (study, number)
) {clustered};
CREATE UNIQUE INDEX trials_version ON trials (study, version);
CREATE UNIQUE INDEX trials_place ON trials (study, place) WHERE place IS NOT NULL;
CREATE INDEX trials_open ON trials (study, state, number) WHERE state IN ('queued', 'running');
CREATE TABLE reports (
    study INTEGER NOT NULL REFERENCES studies (id),
    number INTEGER NOT NULL,
    step BIGINT NOT NULL,
    answer TEXT NOT NULL,               -- JSON: a value for each objective
    at DOUBLE PRECISION NOT NULL,
    version INTEGER NOT NULL,           -- 1, 2, 3... over all reports of a study
    PRIMARY KEY (study, number, step)
) {clustered};
CREATE UNIQUE INDEX reports_version ON reports (study, version);
CREATE TABLE definitions (
    study INTEGER NOT NULL REFERENCES studies (id),
    number INTEGER NOT NULL,            -- 0, 1, 2...
    name TEXT NOT NULL,
    leaf TEXT NOT NULL,                 -- JSON: a definition of the parameter
    PRIMARY KEY (study, number)
) {clustered}
"""

# What version 1 called a run is a study, by its number; a point that is not a mapping has the name "". The values
# follow by `migrate.py`, since SQLite would write them down with 15 digits.
FROM_RUNS = """
INSERT INTO studies (id, name, header, began) SELECT run, 'run ' || run, header, began FROM runs;
INSERT INTO trials (study, number, state, origin, proposal, after, place, error, attempts, began, ended, version)
    SELECT run, number, CASE state WHEN 'asked' THEN 'queued' WHEN 'ok' THEN 'done' ELSE 'failed' END, 'asked',
           CASE WHEN substr(point, 1, 1) = '{' THEN point ELSE '{"":' || point || '}' END, after, place, error,
           state <> 'asked', CASE WHEN state <> 'asked' THEN started END, started + seconds,
           row_number() OVER (PARTITION BY run ORDER BY number)
    FROM evaluations
"""

VERSION = 2
"""The present version."""
