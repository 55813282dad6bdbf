-- Brings schema 2 to 3: operations of a run that had no effect.
ALTER TABLE run_parts ADD COLUMN ignored_operations INTEGER NOT NULL DEFAULT 0;
