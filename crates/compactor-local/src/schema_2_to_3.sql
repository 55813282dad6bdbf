-- Migrates schema 2 to 3: how many operations of a run had no effect.
ALTER TABLE run_parts ADD COLUMN ignored_operations INTEGER NOT NULL DEFAULT 0;
