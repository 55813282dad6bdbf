-- Brings schema 1 to 2: when somebody said until when. What was said before is believed.
ALTER TABLE messages ADD COLUMN hidden_at INTEGER NOT NULL DEFAULT 0;
CREATE INDEX messages_by_hiding ON messages (hidden_at);
ALTER TABLE locks ADD COLUMN taken_at INTEGER NOT NULL DEFAULT 0;
