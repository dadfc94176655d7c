-- SPDX-License-Identifier: MIT
-- A peer's file as schema 1 wrote it. Never changed: what was released stays as it was.
PRAGMA application_id = 2020241457;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
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
INSERT INTO "messages" VALUES(1,'p1',0,'m1','halo',1700000000002,0,'waiting');
INSERT INTO "messages" VALUES(2,'p1',1,'m1','apa kabar?',1700000000003,0,'received');
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
INSERT INTO "peers" VALUES('p1','Esa','10.0.0.5',5000,1700000000000,1700000000001,'esa',1);
CREATE UNIQUE INDEX messages_once ON messages (peer_id, incoming, message_id);
CREATE INDEX messages_of ON messages (peer_id, number);
CREATE INDEX messages_waiting ON messages (peer_id, number) WHERE state = 'waiting';
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('messages',2);
COMMIT;
