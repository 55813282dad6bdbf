-- Migrates schema 1 to 2: rows that hide or lock have the time at which they were written. Older rows
-- count as written in 1970, so they are never taken for written by a clock that was ahead.
ALTER TABLE messages ADD COLUMN hidden_at INTEGER NOT NULL DEFAULT 0;
CREATE INDEX messages_by_hiding ON messages (hidden_at);
ALTER TABLE locks ADD COLUMN taken_at INTEGER NOT NULL DEFAULT 0;
