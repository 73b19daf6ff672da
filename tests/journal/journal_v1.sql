CREATE TABLE zinc_entries (
  id BIGSERIAL NOT NULL, 
  key VARCHAR(36) NOT NULL, 
  caller VARCHAR(64) NOT NULL, 
  mode VARCHAR(8) NOT NULL, 
  origin VARCHAR(300) NOT NULL, 
  account VARCHAR(64) NOT NULL, 
  rail VARCHAR(16) NOT NULL, 
  twin VARCHAR(64) NOT NULL, 
  body_digest VARCHAR(64) NOT NULL, 
  body BYTEA, 
  state VARCHAR(16) NOT NULL, 
  version INTEGER NOT NULL, 
  lease_owner VARCHAR(64), 
  lease_until DOUBLE PRECISION, 
  ceiling_cents BIGINT NOT NULL, 
  fee_cents BIGINT NOT NULL, 
  reserved_cents BIGINT NOT NULL, 
  spent_cents BIGINT, 
  counts_cents BIGINT NOT NULL, 
  order_id VARCHAR(100), 
  status VARCHAR(60), 
  attempts INTEGER NOT NULL, 
  first_sent_at DOUBLE PRECISION, 
  opened_at DOUBLE PRECISION NOT NULL, 
  counted_at DOUBLE PRECISION NOT NULL, 
  updated_at DOUBLE PRECISION NOT NULL, 
  seen VARCHAR(64), 
  consent TEXT, 
  problem TEXT, 
  facts TEXT NOT NULL, 
  PRIMARY KEY (id)
);
CREATE INDEX zinc_entries_counting ON zinc_entries (mode, caller, counted_at, counts_cents) WHERE counts_cents > 0;
CREATE INDEX zinc_entries_handle ON zinc_entries (key);
CREATE UNIQUE INDEX zinc_entries_key ON zinc_entries (key, caller, mode) WHERE (state NOT IN ('refused', 'declined'));
CREATE INDEX zinc_entries_order ON zinc_entries (order_id);
CREATE INDEX zinc_entries_twin ON zinc_entries (twin, caller, mode);
CREATE INDEX zinc_entries_unfinished ON zinc_entries (mode, state) WHERE state IN ('waiting', 'sending', 'unknown', 'accepted');
CREATE TABLE zinc_events (
  entry_id BIGINT NOT NULL, 
  version INTEGER NOT NULL, 
  at DOUBLE PRECISION NOT NULL, 
  state VARCHAR(16) NOT NULL, 
  what VARCHAR(80) NOT NULL, 
  detail TEXT NOT NULL, 
  PRIMARY KEY (entry_id, version)
);
CREATE TABLE zinc_meta (
  name VARCHAR(40) NOT NULL, 
  value TEXT NOT NULL, 
  PRIMARY KEY (name)
);
