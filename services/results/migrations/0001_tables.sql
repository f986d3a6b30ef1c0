-- Tables as Tekton Results makes them, so that its database can be taken over. Columns that an older one lacks are added.
CREATE TABLE IF NOT EXISTS results (
    parent varchar(64) NOT NULL,
    id varchar(64) NOT NULL,
    name varchar(64),
    annotations jsonb,
    created_time timestamptz DEFAULT CURRENT_TIMESTAMP,
    updated_time timestamptz DEFAULT CURRENT_TIMESTAMP,
    recordsummary_record varchar(256),
    recordsummary_type varchar(768),
    recordsummary_start_time timestamptz,
    recordsummary_end_time timestamptz,
    recordsummary_status integer,
    recordsummary_annotations jsonb,
    etag varchar(128),
    PRIMARY KEY (parent, id)
);
ALTER TABLE results
    ADD COLUMN IF NOT EXISTS recordsummary_record varchar(256),
    ADD COLUMN IF NOT EXISTS recordsummary_type varchar(768),
    ADD COLUMN IF NOT EXISTS recordsummary_start_time timestamptz,
    ADD COLUMN IF NOT EXISTS recordsummary_end_time timestamptz,
    ADD COLUMN IF NOT EXISTS recordsummary_status integer,
    ADD COLUMN IF NOT EXISTS recordsummary_annotations jsonb,
    ADD COLUMN IF NOT EXISTS etag varchar(128);
CREATE UNIQUE INDEX IF NOT EXISTS results_by_name ON results (parent, name);

CREATE TABLE IF NOT EXISTS records (
    parent varchar(64) NOT NULL,
    result_id varchar(64) NOT NULL,
    id varchar(64) NOT NULL,
    result_name varchar(64),
    name varchar(64),
    type varchar(768),
    data jsonb,
    created_time timestamptz DEFAULT CURRENT_TIMESTAMP,
    updated_time timestamptz DEFAULT CURRENT_TIMESTAMP,
    etag varchar(128),
    PRIMARY KEY (parent, result_id, id),
    CONSTRAINT fk_records_result FOREIGN KEY (parent, result_id) REFERENCES results (parent, id)
        ON UPDATE CASCADE ON DELETE CASCADE
);
ALTER TABLE records
    ADD COLUMN IF NOT EXISTS type varchar(768),
    ADD COLUMN IF NOT EXISTS etag varchar(128);
CREATE UNIQUE INDEX IF NOT EXISTS records_by_name ON records (parent, result_name, name);
