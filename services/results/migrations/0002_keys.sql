-- Keys that all replicas share and that outlive them. `page_token` authenticates the tokens of lists.
CREATE TABLE IF NOT EXISTS results_keys (
    name text PRIMARY KEY,
    value bytea NOT NULL
);
