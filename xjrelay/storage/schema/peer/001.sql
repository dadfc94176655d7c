-- SPDX-License-Identifier: MIT
-- Whom a peer knows, what it still has to tell them, and what was said. Times are milliseconds
-- since the epoch.

CREATE TABLE peers (
    peer_id      TEXT NOT NULL PRIMARY KEY,
    name         TEXT NOT NULL,               -- what it calls itself
    host         TEXT,                        -- where it listens; both or neither
    port         INTEGER,
    met_at       INTEGER NOT NULL,
    seen_at      INTEGER NOT NULL,
    label        TEXT NOT NULL,               -- what its user is called here
    kept         INTEGER NOT NULL CHECK (kept IN (0, 1))
);

-- Outbox and history in one: a message waits, goes, and stays.
CREATE TABLE messages (
    number       INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    peer_id      TEXT NOT NULL,
    incoming     INTEGER NOT NULL CHECK (incoming IN (0, 1)),
    message_id   TEXT NOT NULL,
    text         TEXT NOT NULL,
    at           INTEGER NOT NULL,
    broadcast    INTEGER NOT NULL CHECK (broadcast IN (0, 1)),
    state        TEXT NOT NULL CHECK (state IN ('waiting', 'sent', 'delivered', 'received'))
);

-- What came twice is one row: this is what makes "once" true over restarts.
CREATE UNIQUE INDEX messages_once ON messages (peer_id, incoming, message_id);
CREATE INDEX messages_of ON messages (peer_id, number);
CREATE INDEX messages_waiting ON messages (peer_id, number) WHERE state = 'waiting';
