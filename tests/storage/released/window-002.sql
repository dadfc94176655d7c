-- SPDX-License-Identifier: MIT
-- A window's file as schema 2 wrote it. Never changed: what was released stays as it was.
PRAGMA application_id = 2020243249;
PRAGMA user_version = 2;
BEGIN TRANSACTION;
CREATE TABLE lines (
    number       INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    contact      TEXT NOT NULL,               -- the other one's key
    incoming     INTEGER NOT NULL CHECK (incoming IN (0, 1)),
    message_id   TEXT NOT NULL,
    text         TEXT NOT NULL,
    at           INTEGER NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('sending', 'stored', 'delivered', 'failed', 'received')),
    why          TEXT NOT NULL
);
INSERT INTO "lines" VALUES(1,'esa',0,'m1','halo',1700000000002,'delivered','');
INSERT INTO "lines" VALUES(2,'esa',1,'m2','apa kabar?',1700000000003,'received','');
CREATE TABLE contacts (
    contact      TEXT NOT NULL PRIMARY KEY,
    spelling     TEXT NOT NULL,
    read_to      INTEGER NOT NULL             -- the number of the last line that was read
);
INSERT INTO "contacts" VALUES('esa','Esa',2);
CREATE TABLE proofs (
    contact      TEXT NOT NULL PRIMARY KEY,
    peer_id      TEXT NOT NULL,               -- the id of the other one's key
    own          TEXT NOT NULL,               -- the id of ours that it was shown, or empty
    servers      TEXT NOT NULL,               -- the tracker of both users
    proved_at    INTEGER NOT NULL
);
INSERT INTO "proofs" VALUES('esa','xj1-1','xj1-2','127.0.0.1:5000',1700000000004);
CREATE UNIQUE INDEX lines_once ON lines (contact, incoming, message_id);
CREATE INDEX lines_of ON lines (contact, number);
CREATE INDEX lines_under_way ON lines (number) WHERE state = 'sending';
COMMIT;
