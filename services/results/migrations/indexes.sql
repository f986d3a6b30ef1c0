-- Indexes that make lists and filters fast. One statement each, made while the archive is used; nothing depends on them
-- but speed. A new one is a new line; a changed one needs a new name.
CREATE INDEX CONCURRENTLY IF NOT EXISTS results_by_create_time ON results (parent, created_time, id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS results_by_update_time ON results (parent, updated_time, id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS results_by_start_time ON results (parent, recordsummary_start_time, id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS results_by_end_time ON results (parent, recordsummary_end_time, id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS results_by_annotations ON results USING gin (annotations);
CREATE INDEX CONCURRENTLY IF NOT EXISTS records_by_id ON records (parent, id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS records_by_create_time ON records (parent, created_time, id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS records_by_update_time ON records (parent, updated_time, id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS records_by_type ON records (type, parent, updated_time);
CREATE INDEX CONCURRENTLY IF NOT EXISTS records_by_object_name ON records ((data -> 'metadata' ->> 'name'));
CREATE INDEX CONCURRENTLY IF NOT EXISTS records_by_labels ON records USING gin ((data -> 'metadata' -> 'labels'));
