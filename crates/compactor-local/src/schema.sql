-- Times are microseconds since 1970, UTC.
CREATE TABLE messages (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    message_id    TEXT NOT NULL UNIQUE,
    body          TEXT NOT NULL,
    attributes    TEXT NOT NULL, -- a JSON object
    visible_at    INTEGER NOT NULL,
    hidden_at     INTEGER NOT NULL, -- when visible_at was written
    receive_count INTEGER NOT NULL DEFAULT 0,
    receipt       TEXT UNIQUE    -- of the last delivery, unless it was released
) STRICT;
CREATE INDEX messages_by_visibility ON messages (visible_at, id);
CREATE INDEX messages_by_hiding ON messages (hidden_at);

CREATE TABLE dead_letters (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    message_id    TEXT NOT NULL,
    body          TEXT NOT NULL,
    attributes    TEXT NOT NULL,
    receive_count INTEGER NOT NULL,
    reason        TEXT NOT NULL,
    died_at       INTEGER NOT NULL
) STRICT;

CREATE TABLE locks (
    collection TEXT PRIMARY KEY,
    owner      TEXT NOT NULL,
    expires    INTEGER NOT NULL,
    taken_at   INTEGER NOT NULL -- when expires was written
) STRICT;

-- Not in the table of locks, because fences must outlive them.
CREATE TABLE fences (
    collection TEXT PRIMARY KEY,
    value      INTEGER NOT NULL
) STRICT;

CREATE TABLE runs (
    run_id     TEXT NOT NULL,
    image_id   TEXT NOT NULL,
    receipt_id INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (run_id, image_id, receipt_id)
) STRICT;
CREATE INDEX runs_by_creation ON runs (created_at, run_id, image_id, receipt_id);

CREATE TABLE run_parts (
    run_id         TEXT NOT NULL,
    image_id       TEXT NOT NULL,
    receipt_id     INTEGER NOT NULL,
    collection     TEXT NOT NULL,
    prefix         TEXT NOT NULL,
    state          TEXT NOT NULL,
    started_at     INTEGER,
    finished_at    INTEGER,
    error          TEXT,
    merged_vectors INTEGER NOT NULL,
    version        TEXT,
    fence          INTEGER,
    ignored_operations INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (run_id, image_id, receipt_id, collection)
) STRICT;
