-- SPDX-License-Identifier: MIT
-- Accounts, rosters, and the names of relays. Times are milliseconds since the epoch.

CREATE TABLE accounts (
    key          TEXT NOT NULL PRIMARY KEY,   -- RFC 8265 UsernameCaseMapped
    username     TEXT NOT NULL,               -- the registered spelling
    salt         BLOB NOT NULL,
    iterations   INTEGER NOT NULL,
    stored_key   BLOB NOT NULL,
    server_key   BLOB NOT NULL,
    bio          TEXT NOT NULL,
    updated_at   INTEGER NOT NULL,            -- of the bio
    last_session INTEGER NOT NULL DEFAULT 0   -- only ever rises
);

-- One row an owner and contact; the contact's own row is its mirror.
CREATE TABLE roster (
    owner        TEXT NOT NULL REFERENCES accounts (key) ON DELETE CASCADE,
    contact      TEXT NOT NULL REFERENCES accounts (key) ON DELETE CASCADE,
    subscription TEXT NOT NULL CHECK (subscription IN ('to', 'from', 'both')),
    name         TEXT NOT NULL,
    PRIMARY KEY (owner, contact)
) WITHOUT ROWID;

CREATE INDEX roster_contact ON roster (contact);

CREATE TABLE relays (
    relay_id     TEXT NOT NULL PRIMARY KEY,
    number       INTEGER NOT NULL UNIQUE,     -- of its name: relay1, relay2, ...
    ip_local     TEXT NOT NULL,
    port         INTEGER NOT NULL,
    seen_at      INTEGER NOT NULL
);
